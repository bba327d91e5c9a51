//! Signed policy bundles: taken from the drop that uplink posts into, believed only with the signature of a key that the settings
//! name, and kept so that the next start has them too.
//!
//! Refused are a bundle that nobody of ours signed, one that is older than (or other than, with the same serial) the one in force,
//! one past its last day, and one whose policy does not parse. Whatever is refused, the policy in force stays. The last day counts
//! when a bundle arrives: one in force stays in force, because a box without policy helps nobody.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use chrono::DateTime;
use gift_spool::{Collector, ItemId, Limits, SpoolError};
use gift_wire::{Bundle, BundleError, MAX_BUNDLE_BYTES, SignedBundle};
use minisign_verify::{PublicKey, Signature};

use crate::{
    error::DeidError,
    policy::PolicyError,
    settings::{self, Settings, SettingsFault},
    work,
};

/// Room for the record around the bundle, bytes.
const RECORD_BYTES: u64 = 128 << 10;
/// The bundle in force, in the shelf's directory.
const KEPT: &str = "bundle.json";
/// The same while it is written.
const PART: &str = "bundle.part";

/// Why a bundle is not put in force.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error(transparent)]
    Form(#[from] BundleError),
    /// The item that carried it is damaged or too long.
    #[error("policy bundle damaged")]
    Damaged,
    /// Not signed by a key of ours.
    #[error("policy bundle not signed by a known key")]
    Unsigned,
    /// A newer one is in force, or another of this serial.
    #[error("policy bundle older than the one in force")]
    Older,
    /// Past its last day.
    #[error("policy bundle expired")]
    Expired,
    /// With it there would be no policy.
    #[error("policy bundle unusable: {0}")]
    Policy(#[from] PolicyError),
}

/// A bundle whose signature holds, with the bytes it came in.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What it says.
    pub bundle: Bundle,
    bytes: Vec<u8>,
}

/// Where bundles arrive and where the one in force is kept.
#[derive(Debug)]
pub struct Bundles {
    inbox: Collector,
    keys: Vec<PublicKey>,
    shelf: PathBuf,
    aside: PathBuf,
}

impl Bundles {
    /// Opens drop and shelf; `None` where the settings name no bundles.
    ///
    /// # Errors
    /// A directory that cannot be used, or a key that is none.
    pub fn open(settings: &Settings) -> Result<Option<Self>, DeidError> {
        let Some(bundles) = &settings.bundles else { return Ok(None) };
        let (shelf, aside) = (settings.house.join("policy"), settings.house.join("policy-aside"));
        for directory in [&shelf, &aside] {
            work::make(directory).map_err(DeidError::io("policy shelf"))?;
        }
        let limits = Limits { max_item_bytes: MAX_BUNDLE_BYTES as u64 + RECORD_BYTES, ..Limits::default() };
        let inbox = Collector::open(&bundles.inbox, &aside, &settings::uids(&bundles.writers)?)?.with_limits(limits);
        let keys = bundles.keys.iter().map(|key| parse_key(key).ok_or(SettingsFault::BundleKey));
        Ok(Some(Self { inbox, keys: keys.collect::<Result<_, _>>()?, shelf, aside }))
    }

    /// The bundle that was in force at the last end. Its signature is looked at again, its last day is not.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub fn kept(&self) -> Result<Option<Signed>, Refused> {
        match fs::read(self.shelf.join(KEPT)) {
            Ok(bytes) => self.signed(bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(Refused::Damaged),
        }
    }

    /// What arrived, oldest first; each stays until [`Bundles::finish`].
    ///
    /// # Errors
    /// The drop's.
    pub fn arrived(&self) -> Result<Vec<ItemId>, SpoolError> {
        self.inbox.scan()
    }

    /// Reads an arrival. `Ok(None)` when it is no longer there.
    ///
    /// # Errors
    /// The drop's; inside, why it is refused.
    pub fn take(&self, id: &ItemId) -> Result<Option<Result<Signed, Refused>>, SpoolError> {
        let mut bytes = Vec::new();
        match self.inbox.take_into(id, &mut bytes) {
            Ok(_) => Ok(Some(self.signed(bytes))),
            Err(SpoolError::Gone) => Ok(None),
            Err(SpoolError::Damaged) => {
                self.inbox.set_aside(id)?;
                // Of no use to anybody: the hub has it.
                let _ = fs::remove_file(self.aside.join(id.as_str()));
                Ok(Some(Err(Refused::Damaged)))
            }
            Err(error) => Err(error),
        }
    }

    /// An arrival is done with.
    ///
    /// # Errors
    /// The drop's.
    pub fn finish(&self, id: &ItemId) -> Result<(), SpoolError> {
        self.inbox.finish(id)
    }

    /// Makes `signed` the one that the next start has: on return it survives power loss.
    ///
    /// # Errors
    /// The file system's; the one before then still stands.
    pub fn keep(&self, signed: &Signed) -> io::Result<()> {
        let part = self.shelf.join(PART);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&signed.bytes)?;
        file.sync_all()?;
        fs::rename(&part, self.shelf.join(KEPT))?;
        File::open(&self.shelf)?.sync_all()
    }

    fn signed(&self, bytes: Vec<u8>) -> Result<Signed, Refused> {
        let carried = SignedBundle::from_json(&bytes)?;
        let signature = Signature::decode(&carried.signature).map_err(|_| Refused::Unsigned)?;
        let holds = |key: &PublicKey| key.verify(carried.bundle.as_bytes(), &signature, false).is_ok();
        if !self.keys.iter().any(holds) {
            return Err(Refused::Unsigned);
        }
        Ok(Signed { bundle: Bundle::parse(&carried.bundle)?, bytes })
    }
}

impl Signed {
    /// Whether it may follow `in_force` at `now_ms` (since the Unix epoch): `Ok(false)` when it is the same.
    ///
    /// # Errors
    /// [`Refused::Older`], [`Refused::Expired`].
    pub fn may_follow(&self, in_force: Option<&Bundle>, now_ms: u64) -> Result<bool, Refused> {
        match in_force {
            Some(there) if *there == self.bundle => return Ok(false),
            Some(there) if there.serial >= self.bundle.serial => return Err(Refused::Older),
            _ => {}
        }
        let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis);
        let today = now.map(|now| now.format("%Y-%m-%d").to_string()).ok_or(Refused::Expired)?;
        if today > self.bundle.expires { Err(Refused::Expired) } else { Ok(true) }
    }
}

/// A minisign public key: its one line of base64.
pub fn parse_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_base64(text).ok()
}
