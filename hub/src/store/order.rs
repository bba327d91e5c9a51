//! Signed orders to erase a box. The hub carries each to the one box that it names, and looks at form and number only: whom to believe is the
//! box's matter. A box that was erased can say nothing any more, so what became of an order follows from what is seen of the box.

use gift_wire::{Order, OrderError, OrderKind, SignedOrder};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    audit::{self, Action, AuditKey},
    fleet::Device,
    now_ms,
};
use crate::error::{Doing as _, HubError};

/// A box's newest order, as the fleet page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRow {
    /// Its number.
    pub number: u64,
    /// What is to be done.
    pub kind: OrderKind,
    /// Put up at, ms since the Unix epoch.
    pub added_ms: i64,
    /// First fetched at, ms since the Unix epoch.
    pub fetched_ms: Option<i64>,
    /// The box enrolled with a token after that: it began anew.
    pub enrolled_since: bool,
}

/// Puts an order up for the box whose name is its serial in small letters; its number.
///
/// # Errors
/// Bytes that are no order, no such box, a number that is not greater than all before of this box, or SQLite's.
pub fn add(connection: &Connection, key: &AuditKey, bytes: &[u8]) -> Result<u64, HubError> {
    let refused = |error: OrderError| HubError::Setup(error.to_string());
    let order = Order::parse(&SignedOrder::from_json(bytes).map_err(refused)?.order).map_err(refused)?;
    let name = order.serial.to_ascii_lowercase();
    let id: Option<i64> = connection
        .query_row("SELECT id FROM boxes WHERE name = ?1 AND revoked_ms IS NULL", [&name], |row| row.get(0))
        .optional()
        .doing("find box")?;
    let id = id.ok_or_else(|| HubError::Setup(format!("no box of the name {name}, or it is revoked")))?;
    let newest: Option<u64> = connection
        .query_row("SELECT max(number) FROM orders WHERE box_id = ?1", [id], |row| row.get(0))
        .doing("find order")?;
    if newest.is_some_and(|there| there >= order.number) {
        return Err(HubError::Setup(
            "an order of this number, or a newer one, is there already for this box".to_owned(),
        ));
    }
    connection
        .execute(
            "INSERT INTO orders(box_id, number, kind, added_ms, signed) VALUES(?1, ?2, ?3, ?4, ?5)",
            (id, order.number, order.kind.name(), now_ms(), bytes),
        )
        .doing("add order")?;
    audit::append(connection, key, "command", Action::OrderAdded, &target(&name, order.number, order.kind))?;
    Ok(order.number)
}

/// The newest signed order for this box.
///
/// # Errors
/// SQLite's.
pub fn newest(connection: &Connection, box_id: i64) -> Result<Option<Vec<u8>>, HubError> {
    connection
        .query_row("SELECT signed FROM orders WHERE box_id = ?1 ORDER BY number DESC LIMIT 1", [box_id], |row| {
            row.get(0)
        })
        .optional()
        .doing("find order")
}

/// Remembers that the box was given `signed`; the first time counts.
///
/// # Errors
/// SQLite's.
pub fn fetched(connection: &Connection, key: &AuditKey, device: &Device, signed: &[u8]) -> Result<(), HubError> {
    let first: Option<(u64, String)> = connection
        .query_row(
            "UPDATE orders SET fetched_ms = ?3 WHERE box_id = ?1 AND signed = ?2 AND fetched_ms IS NULL RETURNING number, kind",
            (device.box_id, signed, now_ms()),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .doing("note fetched order")?;
    let Some((number, kind)) = first else { return Ok(()) };
    let kind = OrderKind::parse(&kind).ok_or_else(|| HubError::Setup("an order of an unknown kind".to_owned()))?;
    let actor = format!("box:{}", device.name);
    audit::append(connection, key, &actor, Action::OrderFetched, &target(&device.name, number, kind))
}

fn target(name: &str, number: u64, kind: OrderKind) -> String {
    format!("{name} {} {number}", kind.name())
}

/// The newest order of each box that has one, by the box's name.
///
/// # Errors
/// SQLite's.
pub fn list(connection: &Connection) -> Result<std::collections::BTreeMap<String, OrderRow>, HubError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT b.name, o.number, o.kind, o.added_ms, o.fetched_ms, \
             EXISTS(SELECT 1 FROM tokens t WHERE t.box_id = b.id AND t.used_ms > o.fetched_ms) \
             FROM orders o JOIN boxes b ON b.id = o.box_id \
             WHERE o.number = (SELECT max(number) FROM orders WHERE box_id = b.id)",
        )
        .doing("list orders")?;
    let rows = statement
        .query_map([], |row| {
            let kind = OrderKind::parse(&row.get::<_, String>(2)?);
            let order = kind.map(|kind| -> rusqlite::Result<_> {
                Ok(OrderRow {
                    number: row.get(1)?,
                    kind,
                    added_ms: row.get(3)?,
                    fetched_ms: row.get(4)?,
                    enrolled_since: row.get(5)?,
                })
            });
            Ok((row.get::<_, String>(0)?, order.transpose()?))
        })
        .doing("list orders")?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>().doing("list orders")?;
    Ok(rows.into_iter().filter_map(|(name, order)| Some((name, order?))).collect())
}
