//! All that the hub logs. A box is named by its fleet name, a user by database id, an object by its 128-bit identifier: no value
//! of a data set, no user-supplied text, ever stands in a log line.

use std::net::{IpAddr, SocketAddr};

use tracing::{error, info, level_filters::LevelFilter, warn};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::error::HubError;

/// Starts the log: journald under systemd, readable text on standard error otherwise. Only the hub's own events are
/// written (a library's may carry what it parses); `GIFT_LOG` sets their level.
pub fn start_log() {
    let level = std::env::var("GIFT_LOG").ok().and_then(|text| text.parse().ok()).unwrap_or(LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(Targets::new().with_target("gift", level));
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journald) = tracing_journald::layer()
    {
        registry.with(journald.with_syslog_identifier("gift-hub".to_owned())).init();
        return;
    }
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    registry.with(text).init();
}

/// Both listeners serve.
pub fn serving(boxes: SocketAddr, web: SocketAddr) {
    info!(%boxes, %web, "serving");
}

/// The hub ends on request.
pub fn stopping() {
    info!("stopping");
}

/// Something inside failed; the peer was asked to come back.
pub fn internal(error: &HubError) {
    error!(%error, "internal error");
}

/// The write path failed in a way that only a restart puts right.
pub fn store_failed(error: &dyn std::fmt::Display) {
    error!(%error, "store failed: ending so that a restart re-verifies");
}

/// A connection from outside the allow-list was cut.
pub fn not_allowed(peer: IpAddr) {
    warn!(%peer, "web connection outside the allow-list");
}

/// TLS was not established.
pub fn handshake_failed(listener: &'static str, peer: IpAddr, error: &dyn std::fmt::Display) {
    info!(listener, %peer, %error, "TLS handshake failed");
}

/// Accepting failed.
pub fn accept_failed(listener: &'static str, error: &std::io::Error) {
    warn!(listener, %error, "accept failed");
}

/// A box has its certificate.
pub fn enrolled(box_name: &str, renewed: bool) {
    info!(box_name, renewed, "box enrolled");
}

/// An enrolment request was refused.
pub fn enrol_refused(peer: IpAddr, why: &'static str) {
    warn!(%peer, why, "enrolment refused");
}

/// A request with an unknown or revoked device certificate.
pub fn device_refused(peer: IpAddr, why: &'static str) {
    warn!(%peer, why, "device certificate refused");
}

/// An object was stored.
pub fn stored(box_name: &str, object: &str, commit: u64, size: u64, duplicate: bool) {
    info!(box_name, object, commit, size, duplicate, "object stored");
}

/// A canary passed; it is not kept.
pub fn canary_passed(box_name: &str, object: &str, duplicate: bool) {
    info!(box_name, object, duplicate, "canary passed");
}

/// An object was isolated. `violations` are rule words and tags, never values.
pub fn isolated(box_name: &str, object: &str, violations: &str) {
    warn!(box_name, object, violations, "object isolated");
}

/// Two boxes seem to use one identity.
pub fn clone_suspected(box_name: &str) {
    warn!(box_name, "two boots report at the same time under one identity");
}

/// Someone logged in.
pub fn login(user: i64, peer: IpAddr) {
    info!(user, %peer, "login");
}

/// A login failed. Which part was wrong is not said.
pub fn login_failed(peer: IpAddr) {
    warn!(%peer, "login failed");
}

/// The issuing CA ends soon, at this time (ms since the Unix epoch): boxes, and all that they send, end with it.
pub fn issuing_ends(at_ms: i64) {
    warn!(at_ms, "the issuing CA ends soon: gift-hub renew-issuing-ca ROOT_KEY");
}

/// A server certificate was made or renewed.
pub fn server_certificate(listener: &'static str) {
    info!(listener, "server certificate made");
}
