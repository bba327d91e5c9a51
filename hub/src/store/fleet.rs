//! Boxes: tokens, certificates, reports, boots.

use gift_wire::HealthReport;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::{
    audit::{self, Action, AuditKey},
    now_ms,
};
use crate::error::{Doing as _, HubError};

/// A boot that has not reported for this long has ended: three reporting intervals.
const SILENT_MS: i64 = 180_000;

/// Boots remembered per box.
const REMEMBERED_BOOTS: u32 = 64;

/// A device certificate's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Database id.
    pub box_id: i64,
    /// Fleet name.
    pub name: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

/// A box as the fleet page shows it.
#[derive(Debug, Clone)]
pub struct BoxRow {
    /// Fleet name.
    pub name: String,
    /// Revoked at, ms since the Unix epoch.
    pub revoked_ms: Option<i64>,
    /// Clone suspected at, ms since the Unix epoch.
    pub clone_suspected_ms: Option<i64>,
    /// The last report arrived, ms since the Unix epoch, by the hub's clock.
    pub last_seen_ms: Option<i64>,
    /// The last report.
    pub report: Option<HealthReport>,
    /// Objects stored from this box.
    pub stored: u64,
    /// The newest canary that passed did so at, ms since the Unix epoch.
    pub canary_passed_ms: Option<i64>,
    /// The last canary that failed did so at, ms since the Unix epoch.
    pub canary_failed_ms: Option<i64>,
    /// Objects isolated from this box.
    pub isolated: u64,
    /// Those of them that no operator has acknowledged.
    pub isolated_new: u64,
    /// End of the newest certificate, ms since the Unix epoch.
    pub certificate_not_after_ms: Option<i64>,
}

/// True for a fleet or user name: `[a-z0-9._-]{1,64}`.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// Names a box, or finds one of that name, and makes a one-time token for it. Older unused tokens of the box end.
///
/// # Errors
/// A name that is none, a revoked box, or SQLite's.
pub fn add_box(connection: &Connection, key: &AuditKey, name: &str, token_hours: u32) -> Result<String, HubError> {
    if !is_name(name) {
        return Err(HubError::Setup("a box name is 1 to 64 of a-z, 0-9, '.', '_' and '-'".to_owned()));
    }
    connection
        .execute("INSERT INTO boxes(name, created_ms) VALUES(?1, ?2) ON CONFLICT(name) DO NOTHING", (name, now_ms()))
        .doing("add box")?;
    let (id, revoked): (i64, Option<i64>) = connection
        .query_row("SELECT id, revoked_ms FROM boxes WHERE name = ?1", [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .doing("find box")?;
    if revoked.is_some() {
        return Err(HubError::Setup("this box is revoked; give its replacement another name".to_owned()));
    }
    let token = crate::web::secret::random_token()?;
    let expires = now_ms().saturating_add(i64::from(token_hours) * 3_600_000);
    connection.execute("DELETE FROM tokens WHERE box_id = ?1 AND used_ms IS NULL", [id]).doing("end tokens")?;
    connection
        .execute(
            "INSERT INTO tokens VALUES(?1, ?2, ?3, ?4, NULL, NULL)",
            (Sha256::digest(token.as_bytes()).as_slice(), id, now_ms(), expires),
        )
        .doing("add token")?;
    audit::append(connection, key, "command", Action::BoxAdded, name)?;
    Ok(token)
}

/// Revokes a box: none of its certificates or tokens is good any more.
///
/// # Errors
/// No such box, or SQLite's.
pub fn revoke_box(connection: &Connection, key: &AuditKey, name: &str) -> Result<(), HubError> {
    let changed = connection
        .execute("UPDATE boxes SET revoked_ms = coalesce(revoked_ms, ?2) WHERE name = ?1", (name, now_ms()))
        .doing("revoke box")?;
    if changed == 0 {
        return Err(HubError::Setup("no box of this name".to_owned()));
    }
    audit::append(connection, key, "command", Action::BoxRevoked, name)
}

/// An operator has looked: isolated objects so far and a suspected clone no longer ask for attention. The objects stay isolated,
/// and a clone that still lives is found again.
///
/// # Errors
/// No such box, or SQLite's.
pub fn acknowledge(connection: &Connection, key: &AuditKey, name: &str) -> Result<(), HubError> {
    let id: Option<i64> = connection
        .query_row("SELECT id FROM boxes WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .doing("find box")?;
    let id = id.ok_or_else(|| HubError::Setup("no box of this name".to_owned()))?;
    connection
        .execute(
            "UPDATE isolated SET acknowledged_ms = ?2 WHERE box_id = ?1 AND acknowledged_ms IS NULL",
            (id, now_ms()),
        )
        .doing("acknowledge isolated")?;
    connection.execute("UPDATE boxes SET clone_suspected_ms = NULL WHERE id = ?1", [id]).doing("acknowledge clone")?;
    connection.execute("DELETE FROM boots WHERE box_id = ?1", [id]).doing("forget boots")?;
    audit::append(connection, key, "command", Action::Acknowledge, name)
}

/// Spends a one-time token on the key with this digest: the box it was made for, or `None` when it is unknown, expired before it was
/// spent, spent on another key, or its box is revoked. A key that spent one of the box's tokens may spend that, or a later one that nobody
/// has, at any time: the box may have lost power between our commit and its own, or have had no way to the hub for longer than its
/// certificate (or a token that a further provisioning brought) lasts; only it can sign with that key.
///
/// # Errors
/// SQLite's.
pub fn spend_token(connection: &Connection, token: &str, key: &[u8; 32]) -> Result<Option<(i64, String)>, HubError> {
    let hash = Sha256::digest(token.as_bytes());
    let spent: Option<i64> = connection
        .query_row(
            "UPDATE tokens SET used_ms = coalesce(used_ms, ?2), used_by = ?3 \
             WHERE hash = ?1 AND (used_by = ?3 OR (used_by IS NULL AND (expires_ms > ?2 OR EXISTS( \
                 SELECT 1 FROM tokens AS before WHERE before.box_id = tokens.box_id AND before.used_by = ?3)))) \
             RETURNING box_id",
            (hash.as_slice(), now_ms(), key.as_slice()),
            |row| row.get(0),
        )
        .optional()
        .doing("spend token")?;
    let Some(id) = spent else { return Ok(None) };
    connection
        .query_row("SELECT id, name FROM boxes WHERE id = ?1 AND revoked_ms IS NULL", [id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .doing("find box of token")
}

/// Records an issued device certificate.
///
/// # Errors
/// SQLite's.
pub fn record_certificate(
    connection: &Connection,
    key: &AuditKey,
    device: &Device,
    serial: &str,
    not_after_ms: i64,
) -> Result<(), HubError> {
    connection
        .execute(
            "INSERT INTO certificates VALUES(?1, ?2, ?3, ?4, ?5, NULL)",
            (device.fingerprint.as_slice(), serial, device.box_id, now_ms(), not_after_ms),
        )
        .doing("record certificate")?;
    audit::append(connection, key, &format!("box:{}", device.name), Action::Enrol, serial)
}

/// The box whose certificate has this fingerprint, if certificate and box are good now.
///
/// # Errors
/// SQLite's.
pub fn find_device(connection: &Connection, fingerprint: [u8; 32]) -> Result<Option<Device>, HubError> {
    connection
        .prepare_cached(
            "SELECT b.id, b.name FROM certificates c JOIN boxes b ON b.id = c.box_id \
             WHERE c.fingerprint = ?1 AND c.revoked_ms IS NULL AND b.revoked_ms IS NULL AND c.not_after_ms > ?2",
        )
        .and_then(|mut s| {
            s.query_row((fingerprint.as_slice(), now_ms()), |row| {
                Ok(Device { box_id: row.get(0)?, name: row.get(1)?, fingerprint })
            })
            .optional()
        })
        .doing("find device")
}

/// True while the certificate with this fingerprint is good.
///
/// # Errors
/// SQLite's.
pub fn is_valid(connection: &Connection, fingerprint: &[u8; 32]) -> Result<bool, HubError> {
    Ok(find_device(connection, *fingerprint)?.is_some())
}

/// Keeps a report. True when it shows, for the first time, that two boxes use one identity: two boots whose reports, by the
/// box's own clock, overlap in time. (A report of an earlier boot that arrives late lies before the later boot and is no sign.)
///
/// # Errors
/// SQLite's.
pub fn keep_report(
    connection: &Connection,
    key: &AuditKey,
    device: &Device,
    report: &HealthReport,
    history: u32,
) -> Result<bool, HubError> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (id, now, sent, sequence) = (device.box_id, now_ms(), number(report.sent_ms), number(report.sequence));
    let text = serde_json::to_string(report).unwrap_or_default();
    let inserted: Option<i64> = connection
        .query_row(
            "INSERT INTO reports(box_id, received_ms, boot, sequence, report) VALUES(?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING RETURNING id",
            (id, now, &report.boot, sequence, &text),
            |row| row.get(0),
        )
        .optional()
        .doing("keep report")?;
    connection
        .execute(
            "INSERT INTO boots VALUES(?1, ?2, ?3, ?3, ?4) ON CONFLICT DO UPDATE SET \
             first_sent_ms = min(first_sent_ms, excluded.first_sent_ms), \
             last_sent_ms = max(last_sent_ms, excluded.last_sent_ms), last_received_ms = excluded.last_received_ms",
            (id, &report.boot, sent, now),
        )
        .doing("keep boot")?;
    if let Some(report_id) = inserted {
        show(connection, id, report_id)?;
    }
    connection.execute("UPDATE latest SET last_seen_ms = ?2 WHERE box_id = ?1", (id, now)).doing("keep contact")?;
    connection
        .execute(
            "DELETE FROM reports WHERE box_id = ?1 AND id NOT IN (SELECT report_id FROM latest) AND id <= \
             (SELECT id FROM reports WHERE box_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (id, history),
        )
        .doing("shorten history")?;
    connection
        .execute(
            "DELETE FROM boots WHERE box_id = ?1 AND boot IN \
             (SELECT boot FROM boots WHERE box_id = ?1 ORDER BY last_received_ms DESC, last_sent_ms DESC LIMIT -1 OFFSET ?2)",
            (id, REMEMBERED_BOOTS),
        )
        .doing("forget old boots")?;
    let overlaps: bool = connection
        .query_row(
            "SELECT EXISTS(SELECT 1 FROM boots a JOIN boots b ON b.box_id = a.box_id AND b.boot <> a.boot \
             WHERE a.box_id = ?1 AND a.boot = ?2 AND a.first_sent_ms < b.last_sent_ms AND b.first_sent_ms < a.last_sent_ms)",
            (id, &report.boot),
            |row| row.get(0),
        )
        .doing("compare boots")?;
    if !overlaps {
        return Ok(false);
    }
    let first = connection
        .execute("UPDATE boxes SET clone_suspected_ms = ?2 WHERE id = ?1 AND clone_suspected_ms IS NULL", (id, now))
        .doing("flag clone")?
        == 1;
    if first {
        audit::append(connection, key, &format!("box:{}", device.name), Action::CloneSuspected, &device.name)?;
    }
    Ok(first)
}

/// Makes the page show `report_id` unless what it shows is newer: a later sequence of the same boot, or a later boot by the box's
/// clock. A boot that fell silent gives way whatever the clocks say (the box's clock may have been set back).
fn show(connection: &Connection, box_id: i64, report_id: i64) -> Result<(), HubError> {
    let shown: Option<i64> = connection
        .query_row("SELECT report_id FROM latest WHERE box_id = ?1", [box_id], |row| row.get(0))
        .optional()
        .doing("find latest report")?;
    let newer = match shown {
        None => true,
        Some(shown) => connection
            .query_row(
                "SELECT CASE WHEN n.boot = o.boot THEN n.sequence > o.sequence \
                 ELSE ob.boot IS NULL OR nb.first_sent_ms > ob.first_sent_ms OR ob.last_received_ms < n.received_ms - ?3 END \
                 FROM reports n JOIN boots nb ON nb.box_id = n.box_id AND nb.boot = n.boot, \
                 reports o LEFT JOIN boots ob ON ob.box_id = o.box_id AND ob.boot = o.boot WHERE n.id = ?1 AND o.id = ?2",
                (report_id, shown, SILENT_MS),
                |row| row.get(0),
            )
            .doing("compare reports")?,
    };
    if newer {
        connection
            .execute("INSERT OR REPLACE INTO latest VALUES(?1, ?2, ?3)", (box_id, report_id, now_ms()))
            .doing("keep latest report")?;
    }
    Ok(())
}

/// All boxes by name, for the fleet page.
///
/// # Errors
/// SQLite's.
pub fn list(connection: &Connection) -> Result<Vec<BoxRow>, HubError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT b.name, b.revoked_ms, b.clone_suspected_ms, l.last_seen_ms, r.report, \
             (SELECT count(*) FROM instances i WHERE i.box_id = b.id), \
             (SELECT count(*) FROM isolated i WHERE i.box_id = b.id), \
             (SELECT count(*) FROM isolated i WHERE i.box_id = b.id AND i.acknowledged_ms IS NULL), \
             (SELECT max(not_after_ms) FROM certificates c WHERE c.box_id = b.id), y.passed_ms, y.failed_ms \
             FROM boxes b LEFT JOIN canaries y ON y.box_id = b.id LEFT JOIN latest l ON l.box_id = b.id LEFT JOIN reports r ON r.id = l.report_id ORDER BY b.name",
        )
        .doing("list boxes")?;
    let rows = statement
        .query_map([], |row| {
            Ok(BoxRow {
                name: row.get(0)?,
                revoked_ms: row.get(1)?,
                clone_suspected_ms: row.get(2)?,
                last_seen_ms: row.get(3)?,
                report: row.get::<_, Option<String>>(4)?.and_then(|text| serde_json::from_str(&text).ok()),
                stored: row.get(5)?,
                isolated: row.get(6)?,
                isolated_new: row.get(7)?,
                certificate_not_after_ms: row.get(8)?,
                canary_passed_ms: row.get(9)?,
                canary_failed_ms: row.get(10)?,
            })
        })
        .doing("list boxes")?;
    rows.collect::<Result<_, _>>().doing("list boxes")
}

/// Isolated objects by what they violated, most first: violations and count.
///
/// # Errors
/// SQLite's.
pub fn isolated_by_violation(connection: &Connection) -> Result<Vec<(String, u64)>, HubError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT violations, count(*) AS n FROM isolated GROUP BY violations ORDER BY n DESC, violations LIMIT 100",
        )
        .doing("list isolated")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).doing("list isolated")?;
    rows.collect::<Result<_, _>>().doing("list isolated")
}

#[cfg(test)]
mod tests;
