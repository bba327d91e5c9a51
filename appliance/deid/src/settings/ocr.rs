//! Settings of the second look, `[ocr]`; nothing here touches anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The second look: a reader of text (OCR) looks for the object's own identifiers in what is about to be released. What it finds
/// holds the object; what it does not find clears nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ocr {
    /// At which objects it is taken.
    pub mode: Mode,
    /// `gift-ocr`, which confines the reader.
    pub reader: PathBuf,
    /// Tesseract, of Debian's `tesseract-ocr`.
    pub program: PathBuf,
    /// Its language data, of `tesseract-ocr-eng`.
    pub tessdata: PathBuf,
    /// Of each series one object in so many is looked at, the first among them.
    pub every: u32,
    /// Longest time for one picture; if it fails it is tried once more.
    pub timeout_seconds: u64,
    /// Address space of the reader, bytes.
    pub memory_bytes: u64,
    /// Larger pictures are not looked at, and counted.
    pub max_megapixels: u32,
    /// What becomes of an object when the reader fails.
    pub on_failure: OnFailure,
}

/// At which objects the second look is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// At none.
    #[default]
    Off,
    /// At those whose pixels were redacted by a template.
    Redacted,
    /// At those, and at those of classes that are never burnt in.
    All,
}

/// What becomes of an object when the reader fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is held: fail closed.
    Hold,
    /// It is released as if it had not been looked at, and counted.
    Release,
}

impl Default for Ocr {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            reader: "/usr/bin/gift-ocr".into(),
            program: "/usr/bin/tesseract".into(),
            tessdata: "/usr/share/tesseract-ocr/5/tessdata".into(),
            every: 1,
            timeout_seconds: 20,
            memory_bytes: 1 << 30,
            max_megapixels: 12,
            on_failure: OnFailure::Hold,
        }
    }
}
