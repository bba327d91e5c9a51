//! Subjects, their studies, series and instances; download of one instance. Each view is in the audit trail before it is shown.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::words;
use crate::{
    error::{HubError, Problem},
    hub::Hub,
    store::{
        audit::{self, Action},
        query::{self, Line},
    },
    web::{
        auth::{Denied, Person},
        dicomweb,
    },
};

/// Lines on one page.
const LINES: u32 = 200;

/// Where in a long list.
#[derive(Deserialize)]
pub(super) struct Offset {
    #[serde(default)]
    offset: u32,
}

async fn record(hub: &Arc<Hub>, person: &Person, action: Action, target: String) -> Result<(), HubError> {
    let actor = format!("user:{}", person.user.name);
    hub.store.write(move |c, key| audit::append(c, key, &actor, action, &target)).await
}

/// Table rows from lines: the first cell links to the line's key below `base`.
fn rows(lines: &[Line], base: &str, show: impl Fn(usize, &str) -> String) -> Vec<Vec<Markup>> {
    let cell = |line: &Line, at: usize, text: &str| {
        let shown = show(at, text);
        html! {
            @if at == 0 { a href={ (base) (line.key) } { @if shown.is_empty() { "(none)" } @else { (shown) } } }
            @else { (shown) }
        }
    };
    lines.iter().map(|line| line.cells.iter().enumerate().map(|(at, text)| cell(line, at, text)).collect()).collect()
}

fn as_is(_: usize, text: &str) -> String {
    text.to_owned()
}

/// `GET /subjects`
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    person: Person,
    Query(Offset { offset }): Query<Offset>,
) -> Result<Response, Denied> {
    let lines = hub.store.read(move |c| query::subjects(c, LINES, offset)).await?;
    record(&hub, &person, Action::View, "subjects".to_owned()).await?;
    let content = html! {
        @if lines.is_empty() { p { "No subject yet." } } @else {
            (super::table("Subjects", &["Subject", "Project", "Studies", "Instances"], &rows(&lines, "/subjects/", as_is)))
        }
        (super::pager("/subjects", offset, lines.len(), LINES))
    };
    Ok(super::page("Subjects", Some(&person), "/subjects", &content))
}

/// `GET /subjects/{label}`
pub(super) async fn subject(
    State(hub): State<Arc<Hub>>,
    person: Person,
    Path(label): Path<String>,
) -> Result<Response, Denied> {
    let asked = label.clone();
    let lines = hub.store.read(move |c| query::studies_of(c, &asked)).await?;
    if lines.is_empty() {
        return Err(Problem::not_found().into());
    }
    record(&hub, &person, Action::View, label.clone()).await?;
    let show = |at: usize, text: &str| if at == 0 { words::date(text) } else { text.to_owned() };
    let columns = ["Study date", "Description", "Modalities", "Series", "Instances"];
    let content = html! {
        (trail(&[("/subjects", "Subjects")]))
        (super::table("Studies", &columns, &rows(&lines, "/studies/", show)))
    };
    Ok(super::page(&label, Some(&person), "/subjects", &content))
}

/// `GET /studies/{study}`
pub(super) async fn study(
    State(hub): State<Arc<Hub>>,
    person: Person,
    Path(study): Path<String>,
) -> Result<Response, Denied> {
    let asked = study.clone();
    let (parents, lines) =
        hub.store.read(move |c| Ok((query::parents(c, &asked)?, query::series_of(c, &asked)?))).await?;
    let (Some((label, _)), false) = (parents, lines.is_empty()) else {
        return Err(Problem::not_found().into());
    };
    record(&hub, &person, Action::View, study.clone()).await?;
    let subject = format!("/subjects/{label}");
    let content = html! {
        (trail(&[("/subjects", "Subjects"), (&subject, &label)]))
        p.uid { "Study Instance UID " code { (study) } }
        (super::table("Series", &["Series", "Modality", "Description", "Instances"], &rows(&lines, "/series/", as_is)))
    };
    Ok(super::page("Study", Some(&person), "/subjects", &content))
}

/// `GET /series/{series}`
pub(super) async fn series(
    State(hub): State<Arc<Hub>>,
    person: Person,
    Path(series): Path<String>,
    Query(Offset { offset }): Query<Offset>,
) -> Result<Response, Denied> {
    let asked = series.clone();
    let (parents, lines) = hub
        .store
        .read(move |c| Ok((query::parents(c, &asked)?, query::instances_of(c, &asked, LINES, offset)?)))
        .await?;
    let (Some((label, study)), false) = (parents, lines.is_empty()) else {
        return Err(Problem::not_found().into());
    };
    record(&hub, &person, Action::View, series.clone()).await?;
    let (subject, study) = (format!("/subjects/{label}"), format!("/studies/{study}"));
    let table_rows: Vec<Vec<Markup>> = lines
        .iter()
        .map(|line| {
            let mut cells: Vec<Markup> = line.cells.iter().map(|text| html! { (text) }).collect();
            if let Some((size, text)) = cells.last_mut().zip(line.cells.last()) {
                *size = html! { (words::bytes(text.parse().unwrap_or(0))) };
            }
            let number = line.cells.first().map_or("", String::as_str);
            cells.push(html! {
                a href={ "/instances/" (line.key) "/download" } { "Download" span.hidden { " instance " (number) } }
            });
            cells
        })
        .collect();
    let columns = ["Instance", "SOP class", "Transfer syntax", "Size", "Object"];
    let content = html! {
        (trail(&[("/subjects", "Subjects"), (&subject, &label), (&study, "Study")]))
        p.uid { "Series Instance UID " code { (series) } }
        (super::table("Instances", &columns, &table_rows))
        (super::pager(&format!("/series/{series}"), offset, lines.len(), LINES))
    };
    Ok(super::page("Series", Some(&person), "/subjects", &content))
}

/// `GET /instances/{instance}/download`
pub(super) async fn download(
    State(hub): State<Arc<Hub>>,
    person: Person,
    Path(instance): Path<String>,
) -> Result<Response, Denied> {
    let stored = hub.store.read(move |c| query::object(c, &instance)).await?.ok_or(Problem::not_found())?;
    record(&hub, &person, Action::Download, stored.uid.clone()).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/dicom".to_owned()),
        // A UID from the database: digits and dots.
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.dcm\"", stored.uid)),
    ];
    Ok((headers, dicomweb::whole(&hub, &stored)?).into_response())
}

fn trail(steps: &[(&str, &str)]) -> Markup {
    html! {
        nav.trail aria-label="Where you are" {
            ol { @for (address, word) in steps { li { a href=(address) { (word) } } } }
        }
    }
}
