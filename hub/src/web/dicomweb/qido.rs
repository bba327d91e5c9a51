//! QIDO-RS: searches for studies, series and instances.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts as _, Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_dictionary_std::StandardDataDictionary;
use serde_json::{Map, Value, json};

use super::{accept_header, base_url, is_uid};
use crate::{
    error::Problem,
    hub::Hub,
    store::{
        audit::{self, Action},
        query::{self, Field, Found, Level, Matching, Search},
    },
    web::{auth::Client, media},
};

/// Most results of one search; a client asks for more with `offset`.
const MAX_RESULTS: u32 = 5_000;
/// Most UIDs in one list.
const MAX_LIST: usize = 1_000;
/// Said when a parameter could not be honoured (PS3.18 §8.3.4).
const NOT_HONOURED: &str =
    "299 gift-hub \"The fuzzymatching parameter or an attribute of the query is not supported and was ignored\"";
const TRUNCATED: &str = "299 gift-hub \"There may be additional results that can be requested\"";

/// `/studies`
pub(super) async fn studies(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Problem> {
    answer(hub, request, Level::Study, Vec::new()).await
}

/// `/series`
pub(super) async fn series(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Problem> {
    answer(hub, request, Level::Series, Vec::new()).await
}

/// `/instances`
pub(super) async fn instances(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Problem> {
    answer(hub, request, Level::Instance, Vec::new()).await
}

/// `/studies/{study}/series`
pub(super) async fn series_of_study(
    State(hub): State<Arc<Hub>>,
    Path(study): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer(hub, request, Level::Series, vec![exactly(Field::StudyUid, study)]).await
}

/// `/studies/{study}/instances`
pub(super) async fn instances_of_study(
    State(hub): State<Arc<Hub>>,
    Path(study): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    answer(hub, request, Level::Instance, vec![exactly(Field::StudyUid, study)]).await
}

/// `/studies/{study}/series/{series}/instances`
pub(super) async fn instances_of_series(
    State(hub): State<Arc<Hub>>,
    Path((study, series)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let filters = vec![exactly(Field::StudyUid, study), exactly(Field::SeriesUid, series)];
    answer(hub, request, Level::Instance, filters).await
}

fn exactly(field: Field, value: String) -> (Field, Matching) {
    (field, Matching::OneOf(vec![value]))
}

async fn answer(
    hub: Arc<Hub>,
    request: Request,
    level: Level,
    filters: Vec<(Field, Matching)>,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let Client(user) = Client::from_request_parts(&mut parts, &hub).await?;
    let ranges = media::accept(accept_header(&parts));
    if !ranges.iter().any(|r| r.covers("application", "dicom+json") || r.covers("application", "json")) {
        return Err(Problem::not_acceptable());
    }
    let (search, honoured) = parse(&parts, level, filters)?;
    let limit = search.limit;
    let what = match level {
        Level::Study => "studies",
        Level::Series => "series",
        Level::Instance => "instances",
    };
    let found = hub.store.read(move |c| query::search(c, &search)).await?;
    let actor = format!("user:{}", user.name);
    hub.store.write(move |c, key| audit::append(c, key, &actor, Action::View, &format!("search {what}"))).await?;

    let warning = if !honoured {
        Some(NOT_HONOURED)
    } else if limit == MAX_RESULTS && found.len() == MAX_RESULTS as usize {
        Some(TRUNCATED)
    } else {
        None
    };
    let mut response = if found.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let base = base_url(&hub, &parts);
        let results: Vec<Value> = found.iter().map(|found| result(found, &base)).collect();
        let body = Value::Array(results).to_string();
        ([(header::CONTENT_TYPE, "application/dicom+json")], body).into_response()
    };
    if let Some(warning) = warning {
        response.headers_mut().insert(header::WARNING, HeaderValue::from_static(warning));
    }
    Ok(response)
}

/// Reads the query: the search, and whether every part of it is honoured.
fn parse(parts: &Parts, level: Level, mut filters: Vec<(Field, Matching)>) -> Result<(Search, bool), Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|_| Problem::bad_request("the query cannot be read"))?;
    let (mut limit, mut offset, mut honoured) = (MAX_RESULTS, 0, true);
    for (name, value) in pairs {
        let number = || value.parse::<u32>().map_err(|_| Problem::bad_request("limit and offset are numbers"));
        match name.as_str() {
            "limit" => limit = number()?.min(MAX_RESULTS),
            "offset" => offset = number()?,
            // Everything that is indexed is always returned.
            "includefield" => {}
            "fuzzymatching" => honoured &= value != "true",
            name => match field(name)? {
                _ if value.is_empty() => {} // universal matching
                Some(field) => filters.push((field, matching(field, &value)?)),
                None => honoured = false,
            },
        }
    }
    Ok((Search { level, filters, limit, offset }, honoured))
}

/// The field that a keyword or tag names; `None` for an attribute that is not indexed.
fn field(name: &str) -> Result<Option<Field>, Problem> {
    let known = StandardDataDictionary
        .by_name(name)
        .or_else(|| name.parse::<crate::check::TagText>().ok().and_then(|t| StandardDataDictionary.by_tag(t.0)));
    let Some(entry) = known else {
        return Err(Problem::bad_request("a query parameter is not an attribute of the standard"));
    };
    Ok(match entry.alias() {
        "PatientID" | "PatientName" => Some(Field::Subject),
        "StudyInstanceUID" => Some(Field::StudyUid),
        "StudyDate" => Some(Field::StudyDate),
        "AccessionNumber" => Some(Field::Accession),
        "StudyDescription" => Some(Field::StudyDescription),
        "Modality" | "ModalitiesInStudy" => Some(Field::Modality),
        "SeriesInstanceUID" => Some(Field::SeriesUid),
        "SeriesNumber" => Some(Field::SeriesNumber),
        "SeriesDescription" => Some(Field::SeriesDescription),
        "SOPInstanceUID" => Some(Field::InstanceUid),
        "SOPClassUID" => Some(Field::SopClass),
        "InstanceNumber" => Some(Field::InstanceNumber),
        _ => None,
    })
}

fn matching(field: Field, value: &str) -> Result<Matching, Problem> {
    match field {
        Field::StudyUid | Field::SeriesUid | Field::InstanceUid | Field::SopClass => {
            let uids: Vec<String> = value.split([',', '\\']).map(|uid| uid.trim().to_owned()).collect();
            if uids.len() > MAX_LIST || !uids.iter().all(|uid| is_uid(uid)) {
                return Err(Problem::bad_request("not a list of UIDs"));
            }
            Ok(Matching::OneOf(uids))
        }
        Field::StudyDate => {
            let date = |text: &str| match text {
                "" => Ok(None),
                t if t.len() == 8 && t.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(t.to_owned())),
                _ => Err(Problem::bad_request("a date is YYYYMMDD, a range two of them with a hyphen between")),
            };
            match value.split_once('-') {
                Some((from, to)) => Ok(Matching::Range(date(from)?, date(to)?)),
                None => Ok(Matching::OneOf(date(value)?.into_iter().collect())),
            }
        }
        _ if value.contains(['*', '?']) => Ok(Matching::Wildcard(value.to_owned())),
        _ => Ok(Matching::OneOf(vec![value.to_owned()])),
    }
}

/// One result as DICOM JSON.
fn result(found: &Found, base: &str) -> Value {
    let mut out = Map::new();
    let mut add = |json: &str| {
        if let Ok(Value::Object(attributes)) = serde_json::from_str(json) {
            out.extend(attributes);
        }
    };
    add(&found.study);
    let mut url = format!("{base}/studies/{}", found.study_uid);
    if let Some((uid, attributes, _)) = &found.series {
        add(attributes);
        url.push_str(&format!("/series/{uid}"));
    }
    if let Some((uid, attributes)) = &found.instance {
        add(attributes);
        url.push_str(&format!("/instances/{uid}"));
    }
    let mut set = |tag: &str, vr: &str, values: Value| {
        out.insert(tag.to_owned(), json!({ "vr": vr, "Value": values }));
    };
    set("00100010", "PN", json!([{ "Alphabetic": found.label }]));
    set("00100020", "LO", json!([found.label]));
    set("00080056", "CS", json!(["ONLINE"]));
    set("00081190", "UR", json!([url]));
    set("00080061", "CS", json!(found.modalities));
    set("00201206", "IS", json!([found.study_counts.0]));
    set("00201208", "IS", json!([found.study_counts.1]));
    if let Some((_, _, instances)) = &found.series {
        set("00201209", "IS", json!([instances]));
    }
    Value::Object(out)
}
