//! The acceptor's side of a DICOM association, sans IO: bytes, expired timers and completions in, [`Action`]s out.
//!
//! What it is for: `gift-receiver` moves the bytes, this crate decides. It frames PDUs itself (PS3.8 §9.3), so that the size of
//! each one is checked before a byte of its body is kept and P-DATA passes through as slices, never accumulated; A-ASSOCIATE,
//! A-RELEASE and A-ABORT are encoded and decoded by dicom-ul once they are framed. Services: C-ECHO and C-STORE as SCP
//! (PS3.7 §9.3). What it relies on: the driver performs the actions in order and answers those that ask ([`Acceptor`]).
//!
//! Where to start: [`Acceptor::next`]; then `framer` (bytes to PDUs and PDVs), `associate` (negotiation), `acceptor/message`
//! (operations), `command` (command sets), `head` (does the data set agree with its command).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acceptor;
mod action;
mod associate;
mod command;
mod framer;
mod head;
mod sop_class;
mod status;
mod uid;

pub use acceptor::Acceptor;
pub use action::{Action, Discard, End, ObjectHeader, Timer, Violation};
pub use associate::{AeTitle, AssociationRequest, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Rejection};
pub use framer::{ASSOCIATE_CAP_BYTES, MIN_PDU_BYTES};
pub use head::{Head, HeadVerdict};
pub use sop_class::{StorageSopClass, standard_storage_sop_classes};
pub use status::Status;
pub use uid::Uid;

use std::collections::HashSet;

/// Verification SOP class (PS3.4 A.4).
pub const VERIFICATION: &str = "1.2.840.10008.1.1";

/// Most a command set may need, bytes: the longest legal C-STORE-RQ is below 400.
pub const COMMAND_CAP_BYTES: usize = 16 * 1024;

/// What an acceptor offers; shared by all associations.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Largest P-DATA-TF variable field announced and accepted, bytes (PS3.8 D.1); at least [`MIN_PDU_BYTES`].
    pub max_pdu_bytes: u32,
    /// Abstract syntaxes of the storage service: the standard's and private ones.
    pub storage_sop_classes: HashSet<String>,
    /// Transfer syntaxes to prefer, first choice first; where none of them is proposed, the first proposed is taken.
    pub transfer_syntax_order: Vec<String>,
}

impl Offer {
    /// All storage SOP classes of the standard and `private` ones.
    pub fn new(max_pdu_bytes: u32, private: impl IntoIterator<Item = String>, order: Vec<String>) -> Self {
        let standard = standard_storage_sop_classes().map(|class| class.uid.to_owned());
        Self {
            max_pdu_bytes: max_pdu_bytes.max(MIN_PDU_BYTES),
            storage_sop_classes: standard.chain(private).collect(),
            transfer_syntax_order: order,
        }
    }
}
