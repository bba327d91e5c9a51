//! `GET /box/v1/update`: the newest signed system update, for boxes that do not have it yet. `GET /box/v1/update/{sha256}`: its
//! archive, whole or from where a download ended (`Range`, RFC 9110 §14.2).

use std::{fs::File, io, ops::RangeInclusive, sync::Arc};

use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use gift_wire::Sha256Hex;
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use tokio::sync::OwnedSemaphorePermit;

use super::{Enrolled, etag};
use crate::{
    error::{HubError, Problem},
    hub::Hub,
    server::Peer,
    store::update,
    stream,
};

/// How long a box shall wait before it comes back, seconds.
const COME_BACK: u64 = 30;

/// Gives the newest signed update.
///
/// # Errors
/// 404 while there is none.
pub async fn newest(State(hub): State<Arc<Hub>>, _: Enrolled, headers: HeaderMap) -> Result<Response, Problem> {
    let Some(signed) = hub.store.read(update::newest).await? else { return Err(Problem::not_found()) };
    Ok(etag::signed(&headers, signed))
}

/// Gives the archive of a kept update.
///
/// # Errors
/// 404 for what no kept update names, 503 when too many downloads run.
pub async fn archive(
    State(hub): State<Arc<Hub>>,
    _: Enrolled,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Only what a row names is ever opened, and that name is 64 hexadecimal digits.
    let sha256 = Sha256Hex::parse(&name).ok_or(Problem::not_found())?;
    let asked = sha256.clone();
    if !hub.store.read(move |c| update::is_kept(c, &asked)).await? {
        return Err(Problem::not_found());
    }
    let tag = etag::of(sha256.as_str());
    if etag::is_there(&headers, &tag) {
        return Ok(etag::not_modified(tag));
    }
    let Ok(slot) = Arc::clone(&hub.update_downloads).try_acquire_owned() else {
        return Err(Problem::busy("too many downloads at a time", COME_BACK));
    };
    let (file, length) = open(&hub, &sha256).await?;
    // Range means something for GET only.
    let wanted = if method == Method::GET { wanted(&headers, &tag, length) } else { Wanted::Whole };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Nothing => return Ok(unsatisfiable(length)),
    };
    let (offset, take) = range.as_ref().map_or((0, length), |range| (*range.start(), range.end() - range.start() + 1));
    let mut response = (
        status,
        [(header::ETAG, tag), (header::CONTENT_TYPE, "application/octet-stream".to_owned())],
        body(&hub, slot, peer, file, offset, take),
    )
        .into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(take));
    if let Some(range) = range {
        content_range(headers, &format!("{}-{}", range.start(), range.end()), length);
    }
    Ok(response)
}

/// The archive and its length. Once it is open, a newer update may take its name away: the download goes on.
async fn open(hub: &Arc<Hub>, sha256: &Sha256Hex) -> Result<(File, u64), Problem> {
    let path = hub.store.updates().path(sha256);
    let opened = stream::blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    match opened.await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::not_found()),
        opened => Ok(opened.map_err(|source| HubError::Io { doing: "open an update's archive", source })?),
    }
}

/// The bytes, for as long as the box takes them: a slow one is waited for, one that takes nothing has its connection cut, so that it
/// holds neither a place nor memory.
fn body(hub: &Hub, slot: OwnedSemaphorePermit, peer: Peer, file: File, offset: u64, length: u64) -> axum::body::Body {
    let (sink, body) = stream::body_within(hub.settings.idle());
    tokio::spawn(async move {
        let _held = slot;
        match sink.put_open(file, offset, length).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => peer.stalled.notify_one(),
            Err(error) => sink.fail(error).await,
            Ok(()) => {}
        }
    });
    body
}

/// What of an archive is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(RangeInclusive<u64>),
    /// A range that lies behind its end.
    Nothing,
}

/// Several ranges, and what is no range of bytes, are passed over: the whole is right for both (RFC 9110 §14.2). So is a range of
/// something else than `tag` (`If-Range`; there is no date to compare).
fn wanted(headers: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    if headers.get(header::IF_RANGE).is_some_and(|of| of.as_bytes() != tag.as_bytes()) {
        return Wanted::Whole;
    }
    match range.to_str().ok().and_then(|range| parse_range_header(range).ok()) {
        Some(ranges) if ranges.len() == 1 => match ranges.validate(length) {
            Ok(ranges) => ranges.into_iter().next().map_or(Wanted::Whole, Wanted::Part),
            Err(RangeUnsatisfiableError::Unsatisfiable) => Wanted::Nothing,
            Err(_) => Wanted::Whole,
        },
        _ => Wanted::Whole,
    }
}

/// 416.
fn unsatisfiable(length: u64) -> Response {
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "the archive ends before this range");
    let mut response = problem.into_response();
    content_range(response.headers_mut(), "*", length);
    response
}

fn content_range(headers: &mut HeaderMap, range: &str, length: u64) {
    // Digits and signs: always a header's value.
    if let Ok(value) = HeaderValue::from_str(&format!("bytes {range}/{length}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_these_bytes_is_given_and_everything_else_is_the_whole() {
        let of = |lines: &[&str], if_range: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::RANGE, line.parse().unwrap());
            }
            if let Some(if_range) = if_range {
                headers.insert(header::IF_RANGE, if_range.parse().unwrap());
            }
            wanted(&headers, "\"ab\"", 100)
        };
        let one = |line: &str| of(&[line], None);
        assert_eq!(one("bytes=0-"), Wanted::Part(0..=99));
        assert_eq!(one("bytes=40-"), Wanted::Part(40..=99));
        assert_eq!(one("bytes=40-49"), Wanted::Part(40..=49));
        assert_eq!(one("bytes=99-99"), Wanted::Part(99..=99));
        assert_eq!(one("bytes=40-4000"), Wanted::Part(40..=99));
        assert_eq!(one("bytes=-10"), Wanted::Part(90..=99));
        assert_eq!(one("bytes=-1000"), Wanted::Part(0..=99));
        assert_eq!(one("Bytes=7-18446744073709551616"), Wanted::Part(7..=99));
        for behind in ["bytes=100-", "bytes=100-200", "bytes=18446744073709551615-", "bytes=-0"] {
            assert_eq!(one(behind), Wanted::Nothing, "{behind}");
        }
        for nonsense in
            ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-1", "bytes=0-1,5-6", "bytes=0-1,x", "lines=0-1"]
        {
            assert_eq!(one(nonsense), Wanted::Whole, "{nonsense}");
        }
        assert_eq!(of(&["bytes=0-1", "bytes=2-3"], None), Wanted::Whole);
        assert_eq!(of(&[], None), Wanted::Whole);
        assert_eq!(of(&["bytes=40-"], Some("\"ab\"")), Wanted::Part(40..=99));
        for other in ["\"cd\"", "W/\"ab\"", "Sat, 28 Nov 2026 22:17:12 GMT"] {
            assert_eq!(of(&["bytes=40-"], Some(other)), Wanted::Whole, "{other}");
        }
    }
}
