//! What goes wrong, sorted by what the caller does about it, and how HTTP peers are told: RFC 9457 problem+json.
//! No variant carries a value of a data set.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// An error of the hub's inner parts.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The database refused.
    #[error("database, {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// The batch this write belonged to was not committed.
    #[error("database: the batch was not committed")]
    NotCommitted,
    /// The file system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("certificate, {doing}: {source}")]
    Certificate {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Something the operator has to put right.
    #[error("{0}")]
    Setup(String),
    /// A part of the hub has ended.
    #[error("{0} has ended")]
    Ended(&'static str),
}

/// Names what was being done when an error came up.
pub trait Doing<T> {
    /// Adds `doing` to the error.
    ///
    /// # Errors
    /// The same error, named.
    fn doing(self, doing: &'static str) -> Result<T, HubError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, HubError> {
        self.map_err(|source| HubError::Database { doing, source })
    }
}

impl<T> Doing<T> for Result<T, std::io::Error> {
    fn doing(self, doing: &'static str) -> Result<T, HubError> {
        self.map_err(|source| HubError::Io { doing, source })
    }
}

impl<T> Doing<T> for Result<T, rcgen::Error> {
    fn doing(self, doing: &'static str) -> Result<T, HubError> {
        self.map_err(|source| HubError::Certificate { doing, source })
    }
}

/// An answer that is not success: RFC 9457 with a status, a title and, when the peer shall come back, a delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// A sentence of the hub's own, never a value from outside.
    pub title: &'static str,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// `WWW-Authenticate: Basic` is added.
    pub challenge: bool,
}

impl Problem {
    /// A problem with a status and a title.
    pub const fn new(status: StatusCode, title: &'static str) -> Self {
        Self { status, title, retry_after: None, challenge: false }
    }

    /// 400.
    pub const fn bad_request(title: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title)
    }

    /// 404.
    pub const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// 406.
    pub const fn not_acceptable() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "none of the accepted media types can be given")
    }

    /// 503 with a delay in seconds.
    pub const fn busy(title: &'static str, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, title) }
    }
}

/// Turns errors that the HTTP library itself answered (an unreadable path, a body too large) into problems; pages and problems
/// stay as they are.
pub fn as_problem(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/problem+json") || kind.starts_with(b"text/html")
    });
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    Problem::new(status, "the request cannot be answered").into_response()
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        crate::events::internal(&error);
        Self::busy("the hub could not complete this; try again", 5)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "type": "about:blank", "title": self.title, "status": self.status.as_u16() });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.challenge {
            let basic = HeaderValue::from_static("Basic realm=\"gift-hub\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}
