//! `/audit`: the trail, newest first, for administrators.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use maud::html;
use serde::Deserialize;

use super::words;
use crate::{
    hub::Hub,
    store::audit::{self, Verified},
    web::auth::{Administrator, Denied},
};

/// Rows on one page.
const ROWS: u32 = 200;

/// Where in the trail.
#[derive(Deserialize)]
pub(super) struct Before {
    #[serde(default)]
    before: i64,
    #[serde(default)]
    verify: bool,
}

/// `GET /audit`
pub(super) async fn page(
    State(hub): State<Arc<Hub>>,
    Administrator(person): Administrator,
    Query(Before { before, verify }): Query<Before>,
) -> Result<Response, Denied> {
    let inner = Arc::clone(&hub);
    let (rows, verified) = hub
        .store
        .read(move |c| {
            let verified = verify.then(|| audit::verify(c, inner.store.audit_key())).transpose()?;
            Ok((audit::newest(c, before, ROWS)?, verified))
        })
        .await?;
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            vec![
                html! { (row.seq) },
                html! { time datetime=(words::machine(row.at_ms)) { (words::absolute(row.at_ms)) } },
                html! { (row.actor) },
                html! { (row.action) },
                html! { (row.target) },
            ]
        })
        .collect();
    let content = html! {
        @match verified {
            Some(Verified::Whole(rows)) => p role="status" { "The trail is whole: " (rows) " rows." },
            Some(Verified::BrokenAt(row)) => {
                p.error role="alert" { "The trail is broken at row " (row) ": it was altered or shortened." }
            },
            None => p { a href="/audit?verify=true" { "Verify the whole trail" } },
        }
        (super::table("Audit trail", &["Row", "Time", "Who", "What", "On what"], &cells))
        @if let (true, Some(last)) = (rows.len() == ROWS as usize, rows.last()) {
            nav.pager aria-label="Pages" { a href={ "/audit?before=" (last.seq) } { "Older" } }
        }
    };
    Ok(super::page("Audit", Some(&person), "/audit", &content))
}
