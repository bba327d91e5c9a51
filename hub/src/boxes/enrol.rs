//! `POST /box/v1/enrol`: a one-time token and a certificate signing request against a device certificate. With a good device
//! certificate and an empty token, the same request renews it, for the same key: a box that was taken over for a while does
//! not get a certificate for a key that can be taken along.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts as _, Request, State},
    http::StatusCode,
};
use gift_wire::{EnrolRequest, EnrolResponse, WIRE_VERSION};

use super::{Enrolled, MAX_ENROL_BYTES, peer};
use crate::{
    error::{HubError, Problem},
    events,
    hub::Hub,
    pki,
    store::{
        audit::AuditKey,
        fleet::{self, Device},
        now_ms,
    },
};

/// Answers an enrolment or renewal.
///
/// # Errors
/// 400 for a request that is none, 403 for a token that is not good.
pub async fn enrol(State(hub): State<Arc<Hub>>, request: Request) -> Result<Json<EnrolResponse>, Problem> {
    let (mut parts, body) = request.into_parts();
    let peer = peer(&parts)?;
    let bytes = axum::body::to_bytes(body, MAX_ENROL_BYTES)
        .await
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "enrolment request too large"))?;
    let request: EnrolRequest =
        serde_json::from_slice(&bytes).map_err(|_| Problem::bad_request("not an enrolment request"))?;
    if request.version != WIRE_VERSION {
        return Err(Problem::bad_request("wire version not known"));
    }
    let Ok(csr) = pki::Request::parse(&request.csr_pem) else {
        events::enrol_refused(peer.address, "certificate signing request");
        return Err(Problem::bad_request("certificate signing request refused"));
    };
    let renewing =
        if request.token.is_empty() { Some(Enrolled::from_request_parts(&mut parts, &hub).await?.0) } else { None };
    if renewing.is_some() && !peer.certificate.as_ref().is_some_and(|certificate| csr.is_for_key_of(certificate)) {
        events::enrol_refused(peer.address, "renewal for another key");
        return Err(Problem::new(StatusCode::FORBIDDEN, "enrolment refused"));
    }
    let renewed = renewing.is_some();
    let inner = Arc::clone(&hub);
    let issued = hub.store.write(move |c, key| issue(c, key, &inner, renewing, &request.token, &csr)).await?;
    let Some(response) = issued else {
        events::enrol_refused(peer.address, "token or certificate not good");
        return Err(Problem::new(StatusCode::FORBIDDEN, "enrolment refused"));
    };
    events::enrolled(&response.box_name, renewed);
    Ok(Json(response))
}

/// Spends the token, signs and records in one transaction; `None` when neither token nor certificate is good.
fn issue(
    connection: &rusqlite::Connection,
    key: &AuditKey,
    hub: &Hub,
    renewing: Option<Device>,
    token: &str,
    csr: &pki::Request,
) -> Result<Option<EnrolResponse>, HubError> {
    let owner = match renewing {
        Some(device) if fleet::is_valid(connection, &device.fingerprint)? => Some((device.box_id, device.name)),
        Some(_) => None,
        None => fleet::spend_token(connection, token, &csr.digest)?,
    };
    let Some((box_id, name)) = owner else { return Ok(None) };
    let issued = hub.pki.issue_device(&name, csr, hub.settings.enrolment.certificate_days)?;
    let device = Device { box_id, name: name.clone(), fingerprint: issued.fingerprint };
    let not_after_ms = i64::try_from(issued.not_after_ms).unwrap_or(i64::MAX);
    fleet::record_certificate(connection, key, &device, &issued.serial, not_after_ms)?;
    Ok(Some(EnrolResponse {
        version: WIRE_VERSION,
        certificate_pem: issued.chain_pem,
        not_after_ms: issued.not_after_ms,
        box_name: name,
        hub_time_ms: u64::try_from(now_ms()).unwrap_or_default(),
    }))
}
