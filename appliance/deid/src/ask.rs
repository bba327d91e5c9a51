//! What a worker may ask, and the answers. The worker is not trusted: it may ask for one patient an object, a bounded
//! number of values, and what was answered is remembered, so that what it states afterwards can be checked against it.

use std::collections::HashSet;

use gift_deidentify::pseudonym::{Answer, Ask, Pseudonymise, Scheme};
use serde::{Deserialize, Serialize};

/// What may be asked for one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AskLimits {
    /// Questions in all.
    pub questions: u32,
    /// Bytes of the values in all.
    pub bytes: u64,
    /// Longest value, bytes.
    pub value_bytes: u32,
    /// Different patients.
    pub patients: u8,
    /// Questions for text tokens.
    pub texts: u32,
}

impl Default for AskLimits {
    fn default() -> Self {
        // A radiotherapy or enhanced multi-frame object refers to tens of thousands of instances; a UID has at most 64
        // characters (PS3.5 §9.1). One object is of one patient (PS3.3 A.1.2).
        Self { questions: 50_000, bytes: 4 << 20, value_bytes: 1024, patients: 1, texts: 4_096 }
    }
}

/// Why a question was not answered. The worker that asked is not to be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskRefused {
    /// Too many questions, or too much text.
    #[error("more questions than one object may need")]
    TooMuch,
    /// Another patient than this object's.
    #[error("more than one patient asked for")]
    OtherPatient,
    /// The key's owner refused.
    #[error("a question that cannot be answered")]
    Unanswerable,
}

/// What is left of the limits for one object. The worker keeps one too, so that an object with too many values is held for
/// that, and only a worker that is not itself any more meets the monitor's.
#[derive(Debug)]
pub struct Budget {
    limits: AskLimits,
    asked: u32,
    bytes: u64,
    texts: u32,
    patients: HashSet<Patient>,
}

/// Whom a question is about: a patient of the site by issuer and ID, or one of the linkage domain by scheme and number. An
/// object's patient is one or the other: asking for both is asking for two.
type Patient = (Option<Scheme>, String, String);

fn patient(ask: &Ask) -> Option<Patient> {
    match ask {
        Ask::Subject { issuer, id } | Ask::DateShift { issuer, id } => Some((None, issuer.clone(), id.clone())),
        Ask::LinkedSubject(number) | Ask::LinkedDateShift(number) => {
            Some((Some(number.scheme()), String::new(), number.digits().to_owned()))
        }
        Ask::Uid(_) | Ask::Text { .. } => None,
    }
}

/// Answers one object's questions, within limits.
pub struct Desk<'k, P> {
    key: &'k mut P,
    budget: Budget,
    given: Given,
}

/// The pseudonyms given out for one object.
#[derive(Debug, Default)]
pub struct Given {
    subjects: HashSet<String>,
    linked: HashSet<String>,
    uids: HashSet<String>,
}

impl Given {
    /// True when `subject` was given out.
    pub fn subject(&self, subject: &str) -> bool {
        self.subjects.contains(subject)
    }

    /// True when `subject` was given out for a national number.
    pub fn linked(&self, subject: &str) -> bool {
        self.linked.contains(subject)
    }

    /// True when `uid` was given out.
    pub fn uid(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}

impl Budget {
    /// All of it.
    pub fn new(limits: AskLimits) -> Self {
        Self { limits, asked: 0, bytes: 0, texts: 0, patients: HashSet::new() }
    }

    /// Takes what `ask` costs.
    ///
    /// # Errors
    /// [`AskRefused`] when there is not that much left.
    pub fn admit(&mut self, ask: &Ask) -> Result<(), AskRefused> {
        let values: [&str; 2] = match ask {
            Ask::Subject { issuer, id } | Ask::DateShift { issuer, id } => [issuer, id],
            Ask::LinkedSubject(number) | Ask::LinkedDateShift(number) => [number.digits(), ""],
            Ask::Uid(uid) => [uid, ""],
            Ask::Text { domain, value } => [domain, value],
        };
        self.asked = self.asked.saturating_add(1);
        self.bytes = self.bytes.saturating_add(values.iter().map(|value| value.len() as u64).sum());
        self.texts = self.texts.saturating_add(u32::from(matches!(ask, Ask::Text { .. })));
        let longest = values.iter().map(|value| value.len()).max().unwrap_or_default();
        if self.asked > self.limits.questions
            || self.bytes > self.limits.bytes
            || self.texts > self.limits.texts
            || longest > self.limits.value_bytes as usize
        {
            return Err(AskRefused::TooMuch);
        }
        if let Some(patient) = patient(ask) {
            self.patients.insert(patient);
            if self.patients.len() > usize::from(self.limits.patients) {
                return Err(AskRefused::OtherPatient);
            }
        }
        Ok(())
    }
}

impl<'k, P: Pseudonymise> Desk<'k, P> {
    /// A desk for one object.
    pub fn new(key: &'k mut P, limits: AskLimits) -> Self {
        Self { key, budget: Budget::new(limits), given: Given::default() }
    }

    /// Answers all of `asks`, in order, or none.
    ///
    /// # Errors
    /// [`AskRefused`]; the worker is then to be ended.
    pub fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, AskRefused> {
        for ask in asks {
            self.budget.admit(ask)?;
        }
        let answers = self.key.answer(asks).map_err(|_| AskRefused::Unanswerable)?;
        if answers.len() != asks.len() {
            return Err(AskRefused::Unanswerable);
        }
        for (ask, answer) in asks.iter().zip(&answers) {
            match answer {
                Answer::Subject(subject) => {
                    if matches!(ask, Ask::LinkedSubject(_)) {
                        self.given.linked.insert(subject.clone());
                    }
                    self.given.subjects.insert(subject.clone());
                }
                Answer::Uid(uid) => _ = self.given.uids.insert(uid.clone()),
                _ => {}
            }
        }
        Ok(answers)
    }

    /// What was given out.
    pub fn given(self) -> Given {
        self.given
    }
}

impl<P> std::fmt::Debug for Desk<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({} asked)", self.budget.asked)
    }
}

#[cfg(test)]
mod tests {
    use gift_deidentify::pseudonym::{NationalNumber, PseudonymError};

    use super::*;

    /// Answers anything, plainly.
    struct Echo;

    impl Pseudonymise for Echo {
        fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
            Ok(asks
                .iter()
                .map(|ask| match ask {
                    Ask::Subject { id, .. } => Answer::Subject(format!("s-{id}")),
                    Ask::LinkedSubject(number) => Answer::Subject(format!("l-{}", number.digits())),
                    Ask::Uid(uid) => Answer::Uid(format!("2.25.{uid}")),
                    Ask::DateShift { .. } | Ask::LinkedDateShift(_) => Answer::DateShift(1),
                    Ask::Text { value, .. } => Answer::Text(value.clone()),
                })
                .collect())
        }
    }

    fn subject(id: &str) -> Ask {
        Ask::Subject { issuer: "NHS".into(), id: id.into() }
    }

    #[test]
    fn a_worker_cannot_enumerate_patients() {
        let mut key = Echo;
        let mut desk = Desk::new(&mut key, AskLimits::default());
        desk.answer(&[subject("9434765919"), subject("9434765919")]).unwrap();
        desk.answer(&[Ask::DateShift { issuer: "NHS".into(), id: "9434765919".into() }]).unwrap();
        assert_eq!(desk.answer(&[subject("9434765870")]), Err(AskRefused::OtherPatient));
        let mut desk = Desk::new(&mut key, AskLimits::default());
        assert_eq!(
            desk.answer(&[subject("1"), Ask::DateShift { issuer: "X".into(), id: "1".into() }]),
            Err(AskRefused::OtherPatient)
        );
    }

    #[test]
    fn a_linked_patient_is_the_objects_one_patient_and_is_remembered_as_linked() {
        let national = |text| NationalNumber::parse(Scheme::Nhs, text).unwrap();
        let (one, other) = (national("9434765919"), national("4010232137"));
        let mut key = Echo;
        let mut desk = Desk::new(&mut key, AskLimits::default());
        desk.answer(&[Ask::LinkedSubject(one.clone()), Ask::LinkedDateShift(one.clone())]).unwrap();
        assert_eq!(desk.answer(&[Ask::LinkedDateShift(other)]), Err(AskRefused::OtherPatient));
        let given = desk.given();
        assert!(given.subject("l-9434765919") && given.linked("l-9434765919"));
        // The same person by the other way is another patient to the monitor.
        let mut desk = Desk::new(&mut key, AskLimits::default());
        desk.answer(&[subject("9434765919")]).unwrap();
        assert_eq!(desk.answer(&[Ask::LinkedSubject(one)]), Err(AskRefused::OtherPatient));
        let given = desk.given();
        assert!(given.subject("s-9434765919") && !given.linked("s-9434765919"));
    }

    #[test]
    fn questions_texts_and_bytes_are_bounded() {
        let limits = AskLimits { questions: 10, bytes: 100, value_bytes: 20, patients: 1, texts: 3 };
        let mut key = Echo;
        let mut asks = |asks: Vec<Ask>| Desk::new(&mut key, limits).answer(&asks).map(|answers| answers.len());
        let uid = |length: usize| Ask::Uid("1".repeat(length));
        let text = || Ask::Text { domain: "d".into(), value: "v".into() };
        assert_eq!(asks(vec![uid(1); 10]), Ok(10));
        assert_eq!(asks(vec![uid(1); 11]), Err(AskRefused::TooMuch));
        assert_eq!(asks(vec![uid(20); 5]), Ok(5));
        assert_eq!(asks(vec![uid(20); 6]), Err(AskRefused::TooMuch));
        assert_eq!(asks(vec![uid(21)]), Err(AskRefused::TooMuch));
        assert_eq!(asks(vec![text(); 3]), Ok(3));
        assert_eq!(asks(vec![text(); 4]), Err(AskRefused::TooMuch));
    }

    #[test]
    fn only_what_was_answered_counts_as_given() {
        let mut key = Echo;
        let mut desk = Desk::new(&mut key, AskLimits::default());
        desk.answer(&[subject("1"), Ask::Uid("5".into())]).unwrap();
        let given = desk.given();
        assert!(given.subject("s-1") && given.uid("2.25.5"));
        assert!(!given.subject("s-2") && !given.uid("2.25.6") && !given.uid("s-1"));
    }
}
