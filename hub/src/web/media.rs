//! Media types and `Accept` (RFC 9110 §8.3.1, §12.5.1; PS3.18 §8.7), as far as DICOMweb needs them.

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Parses `type/subtype; name=value; name="value"`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pieces = split(text, ';').into_iter();
        let (kind, subtype) = pieces.next()?.split_once('/')?;
        let parameters = pieces
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unquote(value.trim())))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self { kind: kind.trim().to_ascii_lowercase(), subtype: subtype.trim().to_ascii_lowercase(), parameters })
    }

    /// The type is exactly this one.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// The range covers this type.
    pub fn covers(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == "*" && self.subtype == "*")
            || (self.kind == kind && (self.subtype == "*" || self.subtype == subtype))
    }

    /// A parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn refused(&self) -> bool {
        self.parameter("q").and_then(|q| q.parse::<f32>().ok()).is_some_and(|q| q <= 0.0)
    }
}

/// True for `application/dicom` with whatever parameters.
pub fn is_dicom(text: &str) -> bool {
    MediaType::parse(text).is_some_and(|media| media.is("application", "dicom"))
}

/// The media ranges of `Accept`, those with `q=0` left out. Empty input means that anything is welcome.
pub fn accept(text: Option<&str>) -> Vec<MediaType> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => MediaType::parse("*/*").into_iter().collect(),
        Some(text) => {
            split(text, ',').into_iter().filter_map(MediaType::parse).filter(|media| !media.refused()).collect()
        }
    }
}

/// Splits at `separator` outside quotes; trims.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .map(str::trim)
    .collect()
}

fn unquote(text: &str) -> String {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parameters_keep_their_separators() {
        let media = MediaType::parse("multipart/Related; Type=\"application/dicom\"; boundary=\"a;b,c\"").unwrap();
        assert!(media.is("multipart", "related"));
        assert_eq!(media.parameter("boundary"), Some("a;b,c"));
        let ranges = accept(Some("multipart/related; type=\"application/dicom\"; transfer-syntax=*, */*;q=0"));
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges[0].parameter("transfer-syntax"), Some("*"));
        assert!(accept(None)[0].covers("image", "png"));
        assert!(accept(Some("nonsense")).is_empty());
    }
}
