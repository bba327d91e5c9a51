//! `GET /box/v1/order`: the newest signed order for the box that asks. That it was given is noted: the box may never be heard of again.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{Enrolled, etag};
use crate::{error::Problem, hub::Hub, store::order};

/// Gives it.
///
/// # Errors
/// 404 while there is none for this box.
pub async fn newest(
    State(hub): State<Arc<Hub>>,
    Enrolled(device): Enrolled,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = device.box_id;
    let Some(signed) = hub.store.read(move |c| order::newest(c, id)).await? else { return Err(Problem::not_found()) };
    let answer = etag::signed(&headers, signed.clone());
    if answer.status().is_success() {
        hub.store.write(move |c, key| order::fetched(c, key, &device, &signed)).await?;
    }
    Ok(answer)
}
