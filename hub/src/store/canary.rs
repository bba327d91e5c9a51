//! What became of canaries: for each box the newest that passed, and when the last one failed. The object itself is not kept.

use gift_wire::Manifest;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    audit::{self, Action, AuditKey},
    fleet, now_ms,
    objects::{Commit, Uploader, next_commit},
};
use crate::error::{Doing as _, HubError};

/// Notes that a canary passed. The same one again is no other. `None` when the box was revoked meanwhile.
///
/// # Errors
/// SQLite's.
pub fn passed(
    connection: &Connection,
    key: &AuditKey,
    uploader: &Uploader,
    manifest: &Manifest,
) -> Result<Option<Commit>, HubError> {
    if !fleet::is_valid(connection, &uploader.fingerprint)? {
        return Ok(None);
    }
    let known: Option<(u64, u64)> = connection
        .query_row(
            "SELECT commit_number, passed_ms FROM canaries WHERE box_id = ?1 AND sha256 = ?2",
            (uploader.box_id, manifest.sha256.as_str()),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .doing("find canary")?;
    if let Some((number, at_ms)) = known {
        return Ok(Some(Commit { number, at_ms, duplicate: true }));
    }
    let (number, at_ms) = next_commit(connection)?;
    connection
        .execute(
            "INSERT INTO canaries(box_id, sha256, commit_number, passed_ms) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET \
             sha256 = excluded.sha256, commit_number = excluded.commit_number, passed_ms = excluded.passed_ms",
            (uploader.box_id, manifest.sha256.as_str(), number, at_ms),
        )
        .doing("keep canary")?;
    let actor = format!("box:{}", uploader.box_name);
    audit::append(connection, key, &actor, Action::CanaryPassed, manifest.object.as_str())?;
    Ok(Some(Commit { number, at_ms, duplicate: false }))
}

/// Notes that a canary failed: it was isolated.
///
/// # Errors
/// SQLite's.
pub fn failed(
    connection: &Connection,
    key: &AuditKey,
    uploader: &Uploader,
    manifest: &Manifest,
) -> Result<(), HubError> {
    connection
        .execute(
            "INSERT INTO canaries(box_id, failed_ms) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET failed_ms = excluded.failed_ms",
            (uploader.box_id, now_ms()),
        )
        .doing("keep canary")?;
    let actor = format!("box:{}", uploader.box_name);
    audit::append(connection, key, &actor, Action::CanaryFailed, manifest.object.as_str())
}
