//! Answers requests: makes the key on the first, loads it when it is not in the TPM, and never makes a second one.
//!
//! ```text
//! Absent ── none stored ──► made, stored, then loaded ──► Loaded
//!    │ ▲                                                   │
//!    │ └──────── the TPM lost it (once a request) ─────────┘
//!    └── damaged, another TPM's, disk or TPM fails: an error, and Absent again
//! ```

use gift_signer::{Answer, Request};
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::{error::SignerError, events, store::Store, tpm::TpmKey};

/// Who has the key.
pub(crate) struct Keeper {
    store: Store,
    tpm: TctiNameConf,
    key: Option<TpmKey>,
}

impl Keeper {
    /// Opens nothing yet: the TPM is opened for the first request.
    pub(crate) fn new(store: Store, tpm: TctiNameConf) -> Self {
        Self { store, tpm, key: None }
    }

    /// The answer to a request, whatever happens.
    pub(crate) fn answer(&mut self, request: Request) -> Answer {
        match self.try_answer(request) {
            Ok(answer) => answer,
            Err(error) => {
                let failure = error.failure();
                events::failed(failure, &error);
                Answer::Failed(failure)
            }
        }
    }

    fn try_answer(&mut self, request: Request) -> Result<Answer, SignerError> {
        let Request::Sign(digest) = request else { return Ok(Answer::PublicKey(self.key()?.public())) };
        let lost = match self.key()?.sign(digest) {
            Ok(signature) => return Ok(Answer::Signature(signature)),
            Err(error) => error,
        };
        // A TPM that was reset (or another of its users) takes the key out; the connection to it may be gone.
        events::key_lost(&lost);
        self.key = None;
        let signed = self.key()?.sign(digest);
        if signed.is_err() {
            self.key = None;
        }
        signed.map(Answer::Signature)
    }

    fn key(&mut self) -> Result<&mut TpmKey, SignerError> {
        let key = match self.key.take() {
            Some(key) => key,
            None => self.load()?,
        };
        Ok(self.key.insert(key))
    }

    fn load(&self) -> Result<TpmKey, SignerError> {
        let stored = match self.store.load()? {
            Some(stored) => stored,
            None => {
                let made = TpmKey::make(&self.tpm)?;
                // Nobody is told of a key that is not on the disk.
                self.store.keep(&made)?;
                events::key_made();
                made
            }
        };
        let key = TpmKey::load(&self.tpm, &stored)?;
        events::key_loaded();
        Ok(key)
    }
}
