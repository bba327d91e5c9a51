//! The subject pseudonym of one patient, for the escrow holder: consent withdrawn, an incidental finding. Computed by the same
//! code as on a box. What identifies the patient is read from standard input: on a command line it would stand in the process
//! list and in the shell's history.

use gift_deid::key::{Credential, SiteKey};
use gift_deidentify::pseudonym::{Answer, Ask, NationalNumber, Scheme};

/// Why there is no label. Never says anything of the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Wrong number of lines.
    #[error("expected on standard input: {0}")]
    Input(&'static str),
    /// Not valid.
    #[error(
        "not a valid national number: its check digits or its range are wrong, so a box would not link by it either"
    )]
    Number,
    /// Empty, or longer than any.
    #[error("the Patient ID is empty or too long")]
    Id,
}

/// The label of a patient of a site: two lines, issuer of Patient ID (empty when there is none, or when the profile has it
/// so) and Patient ID.
///
/// # Errors
/// [`LabelError`].
pub fn of_site(key: &Credential, input: &str) -> Result<String, LabelError> {
    let lines: Vec<&str> = input.lines().map(trimmed).collect();
    let [issuer, id] = lines.as_slice() else {
        return Err(LabelError::Input("two lines, the Issuer of Patient ID (may be empty) and the Patient ID"));
    };
    let ask = Ask::Subject { issuer: (*issuer).to_owned(), id: (*id).to_owned() };
    subject(SiteKey::new(key).answer_with(None, &[ask]).ok()).ok_or(LabelError::Id)
}

/// The label of a patient of a linkage domain: one line, the national number.
///
/// # Errors
/// [`LabelError`].
pub fn linked(key: &Credential, scheme: Scheme, input: &str) -> Result<String, LabelError> {
    let lines: Vec<&str> = input.lines().map(trimmed).collect();
    let [number] = lines.as_slice() else { return Err(LabelError::Input("one line, the national number")) };
    let number = NationalNumber::parse(scheme, number).ok_or(LabelError::Number)?;
    // The site's key has no part in it.
    let answers = SiteKey::new(key).answer_with(Some(&key.linkage_key()), &[Ask::LinkedSubject(number)]);
    subject(answers.ok()).ok_or(LabelError::Number)
}

/// As the values of an object are read: without the padding of PS3.5 §6.2.
fn trimmed(line: &str) -> &str {
    line.trim_matches([' ', '\r', '\t'])
}

fn subject(answers: Option<Vec<Answer>>) -> Option<String> {
    match answers?.pop()? {
        Answer::Subject(subject) => Some(subject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_boxes_and_their_pinned_vectors() {
        let site = Credential::new(1, [1; 32]);
        assert_eq!(of_site(&site, "NHS\n9434765919\n").unwrap(), "3570a4ae7b2a52e56cbf487dceb4ba95");
        assert_eq!(of_site(&site, "NHS \r\n 9434765919").unwrap(), "3570a4ae7b2a52e56cbf487dceb4ba95");
        let linkage = Credential::new(1, [9; 32]);
        let label = linked(&linkage, Scheme::Nhs, "943 476 5919\n").unwrap();
        assert_eq!(label, "bfba4a35115941ad56264a1df64a2613");
        assert_ne!(of_site(&linkage, "\n9434765919\n").unwrap(), label);
    }

    #[test]
    fn what_cannot_be_a_patient_is_refused_without_quoting_it() {
        let key = Credential::new(1, [1; 32]);
        for bad in ["", "9434765919", "NHS\n9434765919\nmore", "NHS\n\n"] {
            let error = of_site(&key, bad).unwrap_err().to_string();
            assert!(!error.contains("9434765919"));
        }
        for bad in ["", "9434765918", "9990000018", "9434765919\n9434765919"] {
            let error = linked(&key, Scheme::Nhs, bad).unwrap_err().to_string();
            assert!(!error.contains("94347659") && !error.contains("99900000"));
        }
    }
}
