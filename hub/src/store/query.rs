//! Searching and listing what is stored: the database side of QIDO-RS and of the pages.

use gift_wire::Sha256Hex;
use rusqlite::{Connection, OptionalExtension as _, types::Value};

use crate::error::{Doing as _, HubError};

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Studies.
    Study,
    /// Series.
    Series,
    /// SOP instances.
    Instance,
}

/// An attribute that can be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Patient ID and Patient's Name: the subject label.
    Subject,
    /// Study Instance UID.
    StudyUid,
    /// Study Date.
    StudyDate,
    /// Accession Number.
    Accession,
    /// Study Description.
    StudyDescription,
    /// Modality, and Modalities in Study.
    Modality,
    /// Series Instance UID.
    SeriesUid,
    /// Series Number.
    SeriesNumber,
    /// Series Description.
    SeriesDescription,
    /// SOP Instance UID.
    InstanceUid,
    /// SOP Class UID.
    SopClass,
    /// Instance Number.
    InstanceNumber,
}

impl Field {
    const fn column(self) -> (&'static str, Level) {
        match self {
            Self::Subject => ("su.label", Level::Study),
            Self::StudyUid => ("st.uid", Level::Study),
            Self::StudyDate => ("st.date", Level::Study),
            Self::Accession => ("st.accession", Level::Study),
            Self::StudyDescription => ("st.description", Level::Study),
            Self::Modality => ("se.modality", Level::Series),
            Self::SeriesUid => ("se.uid", Level::Series),
            Self::SeriesNumber => ("se.number", Level::Series),
            Self::SeriesDescription => ("se.description", Level::Series),
            Self::InstanceUid => ("i.uid", Level::Instance),
            Self::SopClass => ("i.sop_class", Level::Instance),
            Self::InstanceNumber => ("i.number", Level::Instance),
        }
    }
}

/// How it is matched (PS3.4 C.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Single value matching, or list of UID matching: one of these.
    OneOf(Vec<String>),
    /// Wild card matching with `*` and `?`.
    Wildcard(String),
    /// Range matching on dates; either end may be open.
    Range(Option<String>, Option<String>),
}

/// A search.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is searched for.
    pub level: Level,
    /// All of these must hold.
    pub filters: Vec<(Field, Matching)>,
    /// Most results.
    pub limit: u32,
    /// Results passed over.
    pub offset: u32,
}

/// One result: the DICOM JSON kept at ingest, per level, and what is counted now.
#[derive(Debug, Clone)]
pub struct Found {
    /// Subject label.
    pub label: String,
    /// Study Instance UID.
    pub study_uid: String,
    /// Study-level attributes.
    pub study: String,
    /// Modalities in the study.
    pub modalities: Vec<String>,
    /// Series in the study; instances in the study.
    pub study_counts: (u64, u64),
    /// Series Instance UID, series-level attributes, instances in the series.
    pub series: Option<(String, String, u64)>,
    /// SOP Instance UID, instance-level attributes.
    pub instance: Option<(String, String)>,
}

const STUDY_COLUMNS: &str = "su.label, st.uid, st.attributes, \
    (SELECT group_concat(m, char(31)) FROM (SELECT DISTINCT modality AS m FROM series WHERE study_id = st.id ORDER BY m)), \
    (SELECT count(*) FROM series WHERE study_id = st.id), \
    (SELECT count(*) FROM instances x JOIN series y ON y.id = x.series_id WHERE y.study_id = st.id)";

/// Runs a search; oldest first.
///
/// # Errors
/// SQLite's.
pub fn search(connection: &Connection, search: &Search) -> Result<Vec<Found>, HubError> {
    let mut parameters = Vec::new();
    let (columns, from, order) = match search.level {
        Level::Study => (String::new(), "", "st.id"),
        Level::Series => (
            ", se.uid, se.attributes, (SELECT count(*) FROM instances WHERE series_id = se.id)".to_owned(),
            "JOIN series se ON se.study_id = st.id",
            "se.id",
        ),
        Level::Instance => (
            ", se.uid, se.attributes, (SELECT count(*) FROM instances WHERE series_id = se.id), i.uid, i.attributes"
                .to_owned(),
            "JOIN series se ON se.study_id = st.id JOIN instances i ON i.series_id = se.id",
            "i.id",
        ),
    };
    let mut conditions = vec!["1".to_owned()];
    for (field, matching) in &search.filters {
        let (column, level) = field.column();
        let condition = condition(column, matching, &mut parameters);
        conditions.push(if level <= search.level {
            condition
        } else {
            // An attribute of a lower level: something below must have it.
            let (from, tie) = match search.level {
                Level::Study => ("series se LEFT JOIN instances i ON i.series_id = se.id", "se.study_id = st.id"),
                _ => ("instances i", "i.series_id = se.id"),
            };
            format!("EXISTS(SELECT 1 FROM {from} WHERE {tie} AND {condition})")
        });
    }
    let sql = format!(
        "SELECT {STUDY_COLUMNS}{columns} FROM studies st JOIN subjects su ON su.id = st.subject_id {from} \
         WHERE {} ORDER BY {order} LIMIT {} OFFSET {}",
        conditions.join(" AND "),
        search.limit,
        search.offset
    );
    let mut statement = connection.prepare(&sql).doing("prepare search")?;
    let rows = statement
        .query_map(rusqlite::params_from_iter(parameters), |row| {
            let modalities: Option<String> = row.get(3)?;
            Ok(Found {
                label: row.get(0)?,
                study_uid: row.get(1)?,
                study: row.get(2)?,
                modalities: modalities
                    .map(|m| m.split('\u{1f}').filter(|m| !m.is_empty()).map(str::to_owned).collect())
                    .unwrap_or_default(),
                study_counts: (row.get(4)?, row.get(5)?),
                series: if search.level >= Level::Series {
                    Some((row.get(6)?, row.get(7)?, row.get(8)?))
                } else {
                    None
                },
                instance: if search.level == Level::Instance { Some((row.get(9)?, row.get(10)?)) } else { None },
            })
        })
        .doing("search")?;
    rows.collect::<Result<_, _>>().doing("search")
}

/// The SQL of one filter; `column` is one of ours, values travel as parameters only.
fn condition(column: &str, matching: &Matching, parameters: &mut Vec<Value>) -> String {
    match matching {
        Matching::OneOf(values) => {
            parameters.extend(values.iter().cloned().map(Value::Text));
            format!("{column} IN ({})", vec!["?"; values.len()].join(", "))
        }
        Matching::Wildcard(pattern) => {
            parameters.push(Value::Text(pattern.replace('[', "[[]")));
            format!("{column} GLOB ?")
        }
        Matching::Range(from, to) => {
            let mut parts = vec![format!("{column} <> ''")];
            for (end, comparison) in [(from, ">="), (to, "<=")] {
                if let Some(end) = end {
                    parameters.push(Value::Text(end.clone()));
                    parts.push(format!("{column} {comparison} ?"));
                }
            }
            format!("({})", parts.join(" AND "))
        }
    }
}

/// A stored object, for retrieval.
#[derive(Debug, Clone)]
pub struct Stored {
    /// SOP Instance UID.
    pub uid: String,
    /// Its study and series.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// Digest: its name in the archive.
    pub sha256: Sha256Hex,
    /// Length, bytes.
    pub size: u64,
    /// Label of its subject.
    pub label: String,
}

/// The objects of a study, one of its series, or one instance; empty when there is none.
///
/// # Errors
/// SQLite's.
pub fn objects(
    connection: &Connection,
    study: &str,
    series: Option<&str>,
    instance: Option<&str>,
) -> Result<Vec<Stored>, HubError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT i.uid, st.uid, se.uid, i.transfer_syntax, i.sha256, i.size, su.label FROM studies st \
             JOIN subjects su ON su.id = st.subject_id JOIN series se ON se.study_id = st.id \
             JOIN instances i ON i.series_id = se.id WHERE st.uid = ?1 AND (?2 IS NULL OR se.uid = ?2) \
             AND (?3 IS NULL OR i.uid = ?3) ORDER BY se.id, i.id",
        )
        .doing("list objects")?;
    let rows = statement.query_map((study, series, instance), read_stored).doing("list objects")?;
    rows.collect::<Result<_, _>>().doing("list objects")
}

/// One object by its SOP Instance UID.
///
/// # Errors
/// SQLite's.
pub fn object(connection: &Connection, instance: &str) -> Result<Option<Stored>, HubError> {
    connection
        .prepare_cached(
            "SELECT i.uid, st.uid, se.uid, i.transfer_syntax, i.sha256, i.size, su.label FROM instances i \
             JOIN series se ON se.id = i.series_id JOIN studies st ON st.id = se.study_id \
             JOIN subjects su ON su.id = st.subject_id WHERE i.uid = ?1",
        )
        .and_then(|mut s| s.query_row([instance], read_stored).optional())
        .doing("find object")
}

fn read_stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
    let digest: String = row.get(4)?;
    let sha256 = Sha256Hex::parse(&digest)
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(4, "sha256".to_owned(), rusqlite::types::Type::Text))?;
    Ok(Stored {
        uid: row.get(0)?,
        study_uid: row.get(1)?,
        series_uid: row.get(2)?,
        transfer_syntax: row.get(3)?,
        sha256,
        size: row.get(5)?,
        label: row.get(6)?,
    })
}

/// A line of a page's table.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the line links to: a label or a UID.
    pub key: String,
    /// Texts to show, in the order of the page's columns.
    pub cells: Vec<String>,
}

/// Subjects: label, project, studies, instances.
///
/// # Errors
/// SQLite's.
pub fn subjects(connection: &Connection, limit: u32, offset: u32) -> Result<Vec<Line>, HubError> {
    lines(
        connection,
        "SELECT su.label, su.label, su.project, (SELECT count(*) FROM studies WHERE subject_id = su.id), \
         (SELECT count(*) FROM studies st JOIN series se ON se.study_id = st.id JOIN instances i ON i.series_id = se.id \
         WHERE st.subject_id = su.id) FROM subjects su ORDER BY su.label LIMIT ?1 OFFSET ?2",
        (limit, offset),
    )
}

/// A subject's studies: date, description, modalities, series, instances.
///
/// # Errors
/// SQLite's.
pub fn studies_of(connection: &Connection, label: &str) -> Result<Vec<Line>, HubError> {
    lines(
        connection,
        "SELECT st.uid, st.date, st.description, \
         (SELECT group_concat(m, ', ') FROM (SELECT DISTINCT modality AS m FROM series WHERE study_id = st.id ORDER BY m)), \
         (SELECT count(*) FROM series WHERE study_id = st.id), \
         (SELECT count(*) FROM instances i JOIN series se ON se.id = i.series_id WHERE se.study_id = st.id) \
         FROM studies st JOIN subjects su ON su.id = st.subject_id WHERE su.label = ?1 ORDER BY st.date, st.id",
        [label],
    )
}

/// A study's series: number, modality, description, instances.
///
/// # Errors
/// SQLite's.
pub fn series_of(connection: &Connection, study: &str) -> Result<Vec<Line>, HubError> {
    lines(
        connection,
        "SELECT se.uid, se.number, se.modality, se.description, (SELECT count(*) FROM instances WHERE series_id = se.id) \
         FROM series se JOIN studies st ON st.id = se.study_id WHERE st.uid = ?1 ORDER BY CAST(se.number AS INTEGER), se.id",
        [study],
    )
}

/// A series' instances: number, SOP class, transfer syntax, bytes.
///
/// # Errors
/// SQLite's.
pub fn instances_of(connection: &Connection, series: &str, limit: u32, offset: u32) -> Result<Vec<Line>, HubError> {
    lines(
        connection,
        "SELECT i.uid, i.number, i.sop_class, i.transfer_syntax, i.size FROM instances i \
         JOIN series se ON se.id = i.series_id WHERE se.uid = ?1 ORDER BY CAST(i.number AS INTEGER), i.id LIMIT ?2 OFFSET ?3",
        (series, limit, offset),
    )
}

/// Label of the subject, and UID of the study, that a study or series belongs to.
///
/// # Errors
/// SQLite's.
pub fn parents(connection: &Connection, uid: &str) -> Result<Option<(String, String)>, HubError> {
    connection
        .prepare_cached(
            "SELECT su.label, st.uid FROM studies st JOIN subjects su ON su.id = st.subject_id \
             LEFT JOIN series se ON se.study_id = st.id WHERE st.uid = ?1 OR se.uid = ?1 LIMIT 1",
        )
        .and_then(|mut s| s.query_row([uid], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .doing("find parents")
}

fn lines<P: rusqlite::Params>(connection: &Connection, sql: &str, parameters: P) -> Result<Vec<Line>, HubError> {
    let mut statement = connection.prepare_cached(sql).doing("list")?;
    let columns = statement.column_count();
    let rows = statement
        .query_map(parameters, |row| {
            let cells = (1..columns)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                        rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                        _ => String::new(),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(Line { key: row.get(0)?, cells })
        })
        .doing("list")?;
    rows.collect::<Result<_, _>>().doing("list")
}
