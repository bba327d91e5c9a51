//! WADO-RS: objects, metadata and bulk data as they are stored. Nothing is transcoded: a transfer syntax that an object is not in
//! is answered 406.

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts as _, Path, Request, State},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use dicom_core::Tag;
use tokio::sync::OwnedSemaphorePermit;

use super::{accept_header, base_url, is_uid};
use crate::{
    error::Problem,
    hub::Hub,
    object::{
        json::{JsonWriter, Options},
        walk::{Event, Limits, Value, Visitor, walk_file},
    },
    store::{
        archive::Place,
        audit::{self, Action},
        query::{self, Stored},
    },
    stream::{self, Sink, blocking},
    web::{
        auth::Client,
        media::{self, MediaType},
        secret,
    },
};

/// `/studies/{study}`
pub(super) async fn study(
    State(hub): State<Arc<Hub>>,
    Path(study): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    retrieve(hub, request, Asked { study, series: None, instance: None }).await
}

/// `/studies/{study}/series/{series}`
pub(super) async fn series(
    State(hub): State<Arc<Hub>>,
    Path((study, series)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    retrieve(hub, request, Asked { study, series: Some(series), instance: None }).await
}

/// `/studies/{study}/series/{series}/instances/{instance}`
pub(super) async fn instance(
    State(hub): State<Arc<Hub>>,
    Path((study, series, instance)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    retrieve(hub, request, Asked { study, series: Some(series), instance: Some(instance) }).await
}

/// `/studies/{study}/metadata`
pub(super) async fn study_metadata(
    State(hub): State<Arc<Hub>>,
    Path(study): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    metadata(hub, request, Asked { study, series: None, instance: None }).await
}

/// `/studies/{study}/series/{series}/metadata`
pub(super) async fn series_metadata(
    State(hub): State<Arc<Hub>>,
    Path((study, series)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    metadata(hub, request, Asked { study, series: Some(series), instance: None }).await
}

/// `/studies/{study}/series/{series}/instances/{instance}/metadata`
pub(super) async fn instance_metadata(
    State(hub): State<Arc<Hub>>,
    Path((study, series, instance)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    metadata(hub, request, Asked { study, series: Some(series), instance: Some(instance) }).await
}

/// What is asked for.
struct Asked {
    study: String,
    series: Option<String>,
    instance: Option<String>,
}

impl Asked {
    /// The narrowest UID: what the audit trail names.
    fn target(&self) -> &str {
        self.instance.as_deref().or(self.series.as_deref()).unwrap_or(&self.study)
    }
}

/// A slot among the transfers that may run at a time.
fn slot(hub: &Hub) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&hub.downloads).try_acquire_owned().map_err(|_| Problem::busy("too many downloads at a time", 2))
}

/// The user and the objects asked for; 404 when there are none.
async fn find(hub: &Arc<Hub>, parts: &mut Parts, asked: &Asked) -> Result<(String, Vec<Stored>), Problem> {
    let Client(user) = Client::from_request_parts(parts, hub).await?;
    let uids = [Some(&asked.study), asked.series.as_ref(), asked.instance.as_ref()];
    if !uids.into_iter().flatten().all(|uid| is_uid(uid)) {
        return Err(Problem::not_found());
    }
    let (study, series, instance) = (asked.study.clone(), asked.series.clone(), asked.instance.clone());
    let objects = hub.store.read(move |c| query::objects(c, &study, series.as_deref(), instance.as_deref())).await?;
    if objects.is_empty() { Err(Problem::not_found()) } else { Ok((user.name, objects)) }
}

async fn record(hub: &Arc<Hub>, user: &str, action: Action, target: &str) -> Result<(), Problem> {
    let (actor, target) = (format!("user:{user}"), target.to_owned());
    Ok(hub.store.write(move |c, key| audit::append(c, key, &actor, action, &target)).await?)
}

/// How objects are wrapped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Multipart,
    Single,
}

/// The first accepted way to give `stored`, all of them.
fn wrapping(ranges: &[MediaType], objects: &[Stored]) -> Option<Wrapping> {
    let syntax_fits = |range: &MediaType| match range.parameter("transfer-syntax") {
        None | Some("*") => true,
        Some(wanted) => objects.iter().all(|object| object.transfer_syntax == wanted),
    };
    ranges.iter().filter(|range| syntax_fits(range)).find_map(|range| {
        let of_dicom =
            range.parameter("type").is_none_or(|t| t.eq_ignore_ascii_case("application/dicom") || t == "*/*");
        if range.covers("multipart", "related") && of_dicom {
            Some(Wrapping::Multipart)
        } else if range.is("application", "dicom") && objects.len() == 1 {
            Some(Wrapping::Single)
        } else {
            None
        }
    })
}

async fn retrieve(hub: Arc<Hub>, request: Request, asked: Asked) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let (user, objects) = find(&hub, &mut parts, &asked).await?;
    let ranges = media::accept(accept_header(&parts));
    let wrapping = wrapping(&ranges, &objects).ok_or(Problem::not_acceptable())?;
    let slot = slot(&hub)?;
    record(&hub, &user, Action::Download, asked.target()).await?;

    if let (Wrapping::Single, Some(object)) = (wrapping, objects.first()) {
        let content_type = format!("application/dicom; transfer-syntax={}", object.transfer_syntax);
        return Ok(([(header::CONTENT_TYPE, content_type)], stream_object(&hub, slot, object)).into_response());
    }
    let (sink, body) = stream::body();
    let boundary = secret::random_token()?;
    let head = multipart_type("application/dicom", &boundary);
    tokio::spawn(async move {
        let _held = slot;
        if let Err(error) = send_parts(&hub, &sink, &objects, &boundary).await {
            sink.fail(error).await;
        }
    });
    Ok(([(header::CONTENT_TYPE, head)], body).into_response())
}

/// See [`super::whole`].
pub(super) fn whole(hub: &Arc<Hub>, object: &Stored) -> Result<Body, Problem> {
    Ok(stream_object(hub, slot(hub)?, object))
}

fn stream_object(hub: &Arc<Hub>, slot: OwnedSemaphorePermit, object: &Stored) -> Body {
    let (sink, body) = stream::body();
    let (path, size) = (hub.store.archive().path(Place::Archive, &object.sha256), object.size);
    tokio::spawn(async move {
        let _held = slot;
        if let Err(error) = sink.put_file(path, 0, size).await {
            sink.fail(error).await;
        }
    });
    body
}

async fn send_parts(hub: &Hub, sink: &Sink, objects: &[Stored], boundary: &str) -> io::Result<()> {
    for object in objects {
        let head = format!(
            "--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={}\r\nContent-Length: {}\r\n\r\n",
            object.transfer_syntax, object.size
        );
        sink.put(head).await?;
        sink.put_file(hub.store.archive().path(Place::Archive, &object.sha256), 0, object.size).await?;
        sink.put("\r\n").await?;
    }
    sink.put(format!("--{boundary}--\r\n")).await
}

fn multipart_type(of: &str, boundary: &str) -> String {
    format!("multipart/related; type=\"{of}\"; boundary={boundary}")
}

async fn metadata(hub: Arc<Hub>, request: Request, asked: Asked) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let (user, objects) = find(&hub, &mut parts, &asked).await?;
    let ranges = media::accept(accept_header(&parts));
    if !ranges.iter().any(|r| r.covers("application", "dicom+json") || r.covers("application", "json")) {
        return Err(Problem::not_acceptable());
    }
    let slot = slot(&hub)?;
    record(&hub, &user, Action::View, asked.target()).await?;
    let base = base_url(&hub, &parts);
    let (sink, body) = stream::body();
    tokio::spawn(async move {
        let _held = slot;
        if let Err(error) = send_metadata(&hub, &sink, objects, &base).await {
            sink.fail(error).await;
        }
    });
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/dicom+json"))], body).into_response())
}

async fn send_metadata(hub: &Hub, sink: &Sink, objects: Vec<Stored>, base: &str) -> io::Result<()> {
    let mut before = "[";
    for object in objects {
        let path = hub.store.archive().path(Place::Archive, &object.sha256);
        let options = Options {
            only: None,
            instead: BTreeMap::from([
                (Tag(0x0010, 0x0010), object.label.clone()),
                (Tag(0x0010, 0x0020), object.label.clone()),
            ]),
            bulk_base: Some(format!(
                "{base}/studies/{}/series/{}/instances/{}/bulkdata",
                object.study_uid, object.series_uid, object.uid
            )),
        };
        let json = blocking(move || {
            let mut writer = JsonWriter::new(options);
            walk_file(&path, Limits::default(), &mut writer).map_err(io::Error::other)?;
            Ok(writer.finish())
        })
        .await?;
        sink.put(format!("{before}{json}")).await?;
        before = ",";
    }
    sink.put("]").await
}

/// `…/bulkdata/{path}`: one value, found by the tag path that the metadata gave.
pub(super) async fn bulk_data(
    State(hub): State<Arc<Hub>>,
    Path((study, series, instance, path)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let asked = Asked { study, series: Some(series), instance: Some(instance) };
    let (user, objects) = find(&hub, &mut parts, &asked).await?;
    let object = objects.into_iter().next().ok_or(Problem::not_found())?;
    let ranges = media::accept(accept_header(&parts));
    let of_bytes = |r: &MediaType| r.parameter("type").is_none_or(|t| matches!(t, "application/octet-stream" | "*/*"));
    let multi = ranges.iter().any(|r| r.covers("multipart", "related") && of_bytes(r));
    // PS3.18 §8.7.3.3: multipart is the default; a single part is for who asks for nothing else.
    let single = !multi && ranges.iter().any(|r| r.covers("application", "octet-stream"));
    if !single && !multi {
        return Err(Problem::not_acceptable());
    }
    let slot = slot(&hub)?;
    let file = hub.store.archive().path(Place::Archive, &object.sha256);
    let searched = file.clone();
    let found = blocking(move || {
        let mut finder = Finder::new(path);
        walk_file(&searched, Limits::default(), &mut finder).map_err(io::Error::other)?;
        Ok(finder.found)
    })
    .await
    .map_err(|source| crate::error::HubError::Io { doing: "walk a stored object", source })?;
    let (offset, length) = found.ok_or(Problem::not_found())?;
    record(&hub, &user, Action::Download, asked.target()).await?;

    let (sink, body) = stream::body();
    let boundary = (!single).then(secret::random_token).transpose()?;
    let content_type = match &boundary {
        Some(boundary) => multipart_type("application/octet-stream", boundary),
        None => "application/octet-stream".to_owned(),
    };
    tokio::spawn(async move {
        let _held = slot;
        let send = async {
            if let Some(boundary) = &boundary {
                let head = format!("--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n");
                sink.put(head).await?;
            }
            sink.put_file(file, offset, length).await?;
            match &boundary {
                Some(boundary) => sink.put(format!("\r\n--{boundary}--\r\n")).await,
                None => Ok(()),
            }
        };
        if let Err(error) = send.await {
            sink.fail(error).await;
        }
    });
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// Finds a long value by its tag path: `ggggeeee`, or `ggggeeee.item.` before it for each sequence.
struct Finder {
    wanted: String,
    path: Vec<(Tag, u32)>,
    found: Option<(u64, u64)>,
}

impl Finder {
    const fn new(wanted: String) -> Self {
        Self { wanted, path: Vec::new(), found: None }
    }
}

impl Visitor for Finder {
    fn visit(&mut self, _depth: usize, event: Event<'_>) {
        match event {
            Event::SequenceStart(tag) => self.path.push((tag, 0)),
            Event::SequenceEnd => {
                self.path.pop();
            }
            Event::ItemEnd => {
                if let Some((_, item)) = self.path.last_mut() {
                    *item += 1;
                }
            }
            Event::Element { tag, value: Value::Long { offset, length }, .. } => {
                let at: String = self
                    .path
                    .iter()
                    .map(|(tag, item)| format!("{:04x}{:04x}.{item}.", tag.group(), tag.element()))
                    .collect();
                if format!("{at}{:04x}{:04x}", tag.group(), tag.element()) == self.wanted {
                    self.found = Some((offset, length));
                }
            }
            Event::Element { .. } | Event::ItemStart => {}
        }
    }
}
