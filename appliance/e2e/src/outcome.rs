//! What became of a set: what the key says, what the hub serves, what stands in quarantine.
//!
//! The oracle holds the rig's site key, so it can say under which pseudonym an object must be on the hub, and open what is
//! held to see which object it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use gift_deid::{
    key::{Credential, Purpose, SiteKey},
    quarantine::{HeldMeta, sealed},
};
use gift_deidentify::pseudonym::{Answer, Ask, Pseudonymise as _};
use gift_status::HoldReason;

use crate::{
    generator::{Entry, Expectation, Key},
    rig::{Rig, Role},
    scu::{Sent, storescu},
    web::Web,
};

/// A set of objects on disk, with its key.
#[derive(Debug)]
pub struct Set {
    /// Where the objects are.
    pub directory: PathBuf,
    /// What is to become of them.
    pub key: Key,
}

impl Set {
    /// The files of `entries`.
    pub fn files<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> Vec<PathBuf> {
        entries.into_iter().map(|entry| self.directory.join(&entry.file)).collect()
    }

    /// The entry of a file.
    pub fn entry(&self, file: &Path) -> Option<&Entry> {
        let name = file.file_name()?.to_str()?;
        self.key.objects.iter().find(|entry| entry.file == name)
    }

    /// Sends every object as its scanner would, over `associations` associations in all; each file's answer.
    pub fn send(&self, rig: &Rig, associations: usize) -> Result<Vec<Sent>> {
        self.send_some(rig, &self.key.objects.iter().collect::<Vec<_>>(), associations)
    }

    /// Sends some of the objects: one burst for each called AE title.
    pub fn send_some(&self, rig: &Rig, entries: &[&Entry], associations: usize) -> Result<Vec<Sent>> {
        let mut by_called: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_called.entry(&entry.called_ae).or_default().push(entry);
        }
        let mut sent = Vec::new();
        for (called, entries) in by_called {
            let files = self.files(entries.iter().copied());
            let command = || rig.scanner("storescu");
            sent.extend(storescu(command, ("SCANNER1", called), rig.dicom_port, &files, associations)?);
        }
        Ok(sent)
    }
}

/// The SOP Instance UIDs under which the released objects of a key must be on the hub.
pub fn expected_on_hub<'a>(
    rig: &Rig,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<BTreeMap<String, &'a Entry>> {
    let credential = Credential::load(&rig.site_key())?;
    let key = SiteKey::new(&credential);
    let mut expected = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| entry.expect == Expectation::Released) {
        match (&key).answer(&[Ask::Uid(entry.sop_instance.clone())])?.as_slice() {
            [Answer::Uid(uid)] => expected.insert(uid.clone(), entry),
            _ => bail!("no answer to a UID"),
        };
    }
    Ok(expected)
}

/// What stands in the box's quarantine: original SOP Instance UID and reason of each item.
pub fn quarantine(rig: &Rig) -> Result<Vec<(String, HoldReason)>> {
    let uid = |meta: &HeldMeta| meta.record.as_ref().map(|r| r.sop_instance_uid.clone()).unwrap_or_default();
    Ok(sealed_metas(rig)?.iter().map(|meta| (uid(meta), meta.reason)).collect())
}

/// The fingerprints of held formats, as they stand sealed in the quarantine.
pub fn fingerprints(rig: &Rig) -> Result<Vec<String>> {
    Ok(sealed_metas(rig)?.into_iter().filter_map(|meta| meta.fingerprint).collect())
}

fn sealed_metas(rig: &Rig) -> Result<Vec<HeldMeta>> {
    let credential = Credential::load(&rig.site_key())?;
    let wrap = sealed::WrapKey::new(1, credential.derive(Purpose::QuarantineWrap));
    let mut held = Vec::new();
    for entry in std::fs::read_dir(rig.root.join("deid/quarantine")).context("quarantine")? {
        let path = entry?.path();
        let Some(item) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".held")) else {
            continue;
        };
        let mut object = Vec::new();
        let meta = sealed::open(&wrap, item, &mut BufReader::new(File::open(&path)?), &mut object)?;
        held.push(serde_json::from_slice(&meta)?);
    }
    Ok(held)
}

/// Waits until nothing is on its way any more: intake and release empty, no upload outstanding.
pub fn settle(rig: &Rig, patience: Duration) -> Result<Duration> {
    rig.wait_until("the box to settle", patience, |rig| {
        let empty = |name: &str| {
            std::fs::read_dir(rig.root.join(name)).is_ok_and(|mut entries| {
                !entries.any(|e| e.is_ok_and(|e| e.file_name().to_str().is_some_and(|n| n.len() == 32)))
            })
        };
        let waiting = |role: Role, field: &str| {
            rig.status(role).and_then(|record| record["body"][field].as_u64()).is_none_or(|count| count > 0)
        };
        empty("intake/staging")
            && empty("intake/inbox")
            && empty("release/staging-deid")
            && empty("release/outbox")
            && empty("uplink/queue")
            && !waiting(Role::Deid, "inbox_objects")
            && !waiting(Role::Uplink, "queue_objects")
    })
}

/// What is wrong with the outcome: empty when exactly the objects the key calls released are on the hub, once each, and
/// exactly those it calls held stand in quarantine with the right reason. `again` allows an object to be held more than
/// once, when its scanner sent it again after an answer got lost.
pub fn faults(rig: &Rig, entries: &[&Entry], again: bool) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let expected = expected_on_hub(rig, entries.iter().copied())?;
    let on_hub = Web::new(rig)?.instances()?;
    let distinct: BTreeSet<&String> = on_hub.iter().collect();
    if distinct.len() != on_hub.len() {
        faults.push(format!("{} instances are on the hub twice", on_hub.len() - distinct.len()));
    }
    for (uid, entry) in &expected {
        if !distinct.contains(uid) {
            faults.push(format!("{} ({:?}) is not on the hub", entry.file, entry.kind));
        }
    }
    for uid in distinct {
        if !expected.contains_key(uid) {
            faults.push(format!("on the hub, and the key does not release it: {uid}"));
        }
    }
    let mut held: BTreeMap<String, Vec<HoldReason>> = BTreeMap::new();
    for (uid, reason) in quarantine(rig)? {
        held.entry(uid).or_default().push(reason);
    }
    for entry in entries {
        let reasons = held.remove(&entry.sop_instance).unwrap_or_default();
        let right = match entry.expect {
            Expectation::Released => reasons.is_empty(),
            Expectation::Held(reason) => {
                reasons.iter().all(|r| *r == reason) && (reasons.len() == 1 || (again && reasons.len() > 1))
            }
        };
        if !right {
            faults.push(format!("{} ({:?}): expected {:?}, held as {reasons:?}", entry.file, entry.kind, entry.expect));
        }
    }
    faults.extend(held.into_values().map(|reasons| format!("held, and not of this set: {reasons:?}")));
    Ok(faults)
}
