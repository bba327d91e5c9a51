//! Committing an object: its row, its study, series and subject label, in one transaction; idempotent by SOP Instance UID.

use gift_wire::Manifest;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    audit::{self, Action, AuditKey},
    now_ms, subjects,
};
use crate::{
    check::{Rule, Violation, in_words},
    error::{Doing as _, HubError},
    object::index::Index,
};

/// Who uploads.
#[derive(Debug, Clone)]
pub struct Uploader {
    /// Database id of the box.
    pub box_id: i64,
    /// Its fleet name.
    pub box_name: String,
    /// SHA-256 of the device certificate; looked at again inside the transaction, so that a box revoked while it uploads
    /// stores nothing.
    pub fingerprint: [u8; 32],
}

/// A commit, as the receipt states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Commit number.
    pub number: u64,
    /// When, ms since the Unix epoch.
    pub at_ms: u64,
    /// Nothing was added: these bytes were stored before.
    pub duplicate: bool,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored, now or before.
    Stored(Commit),
    /// Not stored: it contradicts what is. The caller isolates it.
    Contradicts(Violation),
    /// The box was revoked meanwhile.
    Revoked,
}

/// Stores the row of an object whose file is in its place.
///
/// # Errors
/// SQLite's.
pub fn store(
    connection: &Connection,
    uploader: &Uploader,
    manifest: &Manifest,
    index: &Index,
    prefix: &str,
) -> Result<Outcome, HubError> {
    if !super::fleet::is_valid(connection, &uploader.fingerprint)? {
        return Ok(Outcome::Revoked);
    }
    let known: Option<(String, u64, u64, String)> = connection
        .prepare_cached(
            "SELECT i.sha256, i.commit_number, i.committed_ms, p.project FROM instances i \
             JOIN series r ON r.id = i.series_id JOIN studies t ON t.id = r.study_id \
             JOIN subjects p ON p.id = t.subject_id WHERE i.uid = ?1",
        )
        .and_then(|mut s| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            s.query_row([&manifest.sop_instance_uid], row).optional()
        })
        .doing("find instance")?;
    if let Some((sha256, number, at_ms, project)) = known {
        // An instance belongs to one project: another one must not get a receipt for what it does not hold.
        return Ok(if sha256 == manifest.sha256.as_str() && project == manifest.project {
            Outcome::Stored(Commit { number, at_ms, duplicate: true })
        } else {
            Outcome::Contradicts(Violation::of(Rule::Conflict))
        });
    }
    let subject = subjects::get_or_insert(connection, &manifest.project, &manifest.subject, prefix)?;
    let Some(study) = study(connection, subject.id, manifest, index)? else {
        return Ok(Outcome::Contradicts(Violation::of(Rule::Hierarchy)));
    };
    let Some(series) = series(connection, study, manifest, index)? else {
        return Ok(Outcome::Contradicts(Violation::of(Rule::Hierarchy)));
    };
    let (number, at_ms) = next_commit(connection)?;
    connection
        .prepare_cached(
            "INSERT INTO instances(uid, series_id, sop_class, transfer_syntax, number, attributes, sha256, size, box_id, \
             object, manifest, commit_number, committed_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut s| {
            s.execute(rusqlite::params![
                manifest.sop_instance_uid,
                series,
                manifest.sop_class_uid,
                manifest.transfer_syntax_uid,
                index.instance_number,
                index.instance,
                manifest.sha256.as_str(),
                manifest.size,
                uploader.box_id,
                manifest.object.as_str(),
                manifest_json(manifest),
                number,
                at_ms,
            ])
        })
        .doing("store instance")?;
    Ok(Outcome::Stored(Commit { number, at_ms, duplicate: false }))
}

/// Stores the row of an isolated object whose file is among the isolated ones. The same bytes from the same box are stored
/// once. `None` when the box was revoked meanwhile.
///
/// # Errors
/// SQLite's.
pub fn isolate(
    connection: &Connection,
    key: &AuditKey,
    uploader: &Uploader,
    manifest: &Manifest,
    violations: &[Violation],
) -> Result<Option<Commit>, HubError> {
    if !super::fleet::is_valid(connection, &uploader.fingerprint)? {
        return Ok(None);
    }
    let known: Option<(u64, u64)> = connection
        .prepare_cached("SELECT commit_number, committed_ms FROM isolated WHERE box_id = ?1 AND sha256 = ?2")
        .and_then(|mut s| {
            s.query_row((uploader.box_id, manifest.sha256.as_str()), |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .doing("find isolated")?;
    if let Some((number, at_ms)) = known {
        return Ok(Some(Commit { number, at_ms, duplicate: true }));
    }
    let (number, at_ms) = next_commit(connection)?;
    connection
        .prepare_cached(
            "INSERT INTO isolated(box_id, sha256, size, object, violations, manifest, commit_number, committed_ms) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut s| {
            s.execute(rusqlite::params![
                uploader.box_id,
                manifest.sha256.as_str(),
                manifest.size,
                manifest.object.as_str(),
                in_words(violations),
                manifest_json(manifest),
                number,
                at_ms,
            ])
        })
        .doing("store isolated")?;
    audit::append(connection, key, &format!("box:{}", uploader.box_name), Action::Isolate, manifest.object.as_str())?;
    Ok(Some(Commit { number, at_ms, duplicate: false }))
}

/// The study's id, made if new; `None` when it belongs to another subject.
fn study(connection: &Connection, subject: i64, manifest: &Manifest, index: &Index) -> Result<Option<i64>, HubError> {
    let known: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, subject_id FROM studies WHERE uid = ?1")
        .and_then(|mut s| s.query_row([&manifest.study_instance_uid], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .doing("find study")?;
    if let Some((id, owner)) = known {
        return Ok((owner == subject).then_some(id));
    }
    connection
        .prepare_cached(
            "INSERT INTO studies(uid, subject_id, date, accession, description, attributes, created_ms) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut s| {
            s.insert(rusqlite::params![
                manifest.study_instance_uid,
                subject,
                index.study_date,
                index.accession,
                index.study_description,
                index.study,
                now_ms()
            ])
        })
        .doing("store study")
        .map(Some)
}

/// The series' id, made if new; `None` when it belongs to another study.
fn series(connection: &Connection, study: i64, manifest: &Manifest, index: &Index) -> Result<Option<i64>, HubError> {
    let known: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, study_id FROM series WHERE uid = ?1")
        .and_then(|mut s| s.query_row([&manifest.series_instance_uid], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .doing("find series")?;
    if let Some((id, owner)) = known {
        return Ok((owner == study).then_some(id));
    }
    connection
        .prepare_cached(
            "INSERT INTO series(uid, study_id, modality, number, description, attributes) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut s| {
            s.insert(rusqlite::params![
                manifest.series_instance_uid,
                study,
                index.modality,
                index.series_number,
                index.series_description,
                index.series
            ])
        })
        .doing("store series")
        .map(Some)
}

/// The number of a commit, and when it is made, ms since the Unix epoch.
pub(super) fn next_commit(connection: &Connection) -> Result<(u64, u64), HubError> {
    let number = connection
        .prepare_cached("UPDATE commits SET last = last + 1 RETURNING last")
        .and_then(|mut s| s.query_row([], |row| row.get(0)))
        .doing("number commit")?;
    Ok((number, u64::try_from(now_ms()).unwrap_or_default()))
}

fn manifest_json(manifest: &Manifest) -> String {
    // A manifest is strings and numbers: writing it as JSON cannot fail.
    serde_json::to_string(manifest).unwrap_or_default()
}
