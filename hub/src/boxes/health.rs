//! `POST /box/v1/health`: a box's report, kept as its last one and in a short history.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode};
use gift_wire::{HealthReport, ObjectId, WIRE_VERSION};

use super::Enrolled;
use crate::{error::Problem, events, hub::Hub, store::fleet};

/// Longest version text shown.
const MAX_SOFTWARE: usize = 64;

/// Takes a report.
///
/// # Errors
/// 400 for bytes that are no report of this version.
pub async fn report(
    State(hub): State<Arc<Hub>>,
    Enrolled(device): Enrolled,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let report: HealthReport =
        serde_json::from_slice(&body).map_err(|_| Problem::bad_request("not a health report"))?;
    // The report's only two texts: an identifier and a version.
    let software = &report.software;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
    let ok = report.version == WIRE_VERSION
        && ObjectId::parse(&report.boot).is_some()
        && (1..=MAX_SOFTWARE).contains(&software.len())
        && software.bytes().all(plain);
    if !ok {
        return Err(Problem::bad_request("not a health report of this version"));
    }
    let history = hub.settings.fleet.history_reports;
    let name = device.name.clone();
    let cloned = hub.store.write(move |c, key| fleet::keep_report(c, key, &device, &report, history)).await?;
    if cloned {
        events::clone_suspected(&name);
    }
    Ok(StatusCode::NO_CONTENT)
}
