//! Policy that was signed offline: what the hub carries to boxes without being able to change it.
//!
//! A bundle lies on top of the policy of the box's image: its texts replace those of the same name or join them, and what it
//! withdraws no longer counts. It is whole: each bundle replaces the one before. Whoever holds no signing key can neither add a
//! template nor bring an older bundle back ([`Bundle::serial`] only grows) nor keep one alive for ever ([`Bundle::expires`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::WIRE_VERSION;

/// Largest [`SignedBundle`] as JSON, bytes.
pub const MAX_BUNDLE_BYTES: usize = 16 << 20;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// Grows with every bundle of one signer; from 1.
    pub serial: u64,
    /// Day of making, `YYYY-MM-DD` (UTC).
    pub created: String,
    /// Last day on which a box takes it, `YYYY-MM-DD` (UTC).
    pub expires: String,
    /// Policy texts by name: `templates/…` and `profiles/…`, without the ending.
    pub texts: BTreeMap<String, String>,
    /// Names of texts of the image that no longer count.
    #[serde(default)]
    pub withdrawn: BTreeSet<String>,
}

/// A bundle and its signature, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBundle {
    /// The JSON of a [`Bundle`], byte for byte as it was signed.
    pub bundle: String,
    /// A minisign signature of it (four lines of text).
    pub signature: String,
}

/// Why a text is no bundle. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not the JSON of one.
    #[error("not a policy bundle")]
    Form,
    /// A version that is not known here.
    #[error("policy bundle of an unknown version")]
    Version,
    /// Serial 0.
    #[error("a policy bundle's serial begins at 1")]
    Serial,
    /// A day that is none, or an end before the beginning.
    #[error("the days of a policy bundle must be YYYY-MM-DD, and the last one not before the first")]
    Days,
    /// A name outside `templates/` and `profiles/`.
    #[error("a policy bundle holds texts of templates/ and profiles/ only, named by a-z 0-9 . _ -")]
    Name,
}

impl Bundle {
    /// Reads and checks what was signed.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let bundle: Self = serde_json::from_str(text).map_err(|_| BundleError::Form)?;
        if bundle.version != WIRE_VERSION {
            return Err(BundleError::Version);
        }
        if bundle.serial == 0 {
            return Err(BundleError::Serial);
        }
        if !is_day(&bundle.created) || !is_day(&bundle.expires) || bundle.expires < bundle.created {
            return Err(BundleError::Days);
        }
        if !bundle.texts.keys().chain(&bundle.withdrawn).all(|name| is_name(name)) {
            return Err(BundleError::Name);
        }
        Ok(bundle)
    }
}

impl SignedBundle {
    /// Reads one as it travels. Says nothing about the signature.
    ///
    /// # Errors
    /// [`BundleError::Form`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::Form);
        }
        serde_json::from_slice(bytes).map_err(|_| BundleError::Form)
    }
}

/// `YYYY-MM-DD`, as a calendar might have it: compared as text, days are in order.
pub(crate) fn is_day(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u8>().ok());
    text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() })
        && number(5..7).is_some_and(|month| (1..=12).contains(&month))
        && number(8..10).is_some_and(|day| (1..=31).contains(&day))
}

/// `templates/` or `profiles/`, then one or two parts of `[a-z0-9._-]{1,64}` that do not begin with a point.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        (1..=64).contains(&part.len())
            && !part.starts_with('.')
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    let Some((root, rest)) = name.split_once('/') else { return false };
    matches!(root, "templates" | "profiles") && rest.split('/').count() <= 2 && rest.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        Bundle {
            version: WIRE_VERSION,
            serial: 3,
            created: "2026-11-28".into(),
            expires: "2027-11-28".into(),
            texts: [("templates/site/ge-e10".to_owned(), "version = 1".to_owned())].into(),
            withdrawn: ["templates/demo/ge-v830".to_owned()].into(),
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_and_what_breaks_its_rules_is_none() {
        let parse = |bundle: &Bundle| Bundle::parse(&serde_json::to_string(bundle).unwrap());
        assert_eq!(parse(&bundle()), Ok(bundle()));
        let with = |change: fn(&mut Bundle)| {
            let mut bundle = bundle();
            change(&mut bundle);
            parse(&bundle).unwrap_err()
        };
        assert_eq!(with(|b| b.version = 2), BundleError::Version);
        assert_eq!(with(|b| b.serial = 0), BundleError::Serial);
        assert_eq!(with(|b| b.expires = "2026-11-27".into()), BundleError::Days);
        for day in ["2026-13-01", "2026-00-01", "2026-01-32", "26-01-01", "2026-1-01x", "2026/01/01"] {
            assert!(!is_day(day), "{day}");
        }
        for name in [
            "templates",
            "templates/",
            "ps3.15/x",
            "templates/../x",
            "templates/a/b/c",
            "/templates/a",
            "profiles/A",
            "templates/.x",
        ] {
            assert!(!is_name(name), "{name}");
        }
        assert_eq!(Bundle::parse("{}"), Err(BundleError::Form));
        assert_eq!(SignedBundle::from_json(b"{\"bundle\":\"\",\"signature\":\"\",\"more\":1}"), Err(BundleError::Form));
    }
}
