//! Getting, and keeping, a device certificate.
//!
//! ```text
//!                        ┌─ renewed ─┐
//!                        ▼           │
//! Bare ── token ──► Enrolled ── a third of the validity is left ──► Renewing
//!                    │   ▲
//!                    │   └── a token not yet spent ──┐
//!                    └── refused or expired ──► Refused
//! ```
//! Renewal is an enrolment request without a token over a connection that the present certificate authenticates.
//! While the box is bare or refused, the token file is read again for each attempt: it may come later than the box.

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
    hub::Hub,
    identity::{Certificate, DeviceKey, IdentityStore},
    settings::Settings,
};

/// How often an enrolled box looks at its certificate.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest token read, bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// How often a certificate is tried to be stored on a full disk: the token for it is spent.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// The way to the hub in use; `None` before enrolment.
pub(crate) type HubInUse = watch::Receiver<Option<Arc<Hub>>>;

/// The enroller.
#[derive(Debug)]
pub(crate) struct Enroller {
    settings: Arc<Settings>,
    store: IdentityStore,
    key: Arc<dyn DeviceKey>,
    board: Arc<Board>,
    hub: watch::Sender<Option<Arc<Hub>>>,
    certificate: Option<Certificate>,
}

impl Enroller {
    /// Opens the identity; a stored certificate is in use on return. The receiver holds the way to the hub once there is
    /// one, and a new one whenever the certificate changes.
    ///
    /// # Errors
    /// Unusable key or client configuration.
    pub(crate) fn open(
        settings: Arc<Settings>,
        store: IdentityStore,
        board: Arc<Board>,
    ) -> Result<(Self, HubInUse), UplinkError> {
        let key = store.key()?;
        let (hub, receiver) = watch::channel(None);
        let certificate = store.certificate(key.as_ref());
        let mut enroller = Self { settings, store, key, board, hub, certificate: None };
        if let Some(certificate) = certificate {
            enroller.put_in_use(certificate)?;
        }
        Ok((enroller, receiver))
    }

    /// Enrols when needed, for as long as the process lives.
    ///
    /// # Errors
    /// A store or client that cannot be used; never the hub's absence.
    pub(crate) async fn run(mut self) -> Result<(), UplinkError> {
        let (mut renewals_failed, mut next_renewal) = (0, Instant::now());
        loop {
            let now_ms = gift_service::now_ms();
            match &self.certificate {
                None => self.enrol_until_done().await?,
                Some(certificate) if self.board.certificate_refused() || certificate.expired(now_ms) => {
                    if self.token().is_some_and(|token| !self.store.is_spent(&token)) {
                        self.enrol_until_done().await?;
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
        let hub = Hub::new(&self.settings, None)?;
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
        let request =
            EnrolRequest { version: WIRE_VERSION, token: token.to_string(), csr_pem: self.key.request_pem()? };
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
        let Ok(certificate) = Certificate::parse(&response.certificate_pem, self.key.as_ref()) else {
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
        let identity = certificate.certified(self.key.as_ref())?;
        let hub = Hub::new(&self.settings, Some(identity))?;
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
