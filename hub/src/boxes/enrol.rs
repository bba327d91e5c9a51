//! `POST /box/v1/enrol`: a one-time token and a certificate signing request against a device certificate. With a good device
//! certificate and an empty token, the same request renews it.

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
    store::{
        audit::AuditKey,
        fleet::{self, Device},
        now_ms,
    },
};

const REFUSED: Problem = Problem::new(StatusCode::FORBIDDEN, "enrolment refused");

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
    let renewing =
        if request.token.is_empty() { Some(Enrolled::from_request_parts(&mut parts, &hub).await?.0) } else { None };
    let renewed = renewing.is_some();
    let (inner, pki) = (Arc::clone(&hub), request);
    let issued = hub.store.write(move |c, key| issue(c, key, &inner, renewing, &pki)).await?;
    match issued {
        Ok(response) => {
            events::enrolled(&response.box_name, renewed);
            Ok(Json(response))
        }
        Err((problem, why)) => {
            events::enrol_refused(peer.address, why);
            Err(problem)
        }
    }
}

type Refusal = (Problem, &'static str);

/// Spends the token, signs and records in one transaction. A request whose CSR is refused does not spend its token.
fn issue(
    connection: &rusqlite::Connection,
    key: &AuditKey,
    hub: &Hub,
    renewing: Option<Device>,
    request: &EnrolRequest,
) -> Result<Result<EnrolResponse, Refusal>, HubError> {
    let days = hub.settings.enrolment.certificate_days;
    // Made under a placeholder first, so that a bad CSR costs nothing; the name is fixed below.
    let owner = match renewing {
        Some(device) if fleet::is_valid(connection, &device.fingerprint)? => Some((device.box_id, device.name)),
        Some(_) => None,
        None => {
            if let Err(error) = hub.pki.issue_device("check", &request.csr_pem, days)? {
                let _ = error;
                return Ok(Err((Problem::bad_request("certificate signing request refused"), "csr")));
            }
            fleet::spend_token(connection, &request.token)?
        }
    };
    let Some((box_id, name)) = owner else { return Ok(Err((REFUSED, "token or certificate not good"))) };
    let issued = match hub.pki.issue_device(&name, &request.csr_pem, days)? {
        Ok(issued) => issued,
        Err(_) => return Ok(Err((Problem::bad_request("certificate signing request refused"), "csr"))),
    };
    let device = Device { box_id, name: name.clone(), fingerprint: issued.fingerprint };
    let not_after_ms = i64::try_from(issued.not_after_ms).unwrap_or(i64::MAX);
    fleet::record_certificate(connection, key, &device, &issued.serial, not_after_ms)?;
    Ok(Ok(EnrolResponse {
        version: WIRE_VERSION,
        certificate_pem: issued.chain_pem,
        not_after_ms: issued.not_after_ms,
        box_name: name,
        hub_time_ms: u64::try_from(now_ms()).unwrap_or_default(),
    }))
}
