//! A template to be written: its text, laid out as people write them (`config/templates/README.md`).

use std::fmt::{self, Display, Formatter};

use gift_redact::{Anchor, Conditions, TemplateError, Templates};
use toml::Value;

/// A template that nobody has verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its id.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// Remarks, written above it.
    pub notes: Vec<String>,
    /// What it is for.
    pub conditions: Conditions,
    /// Rectangles to blank: x, y, width, height, px.
    pub regions: Vec<[i32; 4]>,
    /// Rectangles to keep.
    pub keep: Vec<[i32; 4]>,
    /// Everything outside of the object's own ultrasound regions is blanked besides.
    pub inside_ultrasound_regions: bool,
    /// What proves that an image is laid out as the template expects.
    pub anchors: Vec<Anchor>,
}

/// The text of a file of `drafts`.
pub fn text(drafts: &[Draft]) -> String {
    let mut text = String::from("version = 1\n");
    for draft in drafts {
        text += &format!("\n{draft}");
    }
    text
}

/// What the linter says of a file of `drafts`.
pub fn lint(name: &str, drafts: &[Draft]) -> Vec<TemplateError> {
    Templates::lint([(name, text(drafts))])
}

/// The text with every template verified by the caller, to try what it does. It is never written.
///
/// # Errors
/// The text is not TOML.
pub fn as_verified(text: &str) -> Result<String, toml::de::Error> {
    let mut table: toml::Table = text.parse()?;
    let templates = table.get_mut("template").and_then(Value::as_array_mut);
    for template in templates.into_iter().flatten().filter_map(Value::as_table_mut) {
        let verified = ["by", "on", "evidence"].map(|key| (key.to_owned(), Value::from("trial")));
        template.insert("verified".to_owned(), Value::Table(verified.into_iter().collect()));
    }
    Ok(table.to_string())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", "))
}

fn rectangle([x, y, width, height]: [i32; 4]) -> String {
    format!("[{x}, {y}, {width}, {height}]")
}

impl Display for Draft {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "# {}", note.replace(['\n', '\r'], " "))?;
        }
        writeln!(f, "[[template]]\nid = {}\nsource = {}", quoted(&self.id), quoted(&self.source))?;
        if !self.regions.is_empty() {
            let regions: Vec<_> = self.regions.iter().map(|r| rectangle(*r)).collect();
            writeln!(f, "regions = [{}]", regions.join(", "))?;
        }
        if !self.keep.is_empty() {
            let keep: Vec<_> = self.keep.iter().map(|r| format!("{{ rectangle = {} }}", rectangle(*r))).collect();
            writeln!(f, "keep = [{}]", keep.join(", "))?;
        }
        if self.inside_ultrasound_regions {
            writeln!(f, "keep-inside-ultrasound-regions = true")?;
        }
        self.anchors.iter().try_for_each(|a| anchor(a, f))?;
        conditions(&self.conditions, f)
    }
}

fn anchor(anchor: &Anchor, f: &mut Formatter<'_>) -> fmt::Result {
    let region = rectangle(anchor.region().into());
    match anchor {
        Anchor::Digest { sha256, .. } => {
            writeln!(f, "\n[[template.anchors]]\nkind = \"digest\"\nregion = {region}\nsha256 = {}", quoted(sha256))
        }
        Anchor::Statistics { mean, deviation, dark, .. } => {
            writeln!(f, "\n[[template.anchors]]\nkind = \"statistics\"\nregion = {region}")?;
            for (key, bounds) in [("mean", mean), ("deviation", deviation)] {
                if let Some([least, greatest]) = bounds {
                    writeln!(f, "{key} = [{least}, {greatest}]")?;
                }
            }
            match dark {
                Some(dark) => {
                    let [least, greatest] = dark.share;
                    writeln!(f, "dark = {{ below = {}, share = [{least}, {greatest}] }}", dark.below)
                }
                None => Ok(()),
            }
        }
        Anchor::Patch { rows, max_difference, .. } => {
            writeln!(f, "\n[[template.anchors]]\nkind = \"patch\"\nregion = {region}\nrows = {rows:?}")?;
            writeln!(f, "max-difference = {max_difference}")
        }
    }
}

fn conditions(c: &Conditions, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "\n[template.match]")?;
    for (key, value) in [("manufacturer", &c.manufacturer), ("model", &c.model)] {
        if let Some(value) = value {
            writeln!(f, "{key} = {}", quoted(value))?;
        }
    }
    if let Some(versions) = &c.software_versions {
        writeln!(f, "software-versions = {}", list(versions))?;
    }
    if let Some(classes) = &c.sop_classes {
        writeln!(f, "sop-classes = {}", list(classes))?;
    }
    writeln!(f, "rows = {}\ncolumns = {}", c.rows, c.columns)?;
    if let Some(samples) = c.samples {
        writeln!(f, "samples = {samples}")?;
    }
    for (key, value) in
        [("photometric-interpretations", &c.photometric_interpretations), ("transfer-syntaxes", &c.transfer_syntaxes)]
    {
        if let Some(value) = value {
            writeln!(f, "{key} = {}", list(value))?;
        }
    }
    Ok(())
}
