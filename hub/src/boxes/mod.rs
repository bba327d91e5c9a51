//! What boxes may ask: enrolment (with a one-time token), and with a good device certificate storing objects, reporting
//! health, renewing, the newest signed policy, the newest signed system update and its archive, the newest signed order for this box.

pub mod enrol;
mod etag;
pub mod health;
pub mod multipart;
pub mod order;
pub mod policy;
pub mod stow;
pub mod update;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::{StatusCode, request::Parts},
    middleware,
    routing::{get, post},
};

use crate::{
    error::{Problem, as_problem},
    events,
    hub::Hub,
    pki,
    server::Peer,
    store::fleet,
    store::fleet::Device,
};

/// Largest enrolment request, bytes.
const MAX_ENROL_BYTES: usize = 16 << 10;
/// Largest health report, bytes.
const MAX_REPORT_BYTES: usize = 64 << 10;

/// The routes of the box listener.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route(gift_wire::ENROL_PATH, post(enrol::enrol).layer(DefaultBodyLimit::max(MAX_ENROL_BYTES)))
        .route(gift_wire::HEALTH_PATH, post(health::report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
        .route(gift_wire::POLICY_PATH, get(policy::newest))
        .route(gift_wire::UPDATE_PATH, get(update::newest))
        .route(gift_wire::ORDER_PATH, get(order::newest))
        .route(&format!("{}/{{sha256}}", gift_wire::UPDATE_PATH), get(update::archive))
        .route(gift_wire::STOW_PATH, post(stow::store).layer(DefaultBodyLimit::disable()))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
        .layer(middleware::map_response(|response| async { as_problem(response) }))
        .with_state(hub)
}

/// The box that asks: its certificate was verified by TLS, and is looked up now, for this request.
#[derive(Debug, Clone)]
pub struct Enrolled(pub Device);

impl FromRequestParts<Arc<Hub>> for Enrolled {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let peer = peer(parts)?;
        let Some(certificate) = &peer.certificate else {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "a device certificate is needed"));
        };
        let fingerprint = pki::fingerprint(certificate);
        match hub.store.read(move |c| fleet::find_device(c, fingerprint)).await? {
            Some(device) => Ok(Self(device)),
            None => {
                events::device_refused(peer.address, "unknown, expired or revoked");
                Err(Problem::new(StatusCode::FORBIDDEN, "this device certificate is not accepted"))
            }
        }
    }
}

/// Who is at the other end of the connection.
///
/// # Errors
/// 500 when the request did not come through [`crate::server`].
pub fn peer(parts: &Parts) -> Result<Peer, Problem> {
    let peer = parts.extensions.get::<Peer>().cloned();
    peer.ok_or(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "connection without a peer"))
}
