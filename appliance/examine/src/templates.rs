//! The caller's templates: the project's own format, or the plain JSON list of scanners and rectangles.
//!
//! Whoever gives them vouches for them, so each is verified by the caller. A JSON entry states make, model and size only; it is
//! taken for every storage SOP class, and every photometric interpretation and transfer syntax that redaction handles.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};
use gift_redact::{Photometric, Syntax};
use serde::Deserialize;
use toml::{Table, Value};

/// One scanner and image size of the JSON list. Rectangles are x, y, width, height, px.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    manufacturer: String,
    model: String,
    rows: u16,
    cols: u16,
    rects_xywh: Vec<[i32; 4]>,
}

/// Reads the file at `path` as the text of a template file in which every template is verified by the caller. Entries of a list
/// hold for `sop_classes`.
///
/// # Errors
/// Not readable, neither of the two formats, or an entry without a rectangle.
pub(crate) fn read(path: &Path, sop_classes: &[String]) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let table = if text.trim_start().starts_with('[') && !text.trim_start().starts_with("[[") {
        let entries: Vec<Entry> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        from_list(entries, sop_classes)?
    } else {
        let mut table: Table = text.parse().with_context(|| path.display().to_string())?;
        for template in table.get_mut("template").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(template) = template.as_table_mut() {
                template.entry("verified").or_insert_with(|| Value::Table(verified()));
            }
        }
        table
    };
    Ok(toml::to_string(&table)?)
}

fn verified() -> Table {
    let word = |text: &str| Value::String(text.to_owned());
    [("by", "caller"), ("on", "this run"), ("evidence", "given on the command line")]
        .into_iter()
        .map(|(key, text)| (key.to_owned(), word(text)))
        .collect()
}

fn from_list(entries: Vec<Entry>, sop_classes: &[String]) -> Result<Table> {
    // Several entries of one scanner and size are one template: all that any of them blanks is blanked.
    let mut merged: BTreeMap<(String, String, u16, u16), Vec<[i32; 4]>> = BTreeMap::new();
    for entry in entries {
        if entry.rects_xywh.is_empty() {
            bail!("{} {} {}x{}: no rectangle", entry.manufacturer, entry.model, entry.cols, entry.rows);
        }
        let key = (entry.manufacturer.trim().to_owned(), entry.model.trim().to_owned(), entry.rows, entry.cols);
        merged.entry(key).or_default().extend(entry.rects_xywh);
    }
    let photometric: Vec<&str> = Photometric::ALL.iter().map(|p| p.as_str()).collect();
    let mut templates = Vec::new();
    for (number, ((manufacturer, model, rows, columns), regions)) in merged.into_iter().enumerate() {
        let mut conditions = Table::new();
        conditions.insert("manufacturer".to_owned(), manufacturer.into());
        conditions.insert("model".to_owned(), model.into());
        conditions.insert("rows".to_owned(), i64::from(rows).into());
        conditions.insert("columns".to_owned(), i64::from(columns).into());
        conditions.insert("sop-classes".to_owned(), Value::try_from(sop_classes)?);
        conditions.insert("photometric-interpretations".to_owned(), Value::try_from(&photometric)?);
        conditions.insert("transfer-syntaxes".to_owned(), Value::try_from(Syntax::REDACTED)?);
        let mut template = Table::new();
        template.insert("id".to_owned(), format!("caller-{}", number + 1).into());
        template.insert("source".to_owned(), "the caller's list".into());
        template.insert("regions".to_owned(), Value::try_from(regions)?);
        template.insert("match".to_owned(), conditions.into());
        template.insert("verified".to_owned(), verified().into());
        templates.push(Value::Table(template));
    }
    let mut table = Table::new();
    table.insert("version".to_owned(), 1.into());
    table.insert("template".to_owned(), Value::Array(templates));
    Ok(table)
}

#[cfg(test)]
mod tests {
    use gift_redact::Templates;

    use super::*;

    fn parsed(name: &str, text: &str) -> Result<Templates> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Ok(Templates::parse([(name, read(&path, &["1.2.840.10008.5.1.4.1.1.6.1".to_owned()])?)])?)
    }

    #[test]
    fn a_list_becomes_verified_templates_one_for_each_scanner_and_size() {
        let text = r#"[
            {"manufacturer": "A", "model": "M", "rows": 480, "cols": 640, "rects_xywh": [[0, 0, 640, 30]]},
            {"manufacturer": "A ", "model": "M", "rows": 480, "cols": 640, "rects_xywh": [[0, 450, 640, 30]]},
            {"manufacturer": "A", "model": "M", "rows": 600, "cols": 800, "rects_xywh": [[0, 0, 800, 30]]}]"#;
        let templates = parsed("t.json", text).unwrap();
        assert_eq!(templates.iter().map(|t| t.regions().len()).collect::<Vec<_>>(), [2, 1]);
        assert!(templates.iter().all(|t| t.verified().is_some()));
    }

    #[test]
    fn a_list_that_is_not_understood_whole_is_refused() {
        let entry = |more: &str, rects: &str| {
            format!(r#"[{{"manufacturer": "A", "model": "M", "rows": 9, "cols": 9{more}, "rects_xywh": {rects}}}]"#)
        };
        assert!(parsed("t.json", &entry("", "[[0, 0, 9, 3]]")).is_ok());
        assert!(parsed("t.json", &entry(r#", "software": "1""#, "[[0, 0, 9, 3]]")).is_err());
        assert!(parsed("t.json", &entry("", "[]")).is_err());
        assert!(parsed("t.json", &entry("", "[[0, 0, 10, 3]]")).is_err(), "outside the image");
    }

    #[test]
    fn an_unverified_template_of_the_project_is_verified_by_being_given() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/demo");
        let text = std::fs::read_to_string(directory.join("ge-v830.toml")).unwrap();
        let (unverified, _) = text.split_once("[template.verified]").unwrap();
        assert!(parsed("t.toml", unverified).unwrap().iter().all(|t| t.verified().is_some()));
        assert!(parsed("t.toml", "version = 1\n").is_err());
    }
}
