//! Getting, and keeping, a device certificate.
//!
//! ```text
//!                        ┌─ renewed ─┐
//!                        ▼           │
//! Bare ── token ──► Enrolled ── a third of the validity is left ──► Renewing
//!                    │   ▲
//!                    │   └── a token not yet spent, or (expired) the one that was ──┐
//!                    └── refused or expired ─────────────────────────────────► Refused
//! ```
//! Renewal is an enrolment request without a token over a connection that the present certificate authenticates.
//! While the box is bare or refused, the token file is read again for each attempt: it may come later than the box. Before all
//! that there is no key: a signer that does not answer is asked again and again, and objects wait meanwhile.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use gift_status::UploadFailure;
use gift_wire::{EnrolRequest, WIRE_VERSION};
use tokio::{sync::watch, time};
use zeroize::Zeroizing;

use crate::{
    board::Board,
    breaker::{chance, pause},
    error::{AttemptError, UplinkError},
    events,
    hub::{Hub, early::Early},
    identity::{Certificate, DeviceKey, IdentityError, IdentityStore},
    settings::Settings,
};

/// How often an enrolled box looks at its certificate.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest token read, bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// A certificate that was had for an expired one may be expired itself, by a clock that is ahead: the next is asked for so much later.
const EXPIRED_AGAIN: Duration = Duration::from_hours(1);

/// How often a certificate is tried to be stored on a full disk: the token for it is spent.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// The way to the hub in use; `None` before enrolment.
pub(crate) type HubInUse = watch::Receiver<Option<Arc<Hub>>>;

/// The enroller.
#[derive(Debug)]
pub(crate) struct Enroller {
    settings: Arc<Settings>,
    store: IdentityStore,
    /// `None` until the signer has answered.
    key: Option<Arc<dyn DeviceKey>>,
    board: Arc<Board>,
    early: Early,
    hub: watch::Sender<Option<Arc<Hub>>>,
    certificate: Option<Certificate>,
}

impl Enroller {
    /// Opens the identity; a stored certificate is in use on return, unless its key is a signer's that does not answer. The
    /// receiver holds the way to the hub once there is one, and a new one whenever the certificate changes.
    ///
    /// # Errors
    /// Unusable key or client configuration.
    pub(crate) fn open(
        settings: Arc<Settings>,
        store: IdentityStore,
        board: Arc<Board>,
        early: Early,
    ) -> Result<(Self, HubInUse), UplinkError> {
        let (hub, receiver) = watch::channel(None);
        let mut enroller = Self { settings, store, key: None, board, early, hub, certificate: None };
        enroller.find_key()?;
        Ok((enroller, receiver))
    }

    /// Has the key, and puts the certificate for it in use; neither when the signer does not answer.
    fn find_key(&mut self) -> Result<(), UplinkError> {
        let key = match self.store.key(self.settings.signer.as_deref()) {
            Ok(key) => key,
            Err(IdentityError::Signer) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let certificate = self.store.certificate(key.as_ref());
        self.key = Some(key);
        if let Some(certificate) = certificate {
            self.put_in_use(certificate)?;
        }
        Ok(())
    }

    /// Enrols when needed, for as long as the process lives.
    ///
    /// # Errors
    /// A store or client that cannot be used; never the hub's absence.
    pub(crate) async fn run(mut self) -> Result<(), UplinkError> {
        let mut failures = 0;
        while self.key.is_none() {
            failures += 1;
            time::sleep(pause(&self.settings.retry, failures, chance())).await;
            self.find_key()?;
        }
        let (mut renewals_failed, mut next_renewal, mut next_expired) = (0, Instant::now(), Instant::now());
        loop {
            let now_ms = gift_service::now_ms();
            match &self.certificate {
                None => self.enrol_until_done().await?,
                Some(certificate) if self.board.certificate_refused() || certificate.expired(now_ms) => {
                    // The hub takes the token that the certificate was had for again, from the same key; not when the box is revoked.
                    let again = certificate.expired(now_ms) && Instant::now() >= next_expired;
                    if self.token().is_some_and(|token| again || !self.store.is_spent(&token)) {
                        self.enrol_until_done().await?;
                        next_expired = Instant::now() + EXPIRED_AGAIN;
                    }
                }
                Some(certificate) if certificate.renewal_due(now_ms) && Instant::now() >= next_renewal => {
                    if renewals_failed == 0 {
                        events::renewal_due();
                    }
                    let hub = self.hub.borrow().clone();
                    let renewed = match hub {
                        Some(hub) => self.enrol(&hub, Zeroizing::default()).await?,
                        None => false,
                    };
                    renewals_failed = if renewed { 0 } else { renewals_failed + 1 };
                    next_renewal = Instant::now() + pause(&self.settings.retry, renewals_failed, chance());
                }
                Some(_) => {}
            }
            time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn enrol_until_done(&mut self) -> Result<(), UplinkError> {
        let hub = Hub::new(&self.settings, None, self.early.clone())?;
        let mut failures = 0;
        loop {
            match self.token() {
                None => events::no_token(),
                Some(token) => {
                    if self.enrol(&hub, token).await? {
                        return Ok(());
                    }
                }
            }
            failures += 1;
            time::sleep(pause(&self.settings.retry, failures, chance())).await;
        }
    }

    /// One attempt, with a token or, to renew, without; true when a new certificate is in use.
    async fn enrol(&mut self, hub: &Hub, token: Zeroizing<String>) -> Result<bool, UplinkError> {
        let Some(key) = self.key.clone() else { return Ok(false) };
        let csr_pem = match key.request_pem() {
            Ok(csr_pem) => csr_pem,
            Err(IdentityError::Signer) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let request = EnrolRequest { version: WIRE_VERSION, token: token.to_string(), csr_pem };
        let response = match hub.enrol(&request).await {
            Ok(response) => response,
            Err(error) => {
                self.board.failed(&error);
                // The hub was reached and refused the token.
                let refused = matches!(error, AttemptError::OwnCertificate | AttemptError::Refused { .. });
                events::enrolment_failed(if refused { UploadFailure::Refused } else { error.failure() });
                return Ok(false);
            }
        };
        let Ok(certificate) = Certificate::parse(&response.certificate_pem, key.as_ref()) else {
            events::certificate_unusable();
            return Ok(false);
        };
        loop {
            match self.store.keep(&response.certificate_pem, &token) {
                Ok(()) => break,
                Err(error) if error.is_full() => {
                    events::disk_full();
                    time::sleep(FULL_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        events::enrolled();
        self.put_in_use(certificate)?;
        self.board.reached();
        Ok(true)
    }

    fn put_in_use(&mut self, certificate: Certificate) -> Result<(), UplinkError> {
        let Some(key) = &self.key else { return Ok(()) };
        let identity = certificate.certified(key.as_ref())?;
        let hub = Hub::new(&self.settings, Some(identity), self.early.clone())?;
        self.board.certificate(certificate.not_after_ms);
        self.certificate = Some(certificate);
        self.hub.send_replace(Some(Arc::new(hub)));
        Ok(())
    }

    fn token(&self) -> Option<Zeroizing<String>> {
        let text = Zeroizing::new(fs::read_to_string(&self.settings.enrolment_token_file).ok()?);
        let token = text.trim();
        (1..=MAX_TOKEN_BYTES).contains(&token.len()).then(|| Zeroizing::new(token.to_owned()))
    }
}
