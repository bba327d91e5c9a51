//! `GET /box/v1/policy`: the newest signed policy bundle, for boxes that do not have it yet.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

use super::Enrolled;
use crate::{error::Problem, hub::Hub, store::policy};

/// Gives it.
///
/// # Errors
/// 404 while there is none.
pub async fn newest(State(hub): State<Arc<Hub>>, _: Enrolled, headers: HeaderMap) -> Result<Response, Problem> {
    let Some((_, bundle)) = hub.store.read(policy::newest).await? else { return Err(Problem::not_found()) };
    let tag = format!("\"{}\"", hex::encode(Sha256::digest(&bundle)));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|there| there.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = "application/json".to_owned();
    Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], bundle).into_response())
}
