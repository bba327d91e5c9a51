//! Settings: TOML, kebab-case, unknown keys refused; errors name file and line.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why settings could not be used. The text holds the settings file's own words, never a data set's.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not say what it should.
    #[error("{path}:{line}:{column}: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// Why.
        reason: String,
    },
}

/// Reads settings from a TOML file.
///
/// # Errors
/// Unreadable file, or text that does not fit `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Parses settings text; `path` only names it in errors.
///
/// # Errors
/// Text that does not fit `T`, with line and column.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        SettingsError::Parse { path: path.to_owned(), line, column, reason: error.message().to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only parsed")]
        max_pdu: u32,
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        let text = "max-pdu = 5\n\nmax-pfu = 6\n";
        let error = parse::<Sample>(Path::new("receiver.toml"), text).unwrap_err().to_string();
        assert!(error.starts_with("receiver.toml:3:1: "), "{error}");
    }
}
