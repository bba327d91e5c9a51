//! From an error of the HTTP client, or a status of the hub, to what happens next.

use std::{error::Error, io, time::Duration};

use http::{HeaderMap, StatusCode, header};
use rustls::{AlertDescription, CertificateError};

use crate::error::AttemptError;

/// Alerts by which a server says that it will not have our certificate (RFC 8446 §6.2).
const OWN_CERTIFICATE_ALERTS: [AlertDescription; 8] = [
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
];

/// Sorts an error of the HTTP client.
pub(crate) fn of_error(error: &(dyn Error + 'static)) -> AttemptError {
    let mut next = Some(error);
    let mut told = Vec::new();
    while let Some(error) = next {
        if let Some(tls) = tls_error(error) {
            return of_tls(tls);
        }
        told.push(error.to_string());
        next = error.source();
    }
    // In TLS 1.3 a server judges our certificate after our handshake is done, and h2 keeps of the connection's error only
    // its text; compare with the text that rustls itself gives these alerts.
    let is_told = |alert: &AlertDescription| {
        let text = rustls::Error::AlertReceived(*alert).to_string();
        told.iter().any(|told| told.contains(&text))
    };
    if OWN_CERTIFICATE_ALERTS.iter().any(is_told) { AttemptError::OwnCertificate } else { AttemptError::Unreachable }
}

/// The rustls error in `error` itself; an IO error does not list what it wraps as its source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(inner)
}

fn of_tls(error: &rustls::Error) -> AttemptError {
    match error {
        // The right roots, the wrong time: our clock or the hub's neglect, not an interception.
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => AttemptError::Tls { intercepted: false },
        rustls::Error::InvalidCertificate(_) => AttemptError::Tls { intercepted: true },
        rustls::Error::AlertReceived(alert) if OWN_CERTIFICATE_ALERTS.contains(alert) => AttemptError::OwnCertificate,
        _ => AttemptError::Tls { intercepted: false },
    }
}

/// Sorts a status that is not a success.
pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap) -> AttemptError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AttemptError::OwnCertificate,
        // The path is not there (another version, a wrong host), or the wish to slow down: nothing about the object.
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::MISDIRECTED_REQUEST => busy(status, headers),
        status if status.is_client_error() => AttemptError::Refused { status: status.as_u16() },
        status => busy(status, headers),
    }
}

fn busy(status: StatusCode, headers: &HeaderMap) -> AttemptError {
    // The date form of Retry-After (RFC 9110 §10.2.3) needs a right clock on both sides; the hub sends seconds.
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|s| s.parse().ok());
    AttemptError::Busy { status: status.as_u16(), retry_after: seconds.map(Duration::from_secs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(error: rustls::Error) -> io::Error {
        io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn another_root_is_interception_and_a_wrong_time_is_not() {
        let of = |error| of_error(&wrapped(rustls::Error::InvalidCertificate(error)));
        assert_eq!(of(CertificateError::UnknownIssuer), AttemptError::Tls { intercepted: true });
        assert_eq!(of(CertificateError::BadSignature), AttemptError::Tls { intercepted: true });
        assert_eq!(of(CertificateError::Expired), AttemptError::Tls { intercepted: false });
    }

    #[test]
    fn a_refused_certificate_is_known_by_type_and_by_text() {
        for alert in OWN_CERTIFICATE_ALERTS {
            let error = rustls::Error::AlertReceived(alert);
            assert_eq!(of_error(&io::Error::other(error.to_string())), AttemptError::OwnCertificate);
            assert_eq!(of_error(&wrapped(error)), AttemptError::OwnCertificate);
        }
        let version = rustls::Error::AlertReceived(AlertDescription::ProtocolVersion);
        assert_eq!(of_error(&wrapped(version)), AttemptError::Tls { intercepted: false });
        assert_eq!(of_error(&io::Error::from(io::ErrorKind::ConnectionReset)), AttemptError::Unreachable);
    }

    #[test]
    fn statuses_are_sorted_by_whose_fault_they_are() {
        let mut headers = HeaderMap::new();
        for refused in [400, 409, 411, 413, 415, 422] {
            let status = StatusCode::from_u16(refused).unwrap();
            assert_eq!(of_status(status, &headers), AttemptError::Refused { status: refused });
        }
        for busy in [302, 404, 408, 429, 500, 502, 503, 507] {
            let status = StatusCode::from_u16(busy).unwrap();
            assert_eq!(of_status(status, &headers), AttemptError::Busy { status: busy, retry_after: None });
        }
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let seven = AttemptError::Busy { status: 503, retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(of_status(StatusCode::SERVICE_UNAVAILABLE, &headers), seven);
        assert_eq!(of_status(StatusCode::FORBIDDEN, &headers), AttemptError::OwnCertificate);
    }
}
