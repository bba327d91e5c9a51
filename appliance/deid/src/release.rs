//! Depositing a de-identified object for uplink: ledger row, stage, commit, post.
//!
//! The bytes are hashed twice, when the manifest is made and while they are copied: a worker keeps its descriptor, and
//! could otherwise write after it was believed.

use std::{
    fs::File,
    io::{self, Read as _},
};

use gift_spool::{Depositor, SpoolError};
use gift_wire::{Manifest, ReleaseItem};
use sha2::{Digest as _, Sha256};

use crate::{
    error::DeidError,
    ledger::{Ledger, ReleasedRow, VerdictRow},
    work::At,
};

const CHUNK_BYTES: usize = 128 * 1024;

/// Why an object was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The output is no longer what the manifest states.
    #[error("output changed after it was hashed")]
    Changed,
    /// Anything else.
    #[error(transparent)]
    Deid(DeidError),
}

impl<E: Into<DeidError>> From<E> for ReleaseError {
    fn from(error: E) -> Self {
        Self::Deid(error.into())
    }
}

/// SHA-256 of all of `file`, hexadecimal.
///
/// # Errors
/// The file's.
pub fn sha256(file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    pump(file, u64::MAX, &mut hash, &mut io::sink())?;
    Ok(hex::encode(hash.finalize()))
}

/// Releases `output` under `manifest`: on return it is durable at the release side.
///
/// # Errors
/// [`ReleaseError`]; the release side then has nothing of it, or (after a failed store) what the next start settles.
pub fn release(
    ledger: &Ledger,
    depositor: &Depositor,
    output: &File,
    scanner: u16,
    manifest: Manifest,
) -> Result<(), ReleaseError> {
    ledger.record(&row(&manifest, scanner))?;
    let (sha256, size) = (manifest.sha256.clone(), manifest.size);
    let meta = serde_json::to_vec(&ReleaseItem::Object(Box::new(manifest)))
        .map_err(|error| DeidError::Io { what: "manifest", source: error.into() })?;
    let mut staged = depositor.stage(&meta)?;
    let mut hash = Sha256::new();
    // One byte more than stated would show.
    let copied = pump(output, size.saturating_add(1), &mut hash, &mut staged).map_err(SpoolError::from)?;
    if copied != size || hex::encode(hash.finalize()) != sha256.as_str() {
        return Err(ReleaseError::Changed);
    }
    match depositor.post(depositor.commit(staged)?) {
        // Without room in the outbox it is durable all the same, and posted later.
        Ok(_) | Err(SpoolError::Full) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn row(manifest: &Manifest, scanner: u16) -> VerdictRow {
    VerdictRow {
        item: manifest.object.as_str().to_owned(),
        at_ms: manifest.certificate.made_ms,
        scanner,
        reason: None,
        input_digest: manifest.certificate.input_digest.as_str().to_owned(),
        released: Some(ReleasedRow {
            sha256: manifest.sha256.as_str().to_owned(),
            sop_instance_uid: manifest.sop_instance_uid.clone(),
            profile: manifest.certificate.profile.clone(),
            template: manifest.certificate.template.clone(),
        }),
    }
}

/// Copies up to `most` bytes of `file` into hash and writer; returns how many.
fn pump(file: &File, most: u64, hash: &mut Sha256, to: &mut dyn io::Write) -> io::Result<u64> {
    let mut from = At::start(file).take(most);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut copied = 0;
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(copied) };
        hash.update(bytes);
        to.write_all(bytes)?;
        copied += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use gift_wire::{Certificate, ObjectId, Sha256Hex, WIRE_VERSION};

    use super::*;

    fn manifest(file: &File, size: u64) -> Manifest {
        Manifest {
            version: WIRE_VERSION,
            object: ObjectId::parse(&"0a".repeat(16)).unwrap(),
            sha256: Sha256Hex::parse(&sha256(file).unwrap()).unwrap(),
            size,
            sop_class_uid: "1.2".into(),
            sop_instance_uid: "2.25.1".into(),
            study_instance_uid: "2.25.2".into(),
            series_instance_uid: "2.25.3".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            subject: "2c".repeat(16),
            project: "p".into(),
            certificate: Certificate {
                input_digest: Sha256Hex::parse(&"3d".repeat(32)).unwrap(),
                profile: "p-1".into(),
                key_version: 1,
                linkage: None,
                actions: [0; 6],
                template: None,
                frames_proven: 0,
                leak_patterns: 0,
                made_ms: 1,
            },
        }
    }

    #[test]
    fn only_the_bytes_that_were_hashed_are_released() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["staging", "outbox"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let depositor = Depositor::open(&at("staging"), &at("outbox")).unwrap();
        let ledger = Ledger::open(&at("ledger.sqlite")).unwrap().0;
        let output = File::options().read(true).write(true).create_new(true).open(at("output")).unwrap();
        output.write_all_at(&[7; 300_000], 0).unwrap();
        let posted = || std::fs::read_dir(at("outbox")).unwrap().count();

        let stated = manifest(&output, 300_000);
        let try_release = || release(&ledger, &depositor, &output, 1, stated.clone());
        // A worker that writes after it was believed: other bytes, more, or fewer.
        output.write_all_at(b"x", 150_000).unwrap();
        assert!(matches!(try_release(), Err(ReleaseError::Changed)));
        output.write_all_at(&[7], 150_000).unwrap();
        output.write_all_at(b"x", 300_000).unwrap();
        assert!(matches!(try_release(), Err(ReleaseError::Changed)));
        output.set_len(299_999).unwrap();
        assert!(matches!(try_release(), Err(ReleaseError::Changed)));
        assert_eq!(posted(), 0);
        assert_eq!(
            std::fs::read_dir(at("staging"))
                .unwrap()
                .filter(|e| e.as_ref().unwrap().path().extension().is_some())
                .count(),
            0
        );

        output.write_all_at(&[7; 300_000], 0).unwrap();
        try_release().unwrap();
        assert_eq!(posted(), 1);
        assert!(ledger.was_released(&"0a".repeat(16)).unwrap());
    }
}
