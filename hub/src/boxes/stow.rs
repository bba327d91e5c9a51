//! `POST /box/v1/studies`: STOW-RS (PS3.18 §10.5) for boxes, one object a request.
//!
//! The body streams to `incoming/` while its SHA-256 is computed; it must be the manifest's. Then the hub's own check, then the
//! file into its place, then the rows, in that order, each durable before the next; only then the response and its receipt.
//! A crash anywhere in between costs a repeat of the upload and nothing else: the store is idempotent by SOP Instance UID.
//! What fails the check, or contradicts what is stored, is kept apart and its receipt says so: it is never lost. A canary that passes
//! has done all that it is for: it is noted, and not kept.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gift_wire::{
    CANARY_PROJECT, MANIFEST_HEADER, MAX_OBJECT_BYTES, Manifest, RECEIPT_HEADER, Receipt, WIRE_VERSION,
    status::HoldReason,
};
use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Enrolled,
    multipart::{self, Event, Parser, PartHeaders},
};
use crate::{
    check::{Violation, in_words},
    error::{HubError, Problem},
    events,
    hub::Hub,
    store::{
        archive::{Incoming, Place, Received},
        canary,
        objects::{self, Commit, Outcome, Uploader},
    },
};

/// Chunks between the connection and the thread that hashes and writes.
const CHUNKS_AHEAD: usize = 16;
/// How long a box shall wait before it comes back, seconds.
const COME_BACK: u64 = 5;

/// Stores one object.
///
/// # Errors
/// 400 for a request that is none, 409 for bytes that are not the manifest's, 413, 415, 503 with `Retry-After`.
pub async fn store(
    State(hub): State<Arc<Hub>>,
    Enrolled(device): Enrolled,
    request: Request,
) -> Result<Response, Problem> {
    let Ok(_permit) = Arc::clone(&hub.uploads).try_acquire_owned() else {
        return Err(Problem::busy("too many uploads at a time", 1));
    };
    let boundary = content_type(request.headers()).and_then(multipart::boundary).ok_or(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "multipart/related; type=\"application/dicom\" is needed",
    ))?;
    let reserve = hub.settings.ingest.disk_reserve_mib << 20;
    if hub.store.archive().free_bytes()? < reserve {
        return Err(Problem::busy("the archive is short of space", 60));
    }
    let idle = hub.settings.idle();
    let uploader = Uploader { box_id: device.box_id, box_name: device.name.clone(), fingerprint: device.fingerprint };
    let (manifest, received) = receive(&hub, request.into_body(), &boundary, idle).await?;

    // From here on nothing depends on the connection: what has arrived is brought to its end even if the box hangs up.
    let task = tokio::spawn(async move { commit(&hub, uploader, manifest, received).await });
    let (manifest, receipt) = task.await.map_err(|_| HubError::Ended("an upload"))??;
    Ok(respond(&manifest, &receipt))
}

/// Streams the body to disk. The manifest is checked before the first byte is written.
async fn receive(
    hub: &Arc<Hub>,
    mut body: Body,
    boundary: &str,
    idle: Duration,
) -> Result<(Manifest, Received), Problem> {
    let mut parser = Parser::new(boundary);
    let mut events = Vec::new();
    let mut part: Option<(Manifest, Spool)> = None;
    while let Some(frame) = timeout(idle, body.frame())
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the upload stalled"))?
    {
        let frame = frame.map_err(|_| Problem::bad_request("the upload broke off"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        parser.feed(&chunk, &mut events).map_err(|_| Problem::bad_request("not a multipart body of one part"))?;
        for event in events.drain(..) {
            match event {
                Event::Headers(headers) => {
                    let manifest = manifest(&headers)?;
                    part = Some((manifest, Spool::start(hub)?));
                }
                Event::Body(bytes) => {
                    let Some((manifest, spool)) = &mut part else { continue };
                    spool.taken += bytes.len() as u64;
                    if spool.taken > manifest.size {
                        return Err(Problem::new(StatusCode::CONFLICT, "longer than its manifest says"));
                    }
                    spool.write(bytes).await?;
                }
                Event::End => {}
            }
        }
    }
    parser.finish().map_err(|_| Problem::bad_request("the multipart body is not complete"))?;
    let Some((manifest, spool)) = part else { return Err(Problem::bad_request("no part")) };
    if spool.taken != manifest.size {
        return Err(Problem::new(StatusCode::CONFLICT, "shorter than its manifest says"));
    }
    let received = spool.finish().await?;
    if received.sha256 != manifest.sha256 {
        return Err(Problem::new(StatusCode::CONFLICT, "the bytes do not have the manifest's SHA-256"));
    }
    Ok((manifest, received))
}

/// The manifest in the part's headers.
fn manifest(headers: &PartHeaders) -> Result<Manifest, Problem> {
    if !headers.get("content-type").is_some_and(crate::web::media::is_dicom) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the part is not application/dicom"));
    }
    let text = headers.get(MANIFEST_HEADER).ok_or(Problem::bad_request("the part has no gift-manifest"))?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Problem::bad_request("gift-manifest is not base64url"))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|_| Problem::bad_request("gift-manifest is not a manifest"))?;
    if manifest.size > MAX_OBJECT_BYTES {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "larger than the hub takes"));
    }
    manifest.check().map_err(|_| Problem::bad_request("gift-manifest does not hold"))?;
    Ok(manifest)
}

/// A thread that hashes and writes what it is sent.
struct Spool {
    chunks: mpsc::Sender<Bytes>,
    thread: tokio::task::JoinHandle<Result<Incoming, HubError>>,
    taken: u64,
}

impl Spool {
    fn start(hub: &Arc<Hub>) -> Result<Self, HubError> {
        let (chunks, mut queue) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
        let mut incoming = hub.store.archive().begin()?;
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = queue.blocking_recv() {
                incoming.write(&chunk)?;
            }
            Ok(incoming)
        });
        Ok(Self { chunks, thread, taken: 0 })
    }

    async fn write(&self, chunk: Bytes) -> Result<(), Problem> {
        // The thread ends early only on an error of the disk.
        self.chunks.send(chunk).await.map_err(|_| Problem::busy("the upload could not be written", COME_BACK))
    }

    async fn finish(self) -> Result<Received, HubError> {
        drop(self.chunks);
        let incoming = self.thread.await.map_err(|_| HubError::Ended("an upload"))??;
        tokio::task::spawn_blocking(|| incoming.finish()).await.map_err(|_| HubError::Ended("an upload"))?
    }
}

/// Check, place, rows.
async fn commit(
    hub: &Arc<Hub>,
    uploader: Uploader,
    manifest: Manifest,
    received: Received,
) -> Result<(Manifest, Receipt), Problem> {
    let (checker, looked_at) = (Arc::clone(hub), manifest.clone());
    let (received, checked) = blocking(move || {
        let checked = checker.checker.check(received.path(), &looked_at)?;
        Ok((received, checked))
    })
    .await?;

    let passed = match checked {
        Err(violations) => return isolate(hub, uploader, manifest, Kept::Incoming(received), violations).await,
        Ok(passed) => passed,
    };
    if manifest.project == CANARY_PROJECT {
        // Its file goes with `received`.
        return canary_passed(hub, uploader, manifest).await;
    }
    let placing = Arc::clone(hub);
    blocking(move || placing.store.archive().place(received, Place::Archive)).await?;
    let prefix = hub.settings.subject_prefix(&manifest.project);
    let (who, what) = (uploader.clone(), manifest.clone());
    let outcome = hub.store.write(move |c, _| objects::store(c, &who, &what, &passed.index, &prefix)).await?;
    match outcome {
        Outcome::Stored(commit) => {
            events::stored(
                &uploader.box_name,
                manifest.object.as_str(),
                commit.number,
                manifest.size,
                commit.duplicate,
            );
            let receipt = receipt(&manifest, commit, None);
            Ok((manifest, receipt))
        }
        Outcome::Contradicts(violation) => isolate(hub, uploader, manifest, Kept::Archive, vec![violation]).await,
        Outcome::Revoked => Err(revoked()),
    }
}

async fn canary_passed(hub: &Arc<Hub>, uploader: Uploader, manifest: Manifest) -> Result<(Manifest, Receipt), Problem> {
    let (who, what) = (uploader.clone(), manifest.clone());
    let commit = hub.store.write(move |c, key| canary::passed(c, key, &who, &what)).await?.ok_or_else(revoked)?;
    events::canary_passed(&uploader.box_name, manifest.object.as_str(), commit.duplicate);
    let receipt = receipt(&manifest, commit, None);
    Ok((manifest, receipt))
}

/// Where an object that is to be isolated lies.
enum Kept {
    Incoming(Received),
    Archive,
}

async fn isolate(
    hub: &Arc<Hub>,
    uploader: Uploader,
    manifest: Manifest,
    kept: Kept,
    violations: Vec<Violation>,
) -> Result<(Manifest, Receipt), Problem> {
    let (moving, sha256) = (Arc::clone(hub), manifest.sha256.clone());
    blocking(move || match kept {
        Kept::Incoming(received) => moving.store.archive().place(received, Place::Isolated),
        Kept::Archive => moving.store.archive().isolate(&sha256),
    })
    .await?;
    let words = in_words(&violations);
    let (who, what) = (uploader.clone(), manifest.clone());
    let commit = hub
        .store
        .write(move |c, key| {
            let commit = objects::isolate(c, key, &who, &what, &violations)?;
            if what.project == CANARY_PROJECT && commit.is_some_and(|commit| !commit.duplicate) {
                canary::failed(c, key, &who, &what)?;
            }
            Ok(commit)
        })
        .await?;
    let commit = commit.ok_or_else(revoked)?;
    events::isolated(&uploader.box_name, manifest.object.as_str(), &words);
    let receipt = receipt(&manifest, commit, Some(HoldReason::RefusedByHub));
    Ok((manifest, receipt))
}

const fn revoked() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this device certificate is not accepted")
}

fn receipt(manifest: &Manifest, commit: Commit, isolated: Option<HoldReason>) -> Receipt {
    Receipt {
        version: WIRE_VERSION,
        object: manifest.object.clone(),
        sha256: manifest.sha256.clone(),
        size: manifest.size,
        commit: commit.number,
        committed_ms: commit.at_ms,
        duplicate: commit.duplicate,
        isolated,
    }
}

/// The Store Instances Response (PS3.18 §10.5.3.2, Table 10.5.3-2): 200 when stored, 202 with a Failed SOP Sequence when kept
/// apart.
fn respond(manifest: &Manifest, receipt: &Receipt) -> Response {
    let reference = serde_json::json!({
        "00081150": { "vr": "UI", "Value": [manifest.sop_class_uid] },
        "00081155": { "vr": "UI", "Value": [manifest.sop_instance_uid] },
    });
    let (status, body) = if receipt.isolated.is_some() {
        let mut reference = reference;
        // C409H: referenced SOP instance's data set does not match what is expected of it.
        reference["00081197"] = serde_json::json!({ "vr": "US", "Value": [0xC409] });
        (StatusCode::ACCEPTED, serde_json::json!({ "00081198": { "vr": "SQ", "Value": [reference] } }))
    } else {
        (StatusCode::OK, serde_json::json!({ "00081199": { "vr": "SQ", "Value": [reference] } }))
    };
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/dicom+json"));
    // A receipt's JSON is ASCII: hexadecimal digits, numbers and words of a closed list.
    if let Some(value) = serde_json::to_string(receipt).ok().and_then(|json| HeaderValue::from_str(&json).ok()) {
        headers.insert(RECEIPT_HEADER, value);
    }
    response
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HubError> + Send + 'static,
) -> Result<T, HubError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HubError::Ended("an upload"))?
}
