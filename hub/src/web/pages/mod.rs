//! The pages: HTML made here, whole without JavaScript, every value escaped by the template (maud). States are a word, a shape
//! and a colour. Nothing is loaded from elsewhere.

mod audit;
mod fleet;
mod login;
mod subjects;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use maud::{DOCTYPE, Markup, html};

use super::auth::Person;
use crate::{hub::Hub, store::users::Role};

/// The pages' routes.
pub fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/", get(fleet::page))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{label}", get(subjects::subject))
        .route("/studies/{study}", get(subjects::study))
        .route("/series/{series}", get(subjects::series))
        .route("/instances/{instance}/download", get(subjects::download))
        .route("/audit", get(audit::page))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/style.css", get(style))
}

async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("style.css"))
}

/// A page: title, who is logged in, where in the menu, content.
fn page(title: &str, person: Option<&Person>, here: &str, content: &Markup) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – GIFT-Cloud hub" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    p.brand { "GIFT-Cloud hub" }
                    @if let Some(person) = person {
                        (menu(person, here))
                        form method="post" action="/logout" {
                            span { (person.user.name) " (" (person.user.role.as_str()) ")" }
                            button { "Log out" }
                        }
                    }
                }
                main id="content" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    Html(markup.into_string()).into_response()
}

fn menu(person: &Person, here: &str) -> Markup {
    let entries = [("/", "Fleet"), ("/subjects", "Subjects"), ("/audit", "Audit")];
    html! {
        nav aria-label="Main" {
            ul {
                @for (address, word) in entries {
                    @if address != "/audit" || person.user.role == Role::Admin {
                        li { a href=(address) aria-current=[(here == address).then_some("page")] { (word) } }
                    }
                }
            }
        }
    }
}

/// A table that stays readable on a narrow screen: each cell repeats its column's name there.
fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for column in columns { th scope="col" { (column) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (cell, column) in row.iter().zip(columns) { td data-label=(column) { (cell) } }
                    }
                }
            }
        }
    }
}

/// Links to the former and the next lot of a long list.
fn pager(base: &str, offset: u32, shown: usize, limit: u32) -> Markup {
    let more = shown >= limit as usize;
    html! {
        @if offset > 0 || more {
            nav.pager aria-label="Pages" {
                @if offset > 0 { a href={ (base) "?offset=" (offset.saturating_sub(limit)) } { "Previous" } }
                @if more { a href={ (base) "?offset=" (offset + limit) } { "Next" } }
            }
        }
    }
}
