//! Brings what was signed offline from the hub to the drop of whoever reads it: policy bundles, system updates, orders. It carries them: whether
//! one counts is the reader's to say.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use gift_spool::{Depositor, SpoolError};
use gift_wire::{MAX_BUNDLE_BYTES, MAX_ORDER_JSON_BYTES, MAX_UPDATE_JSON_BYTES, ORDER_PATH, POLICY_PATH, UPDATE_PATH};
use tokio::{task, time};

use crate::{
    durable,
    enroller::HubInUse,
    error::{AttemptError, UplinkError},
    events,
    hub::Hub,
    settings::{Settings, SignedDrop},
    update,
};

/// A kind of what is carried.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// Where the hub gives the newest of them.
    pub(crate) path: &'static str,
    /// Longest, bytes.
    pub(crate) most: usize,
    /// File in the house: the entity tag of the one that was handed over last.
    pub(crate) tag: &'static str,
    /// An archive belongs to it, which is fetched, too.
    archive: bool,
    /// It lies in the drop; so many bytes.
    handed_over: fn(usize),
}

/// Policy bundles, for deid.
pub(crate) const POLICIES: Parcel = Parcel {
    path: POLICY_PATH,
    most: MAX_BUNDLE_BYTES,
    tag: "policy.tag",
    archive: false,
    handed_over: events::policy_handed_over,
};
/// System updates, for gift-updater.
pub(crate) const UPDATES: Parcel = Parcel {
    path: UPDATE_PATH,
    most: MAX_UPDATE_JSON_BYTES,
    tag: "update.tag",
    archive: true,
    handed_over: events::update_handed_over,
};
/// Orders for this box, for gift-eraser.
pub(crate) const ORDERS: Parcel = Parcel {
    path: ORDER_PATH,
    most: MAX_ORDER_JSON_BYTES,
    tag: "order.tag",
    archive: false,
    handed_over: events::order_handed_over,
};

/// The carrier of one kind.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) parcel: &'static Parcel,
    hub: HubInUse,
    pub(crate) drop: Arc<Depositor>,
    pub(crate) house: PathBuf,
    interval: Duration,
    pub(crate) budget: update::Budget,
}

impl Carrier {
    /// Opens the drop `to`; `None` where the settings name none.
    ///
    /// # Errors
    /// A directory that cannot be used.
    pub(crate) fn open(
        parcel: &'static Parcel,
        to: Option<&SignedDrop>,
        settings: &Settings,
        hub: HubInUse,
    ) -> Result<Option<Self>, UplinkError> {
        let Some(SignedDrop { staging, inbox, interval_seconds }) = to else { return Ok(None) };
        if parcel.archive {
            durable::make_private_directory(&settings.house.join(update::ROOM))
                .map_err(UplinkError::store("cannot make the room for updates"))?;
        }
        let drop = Arc::new(Depositor::open(staging, inbox)?);
        let interval = Duration::from_secs(*interval_seconds);
        Ok(Some(Self { parcel, hub, drop, house: settings.house.clone(), interval, budget: update::Budget::default() }))
    }

    /// Asks the hub again and again.
    ///
    /// # Errors
    /// The drop or the house failed.
    pub(crate) async fn run(mut self) -> Result<(), UplinkError> {
        loop {
            let hub = self.hub.borrow_and_update().clone();
            if let Some(hub) = hub {
                match self.round(&hub).await {
                    Ok(()) => {}
                    Err(Trouble::Store(error)) if error.is_full() => events::disk_full(),
                    Err(Trouble::Store(error)) => return Err(error),
                    // What goes wrong with the hub shows in what uplink is for; the next turn goes on.
                    Err(Trouble::Hub) => {}
                }
            }
            tokio::select! {
                changed = self.hub.changed() => changed.map_err(|_| UplinkError::Ended("the enrolment"))?,
                () = time::sleep(self.interval) => {}
            }
        }
    }

    async fn round(&mut self, hub: &Hub) -> Result<(), Trouble> {
        let tag = fs::read_to_string(self.house.join(self.parcel.tag)).ok();
        let Some((tag, bytes)) = hub.newest(self.parcel, tag.as_deref()).await? else { return Ok(()) };
        if self.parcel.archive {
            return self.bring_update(hub, tag, bytes).await;
        }
        self.hand_over(tag, bytes.len(), move |drop| drop.deposit(b"{}", &bytes).map(|_| ())).await
    }

    /// Has `deposit` put a parcel of `length` bytes into the drop, and remembers its tag.
    ///
    /// # Errors
    /// The drop or the house failed.
    pub(crate) async fn hand_over(
        &self,
        tag: String,
        length: usize,
        deposit: impl FnOnce(&Depositor) -> Result<(), SpoolError> + Send + 'static,
    ) -> Result<(), Trouble> {
        let (drop, house, parcel) = (self.drop.clone(), self.house.clone(), self.parcel);
        let handed = task::spawn_blocking(move || {
            drop.post_late()?;
            deposit(&drop)?;
            // After the parcel: a crash in between hands it over twice, which no reader minds.
            durable::replace(&house, parcel.tag, tag.as_bytes()).map_err(SpoolError::Store)
        });
        let handed = handed.await.unwrap_or_else(|_| Err(SpoolError::Store(io::ErrorKind::Other.into())));
        handed.map_err(UplinkError::from)?;
        (self.parcel.handed_over)(length);
        Ok(())
    }
}

/// What ended a round.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The hub, or the way to it.
    Hub,
    /// The disk.
    Store(UplinkError),
}

impl From<AttemptError> for Trouble {
    fn from(_: AttemptError) -> Self {
        Self::Hub
    }
}

impl From<UplinkError> for Trouble {
    fn from(error: UplinkError) -> Self {
        Self::Store(error)
    }
}
