//! Keyed pseudonyms: what a worker may ask, and who answers.
//!
//! The worker that parses an object holds no key. It collects all its questions about that object and puts them at once
//! ([`Pseudonymise::answer`]); in the monitor, [`KeyedPseudonymiser`] answers from the site's key.
//!
//! Sites of one *linkage domain* share a second key ([`LinkageKey`]). It answers for patients that a valid national number
//! names, and for nothing else: UIDs and texts are always under the site's key.

mod key;
mod linkage;
mod national;
mod place;

pub use key::{InputDigest, KeyedPseudonymiser, PseudonymKey};
pub use linkage::LinkageKey;
pub use national::{NationalNumber, NotNational, Scheme};
pub use place::{Attribute, Place};
pub(crate) use place::{Found, find};

use serde::{Deserialize, Serialize};

/// A worker's question. The worker holds no key; the monitor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Pseudonym of a patient: issuer of Patient ID and the ID itself.
    Subject {
        /// Issuer of Patient ID (0010,0021), empty when absent.
        issuer: String,
        /// Patient ID (0010,0020), trimmed.
        id: String,
    },
    /// Replacement of a UID.
    Uid(String),
    /// Date shift of a patient, days.
    DateShift {
        /// As for `Subject`.
        issuer: String,
        /// As for `Subject`.
        id: String,
    },
    /// Pseudonym of a patient across the sites of a linkage domain.
    LinkedSubject(NationalNumber),
    /// Date shift of such a patient, days: the same at every site.
    LinkedDateShift(NationalNumber),
    /// A keyed token for a text value (device serial number, accession number …), separated by `domain`.
    Text {
        /// What kind of value; closed list of the profile engine.
        domain: String,
        /// The value.
        value: String,
    },
}

/// The monitor's answer, in the order of the questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// 32 hexadecimal digits.
    Subject(String),
    /// A UID under 2.25.
    Uid(String),
    /// Days to add; never zero.
    DateShift(i32),
    /// 32 hexadecimal digits.
    Text(String),
}

/// Who answers: the key itself in the monitor, or the channel to the monitor in a worker.
pub trait Pseudonymise {
    /// Answers all questions, in order.
    ///
    /// # Errors
    /// The channel's, or a question that cannot be answered.
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError>;
}

/// Why a pseudonym could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PseudonymError {
    /// The monitor did not answer.
    #[error("the monitor did not answer")]
    Channel,
    /// The question is not of the table.
    #[error("question refused")]
    Refused,
}
