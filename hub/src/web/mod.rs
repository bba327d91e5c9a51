//! What people and DICOMweb clients see: pages rendered here, QIDO-RS and WADO-RS, one set of response headers on all of it.
//! The IP allow-list was applied before TLS ([`crate::server`]).

pub mod allowlist;
pub mod auth;
pub mod dicomweb;
pub mod media;
pub mod pages;
pub mod password;
pub mod secret;
pub mod throttle;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};

use crate::{
    error::{Problem, as_problem},
    hub::Hub,
};

/// Largest body of a form, bytes.
const MAX_FORM_BYTES: usize = 8 << 10;

/// No inline script or style, nothing from elsewhere, no frames (bar S19).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Headers of every response; a route may set `Cache-Control` itself.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The routes of the web listener.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .merge(pages::router())
        .nest("/dicomweb", dicomweb::router())
        .route("/healthz", get(healthz))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn(add_headers))
        .with_state(hub)
}

/// Ready when the database answers.
async fn healthz(axum::extract::State(hub): axum::extract::State<Arc<Hub>>) -> Result<&'static str, Problem> {
    use crate::error::Doing as _;
    hub.store.read(|c| c.query_row("SELECT last FROM commits", [], |row| row.get::<_, i64>(0)).doing("probe")).await?;
    Ok("ready\n")
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = as_problem(next.run(request).await);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
