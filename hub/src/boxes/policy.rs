//! `GET /box/v1/policy`: the newest signed policy bundle, for boxes that do not have it yet.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{Enrolled, etag};
use crate::{error::Problem, hub::Hub, store::policy};

/// Gives it.
///
/// # Errors
/// 404 while there is none.
pub async fn newest(State(hub): State<Arc<Hub>>, _: Enrolled, headers: HeaderMap) -> Result<Response, Problem> {
    let Some((_, bundle)) = hub.store.read(policy::newest).await? else { return Err(Problem::not_found()) };
    Ok(etag::signed(&headers, bundle))
}
