//! Brings signed policy bundles from the hub to deid's drop. It carries them: whether one counts is deid's to say.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use gift_spool::{Depositor, SpoolError};
use tokio::{task, time};

use crate::{
    durable,
    enroller::HubInUse,
    error::UplinkError,
    events,
    settings::{Settings, SignedDrop},
};

/// File in the house: the entity tag of the bundle that was handed over last.
const TAG: &str = "policy.tag";

/// The carrier of bundles.
#[derive(Debug)]
pub(crate) struct PolicyCarrier {
    hub: HubInUse,
    drop: Arc<Depositor>,
    house: PathBuf,
    interval: Duration,
}

impl PolicyCarrier {
    /// Opens the drop; `None` where the settings name none.
    ///
    /// # Errors
    /// A directory that cannot be used.
    pub(crate) fn open(settings: &Settings, hub: HubInUse) -> Result<Option<Self>, UplinkError> {
        let Some(SignedDrop { staging, inbox, interval_seconds }) = &settings.policy else { return Ok(None) };
        let drop = Arc::new(Depositor::open(staging, inbox)?);
        let interval = Duration::from_secs(*interval_seconds);
        Ok(Some(Self { hub, drop, house: settings.house.clone(), interval }))
    }

    /// Asks the hub again and again.
    ///
    /// # Errors
    /// The drop or the house failed.
    pub(crate) async fn run(mut self) -> Result<(), UplinkError> {
        loop {
            let hub = self.hub.borrow_and_update().clone();
            if let Some(hub) = hub {
                let tag = fs::read_to_string(self.house.join(TAG)).ok();
                // What goes wrong here shows in what uplink is for; the next turn tries again.
                if let Ok(Some((tag, bytes))) = hub.policy(tag.as_deref()).await {
                    self.hand_over(tag, bytes).await?;
                }
            }
            tokio::select! {
                changed = self.hub.changed() => changed.map_err(|_| UplinkError::Ended("the enrolment"))?,
                () = time::sleep(self.interval) => {}
            }
        }
    }

    async fn hand_over(&self, tag: String, bytes: Vec<u8>) -> Result<(), UplinkError> {
        let (drop, house, length) = (self.drop.clone(), self.house.clone(), bytes.len());
        let handed = task::spawn_blocking(move || {
            drop.post_late()?;
            drop.deposit(b"{}", &bytes)?;
            // After the bundle: a crash in between hands it over twice, which is no harm.
            durable::replace(&house, TAG, tag.as_bytes()).map_err(SpoolError::Store)
        });
        match handed.await.unwrap_or_else(|_| Err(SpoolError::Store(io::ErrorKind::Other.into()))) {
            Ok(()) => events::policy_handed_over(length),
            Err(error) => {
                let error = UplinkError::from(error);
                if !error.is_full() {
                    return Err(error);
                }
                events::disk_full();
            }
        }
        Ok(())
    }
}
