//! The key that the sites of one linkage domain share, and what is computed with it: subject and date shift of a patient whom a
//! valid national number names.
//!
//! Its keys are separated by labels of their own, so even the same secret, used by mistake as a site key too, gives pseudonyms
//! that do not meet. What it answers for is a [`NationalNumber`], which cannot hold anything else.

use super::NationalNumber;
use super::key::{Subkey, derive, pseudonym, shift};

/// The secret of one linkage domain and its version. No `Clone`, no `Serialize`, a silent `Debug`, wiped when dropped.
pub struct LinkageKey {
    version: u32,
    patient: Subkey,
    date: Subkey,
}

impl std::fmt::Debug for LinkageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkageKey(version {})", self.version)
    }
}

impl LinkageKey {
    /// Derives the separate keys from the domain's 256-bit secret. The caller keeps and wipes its own copy of the secret.
    pub fn new(secret: &[u8; 32], version: u32) -> Self {
        Self { version, patient: derive(secret, b"linked patient"), date: derive(secret, b"linked date") }
    }

    /// Version of the key, for the certificate.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The subject pseudonym: 32 hexadecimal digits, the same at every site of the domain.
    pub(super) fn subject(&self, number: &NationalNumber) -> String {
        pseudonym(&self.patient, &parts(number))
    }

    /// The date shift, days.
    pub(super) fn date_shift(&self, number: &NationalNumber) -> i32 {
        shift(&self.date, &parts(number))
    }
}

fn parts(number: &NationalNumber) -> [&str; 2] {
    [number.scheme().as_str(), number.digits()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pseudonym::{Answer, Ask, KeyedPseudonymiser, PseudonymError, PseudonymKey, Pseudonymise as _, Scheme};

    fn number(text: &str) -> NationalNumber {
        NationalNumber::parse(Scheme::Nhs, text).unwrap()
    }

    fn asks() -> [Ask; 4] {
        let number = number("943 476 5919");
        [
            Ask::LinkedSubject(number.clone()),
            Ask::LinkedDateShift(number),
            Ask::Uid("1.2.3".into()),
            Ask::Text { domain: "00181000".into(), value: "SN1".into() },
        ]
    }

    #[test]
    fn two_sites_of_a_domain_agree_on_the_subject_and_the_shift_and_on_nothing_else() {
        let site = |site: u8, linkage: u8| {
            KeyedPseudonymiser::linked(PseudonymKey::new(&[site; 32], 1), LinkageKey::new(&[linkage; 32], 1))
                .answer(&asks())
                .unwrap()
        };
        let (a, b, rotated) = (site(1, 9), site(2, 9), site(1, 10));
        assert_eq!(a[..2], b[..2]);
        assert!(a[2] != b[2] && a[3] != b[3], "UIDs and texts stay with the site");
        assert!(a[0] != rotated[0] && a[1] != rotated[1] && a[2..] == rotated[2..]);
        // Pinned, and computed once with another implementation (see `docs/decisions/0005-linkage-domains.md`).
        assert_eq!(a[0], Answer::Subject("bfba4a35115941ad56264a1df64a2613".into()));
        assert_eq!(a[1], Answer::DateShift(337));
    }

    #[test]
    fn the_same_secret_as_site_and_linkage_key_gives_pseudonyms_that_do_not_meet() {
        let mut who = KeyedPseudonymiser::linked(PseudonymKey::new(&[1; 32], 1), LinkageKey::new(&[1; 32], 1));
        let of_site = |issuer: &str| Ask::Subject { issuer: issuer.into(), id: "9434765919".into() };
        let answers = who.answer(&[Ask::LinkedSubject(number("9434765919")), of_site("nhs"), of_site("")]).unwrap();
        assert!(answers[0] != answers[1] && answers[0] != answers[2]);
    }

    #[test]
    fn without_a_linkage_key_a_national_number_is_refused_and_debug_says_nothing() {
        let mut who = KeyedPseudonymiser::new(PseudonymKey::new(&[1; 32], 1));
        for ask in asks().into_iter().take(2) {
            assert!(!format!("{ask:?}").contains("9434765919"));
            assert_eq!(who.answer(&[ask]), Err(PseudonymError::Refused));
        }
        assert_eq!(format!("{:?}", LinkageKey::new(&[7; 32], 3)), "LinkageKey(version 3)");
    }
}
