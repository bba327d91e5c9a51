//! Enumerations, times and sizes in words.

use chrono::{DateTime, Utc};
use gift_wire::{
    OrderKind,
    status::{Cause, HoldReason, UpdateRefusal, UpdateState},
};

/// A verdict's cause for a reader.
pub(super) const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::ReceiverDown => "the receiver does not run",
        Cause::DeidDown => "the de-identifier does not run",
        Cause::UplinkDown => "the uplink does not run",
        Cause::StoreDegraded => "a store failed and is being re-verified",
        Cause::DiskFull => "the disk is full: images are refused",
        Cause::DiskLow => "the disk is nearly full",
        Cause::HubUnreachable => "the box cannot reach the hub",
        Cause::PathIntercepted => "the network path to the hub is intercepted",
        Cause::NotEnrolled => "not enrolled",
        Cause::EnrolmentRefused => "its certificate is expired or revoked",
        Cause::ObjectsHeld => "objects stand in quarantine",
        Cause::ObjectsRefused => "the hub refused objects",
        Cause::DamagedItems => "damaged items were set aside",
        Cause::UpdateRunning => "a system update is being installed",
        Cause::UpdateRefused => "a system update was refused",
        Cause::UpdateFailed => "a system update did not work",
        Cause::CanaryOverdue => "no canary came through for too long",
        Cause::CanaryFailed => "its last canary did not pass the hub's check",
        Cause::QuarantineFull => "its quarantine is full: images wait, none is judged",
        Cause::ShareFull => "a scanner's share of its quarantine is full: that scanner's images wait",
        Cause::SettingsRefused => "its settings for verdict and lights cannot be used: those of the image stand in",
        Cause::WatchdogMissing => "it has no hardware watchdog",
        Cause::ScannerNetworkDown => "nothing reaches its scanner port (cable, switch, DHCP)",
    }
}

/// What became of a system update, for a reader; nothing when none was taken.
pub(super) const fn update(state: UpdateState) -> Option<&'static str> {
    match state {
        UpdateState::None => None,
        UpdateState::Installing => Some("being installed"),
        UpdateState::Installed => Some("waits for the restart"),
        UpdateState::Trying => Some("runs, not confirmed yet"),
        UpdateState::Confirmed => Some("confirmed"),
        UpdateState::RolledBack => Some("did not work, the box went back"),
        UpdateState::Failed => Some("could not be written"),
    }
}

/// Why a system update was refused, for a reader.
pub(super) const fn refusal(refusal: UpdateRefusal) -> &'static str {
    match refusal {
        UpdateRefusal::Form => "it is none",
        UpdateRefusal::Signature => "no trusted key signed it",
        UpdateRefusal::Serial => "its serial is not greater than that of every one before",
        UpdateRefusal::Version => "its image is not newer than the one that runs",
        UpdateRefusal::Expired => "its last day has passed",
        UpdateRefusal::Content => "its archive is not the one that was signed",
        UpdateRefusal::Room => "there is no room for it",
    }
}

/// What an order says, for a reader.
pub(super) const fn order(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::FactoryReset => "factory reset",
        OrderKind::Decommission => "decommission",
    }
}

/// A quarantine reason for a reader.
pub(super) const fn hold(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Unrouted => "no route",
        HoldReason::NoTemplate => "no redaction template",
        HoldReason::UnverifiedTemplate => "template not verified",
        HoldReason::AmbiguousTemplate => "several templates match",
        HoldReason::TemplateMismatch => "layout differs from its template",
        HoldReason::UnsupportedTransferSyntax => "transfer syntax cannot be redacted",
        HoldReason::UnsupportedSopClass => "SOP class cannot be made safe",
        HoldReason::RecognizableFeatures => "recognisable features",
        HoldReason::Malformed => "malformed",
        HoldReason::LimitExceeded => "limit exceeded",
        HoldReason::Inconsistent => "contradicts itself",
        HoldReason::NoPatientId => "no Patient ID",
        HoldReason::DecodeFailed => "pixels cannot be decoded",
        HoldReason::RedactionUnproven => "redaction not proven",
        HoldReason::LeakFound => "an identifier was found",
        HoldReason::TextInPixels => "an identifier was read in the pixels",
        HoldReason::SecondLookFailed => "the second look failed",
        HoldReason::WorkerCrashed => "worker crashed",
        HoldReason::WorkerTimeout => "worker took too long",
        HoldReason::RefusedByHub => "refused by the hub",
    }
}

/// A time as `2026-11-24 02:10:00 UTC`.
pub(super) fn absolute(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms)
        .map_or_else(|| "unknown".to_owned(), |t| t.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A time for `datetime` attributes.
pub(super) fn machine(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// How long ago.
pub(super) fn ago(now_ms: i64, then_ms: i64) -> String {
    let seconds = u64::try_from((now_ms - then_ms) / 1000).unwrap_or(0);
    if seconds < 5 { "just now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// A length of time.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of bytes.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A DICOM date as `2024-01-02`.
pub(super) fn date(text: &str) -> String {
    match (text.len(), text.get(0..4), text.get(4..6), text.get(6..8)) {
        (8, Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(27_600_000), "27.6 MB");
        assert_eq!(bytes(4 << 40), "4.4 TB");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(7_200), "2 h");
        assert_eq!(ago(200_000, 20_000), "3 min ago");
        assert_eq!(ago(0, 20_000), "just now");
        assert_eq!(date("20240102"), "2024-01-02");
        assert_eq!(date("2024"), "2024");
        assert_eq!(absolute(1_795_000_000_000), "2026-11-18 11:06:40 UTC");
    }
}
