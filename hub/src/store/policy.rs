//! Signed policy bundles. The hub carries them and looks at their form and serial only: whom to believe is the boxes' matter.

use gift_wire::{Bundle, SignedBundle};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    audit::{self, Action, AuditKey},
    now_ms,
};
use crate::error::{Doing as _, HubError};

/// Bundles kept, so that the trail can be followed.
const KEPT: u32 = 20;

/// Puts a bundle up; returns its serial.
///
/// # Errors
/// Bytes that are no bundle, a serial that is not greater than all before, or SQLite's.
pub fn add(connection: &Connection, key: &AuditKey, bytes: &[u8]) -> Result<u64, HubError> {
    let refused = |error: gift_wire::BundleError| HubError::Setup(error.to_string());
    let bundle = Bundle::parse(&SignedBundle::from_json(bytes).map_err(refused)?.bundle).map_err(refused)?;
    let serial =
        i64::try_from(bundle.serial).map_err(|_| HubError::Setup("the bundle's serial is too large".into()))?;
    if newest(connection)?.is_some_and(|(there, _)| there >= serial) {
        return Err(HubError::Setup("a bundle of this serial, or a newer one, is there already".to_owned()));
    }
    connection
        .execute("INSERT INTO policy(serial, added_ms, bundle) VALUES(?1, ?2, ?3)", (serial, now_ms(), bytes))
        .doing("add policy")?;
    connection
        .execute(
            "DELETE FROM policy WHERE serial NOT IN (SELECT serial FROM policy ORDER BY serial DESC LIMIT ?1)",
            [KEPT],
        )
        .doing("forget old policy")?;
    audit::append(connection, key, "operator", Action::PolicyAdded, &serial.to_string())?;
    Ok(bundle.serial)
}

/// The newest bundle and its serial.
///
/// # Errors
/// SQLite's.
pub fn newest(connection: &Connection) -> Result<Option<(i64, Vec<u8>)>, HubError> {
    connection
        .query_row("SELECT serial, bundle FROM policy ORDER BY serial DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .doing("find policy")
}
