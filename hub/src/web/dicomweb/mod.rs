//! DICOMweb for researchers' software: QIDO-RS (PS3.18 §10.6) and WADO-RS (§10.4). Read only. Patient ID and Patient's Name are
//! the subject label in query results and metadata; a retrieved object is the stored bytes, unchanged.

mod qido;
mod wado;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{header, request::Parts},
    routing::get,
};

use crate::{error::Problem, hub::Hub, server::Peer, store::query::Stored};

/// The services below `/dicomweb`.
pub fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/studies", get(qido::studies))
        .route("/series", get(qido::series))
        .route("/instances", get(qido::instances))
        .route("/studies/{study}", get(wado::study))
        .route("/studies/{study}/metadata", get(wado::study_metadata))
        .route("/studies/{study}/series", get(qido::series_of_study))
        .route("/studies/{study}/instances", get(qido::instances_of_study))
        .route("/studies/{study}/series/{series}", get(wado::series))
        .route("/studies/{study}/series/{series}/metadata", get(wado::series_metadata))
        .route("/studies/{study}/series/{series}/instances", get(qido::instances_of_series))
        .route("/studies/{study}/series/{series}/instances/{instance}", get(wado::instance))
        .route("/studies/{study}/series/{series}/instances/{instance}/metadata", get(wado::instance_metadata))
        .route("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}", get(wado::bulk_data))
}

/// The bytes of one stored object, streamed.
///
/// # Errors
/// 503 when too many transfers run.
pub fn whole(hub: &Arc<Hub>, object: &Stored) -> Result<Body, Problem> {
    wado::whole(hub, object)
}

/// The service's own address for the links in answers: the configured one, else the host that the client wrote. Some clients
/// (dicomweb-client) leave the port out of `Host`: it is then the one they connected to.
fn base_url(hub: &Hub, parts: &Parts) -> String {
    if let Some(public) = &hub.settings.web_listener.public_url {
        return format!("{public}/dicomweb");
    }
    let host = parts.headers.get(header::HOST).and_then(|v| v.to_str().ok());
    let host = parts.uri.authority().map(|a| a.as_str()).or(host).unwrap_or_default();
    let local_port = parts.extensions.get::<Peer>().map_or(443, |peer| peer.local_port);
    link_base(host, local_port)
}

fn link_base(host: &str, local_port: u16) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || !host.bytes().all(plain) {
        // Relative to the service's host.
        return "/dicomweb".to_owned();
    }
    let names_port = host.rsplit(']').next().is_some_and(|tail| tail.contains(':'));
    if names_port || local_port == 443 {
        format!("https://{host}/dicomweb")
    } else {
        format!("https://{host}:{local_port}/dicomweb")
    }
}

fn accept_header(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok())
}

/// True for text that can be a UID (PS3.5 §9.1): anything else is not found without asking the database.
fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_of_the_host_and_never_of_what_is_no_host() {
        assert_eq!(link_base("hub.example.org", 443), "https://hub.example.org/dicomweb");
        assert_eq!(link_base("localhost", 8444), "https://localhost:8444/dicomweb");
        assert_eq!(link_base("localhost:9000", 8444), "https://localhost:9000/dicomweb");
        assert_eq!(link_base("[::1]", 8444), "https://[::1]:8444/dicomweb");
        assert_eq!(link_base("[::1]:9000", 8444), "https://[::1]:9000/dicomweb");
        assert_eq!(link_base("a\"><b", 8444), "/dicomweb");
        assert_eq!(link_base("", 8444), "/dicomweb");
    }
}
