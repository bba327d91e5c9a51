//! Entity tags (RFC 9110 §8.8.3): the SHA-256 of what they stand for, so always strong.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};

/// The tag of what has this SHA-256.
pub(super) fn of(sha256: &str) -> String {
    format!("\"{sha256}\"")
}

/// True when the box has what `tag` stands for: `If-None-Match` names it.
pub(super) fn is_there(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// 304.
pub(super) fn not_modified(tag: String) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()
}

/// What was signed offline, as it was put up, unless the box has it already.
pub(super) fn signed(headers: &HeaderMap, json: Vec<u8>) -> Response {
    let tag = of(&hex::encode(Sha256::digest(&json)));
    if is_there(headers, &tag) {
        return not_modified(tag);
    }
    ([(header::ETAG, tag), (header::CONTENT_TYPE, "application/json".to_owned())], json).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_and_nowhere_else() {
        let tag = of("ab");
        let there = |list: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, list.parse().unwrap());
            is_there(&headers, &tag)
        };
        for list in ["\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "*"] {
            assert!(there(list), "{list}");
        }
        for list in ["", "ab", "\"abc\"", "\"a\"b\""] {
            assert!(!there(list), "{list}");
        }
        assert!(!is_there(&HeaderMap::new(), &tag));
    }
}
