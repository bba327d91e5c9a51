//! Subjects: the hub gives each (project, pseudonym) a label, once and for all, inside the transaction that stores its first
//! object. The unique constraints of the table hold it, whatever the code does.

use rusqlite::{Connection, OptionalExtension as _};

use super::now_ms;
use crate::error::{Doing as _, HubError};

/// A subject as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Database id.
    pub id: i64,
    /// Label, for example `FETAL-00001`.
    pub label: String,
}

/// The subject of (`project`, `pseudonym`), labelled now if it is new. Labels count per prefix, so projects may share one.
///
/// # Errors
/// SQLite's.
pub fn get_or_insert(
    connection: &Connection,
    project: &str,
    pseudonym: &str,
    prefix: &str,
) -> Result<Subject, HubError> {
    let found = connection
        .prepare_cached("SELECT id, label FROM subjects WHERE project = ?1 AND pseudonym = ?2")
        .and_then(|mut s| {
            s.query_row((project, pseudonym), |row| Ok(Subject { id: row.get(0)?, label: row.get(1)? })).optional()
        })
        .doing("find subject")?;
    if let Some(subject) = found {
        return Ok(subject);
    }
    connection
        .prepare_cached(
            "INSERT INTO subjects(project, pseudonym, prefix, number, label, created_ms) \
             SELECT ?1, ?2, ?3, n, ?3 || printf('-%05d', n), ?4 \
             FROM (SELECT coalesce(max(number), 0) + 1 AS n FROM subjects WHERE prefix = ?3) \
             RETURNING id, label",
        )
        .and_then(|mut s| {
            s.query_row((project, pseudonym, prefix, now_ms()), |row| {
                Ok(Subject { id: row.get(0)?, label: row.get(1)? })
            })
        })
        .doing("label subject")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::Store;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn concurrent_first_objects_of_a_subject_get_one_label_without_gaps() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..400_u32 {
            let store = store.clone();
            tasks.spawn(async move {
                let pseudonym = format!("{:032x}", n % 40);
                store.write(move |c, _| get_or_insert(c, "fetal-surgery", &pseudonym, "FETAL")).await.unwrap().label
            });
        }
        let labels: BTreeSet<String> = tasks.join_all().await.into_iter().collect();
        let expected: BTreeSet<String> = (1..=40).map(|n| format!("FETAL-{n:05}")).collect();
        assert_eq!(labels, expected);

        let other = store.write(|c, _| get_or_insert(c, "cardiac", &"0".repeat(32), "CARDIAC")).await.unwrap();
        assert_eq!(other.label, "CARDIAC-00001", "the same pseudonym in another project is another subject");
        let shared = store.write(|c, _| get_or_insert(c, "cardiac-2", &"0".repeat(32), "CARDIAC")).await.unwrap();
        assert_eq!(shared.label, "CARDIAC-00002", "projects that share a prefix never share a label");
    }
}
