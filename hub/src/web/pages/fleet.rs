//! `/`: every box's state. The verdict is the box's own (design: "One verdict"); the hub adds what only it can know: silence,
//! revocation, clones, isolated objects.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use gift_wire::{HealthReport, status::VerdictWord};
use maud::{Markup, html};

use super::words;
use crate::{
    hub::Hub,
    store::{
        fleet::{self, BoxRow},
        now_ms,
    },
    web::auth::{Denied, Person},
};

/// A box's state, in the order of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoxState {
    Ok,
    NeedsAttention,
    Offline,
    NeverSeen,
    Revoked,
}

impl BoxState {
    const ALL: [Self; 5] = [Self::NeedsAttention, Self::Offline, Self::NeverSeen, Self::Ok, Self::Revoked];

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NeedsAttention => "Needs attention",
            Self::Offline => "Offline",
            Self::NeverSeen => "Never seen",
            Self::Revoked => "Revoked",
        }
    }

    /// The CSS class that gives shape and colour.
    const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NeedsAttention => "attention",
            Self::Offline => "offline",
            Self::NeverSeen => "never",
            Self::Revoked => "revoked",
        }
    }

    /// The shape, so that colour is not needed to tell states apart.
    const fn shape(self) -> &'static str {
        match self {
            Self::Ok => "●",
            Self::NeedsAttention => "▲",
            Self::Offline => "■",
            Self::NeverSeen => "○",
            Self::Revoked => "✕",
        }
    }
}

fn state(row: &BoxRow, now: i64, offline_after_ms: i64) -> BoxState {
    let (Some(last_seen), Some(report)) = (row.last_seen_ms, &row.report) else {
        return if row.revoked_ms.is_some() { BoxState::Revoked } else { BoxState::NeverSeen };
    };
    if row.revoked_ms.is_some() {
        BoxState::Revoked
    } else if now - last_seen > offline_after_ms {
        BoxState::Offline
    } else if matches!(report.verdict.word, VerdictWord::Attention | VerdictWord::Fault)
        || row.clone_suspected_ms.is_some()
        || row.isolated_new > 0
    {
        BoxState::NeedsAttention
    } else {
        BoxState::Ok
    }
}

/// What is the matter, in words.
fn causes(row: &BoxRow) -> Vec<String> {
    let mut out = Vec::new();
    if row.clone_suspected_ms.is_some() {
        out.push("two boxes report under this name: a copied disk or certificate".to_owned());
    }
    if row.isolated_new > 0 {
        out.push(format!("{} isolated by the hub's own check", objects(row.isolated_new)));
    }
    if let Some(report) = &row.report {
        if report.verdict.word == VerdictWord::Starting {
            out.push("starting".to_owned());
        }
        out.extend(report.verdict.causes.iter().map(|cause| words::cause(*cause).to_owned()));
    }
    out
}

fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

/// `GET /`
pub(super) async fn page(State(hub): State<Arc<Hub>>, person: Person) -> Result<Response, Denied> {
    let (rows, isolated) = hub.store.read(|c| Ok((fleet::list(c)?, fleet::isolated_by_violation(c)?))).await?;
    let offline_after = i64::try_from(hub.settings.fleet.offline_after_seconds).unwrap_or(i64::MAX / 1000) * 1000;
    Ok(super::page("Fleet", Some(&person), "/", &content(&rows, &isolated, now_ms(), offline_after)))
}

fn content(rows: &[BoxRow], isolated: &[(String, u64)], now: i64, offline_after: i64) -> Markup {
    let states: Vec<BoxState> = rows.iter().map(|row| state(row, now, offline_after)).collect();
    html! {
        p.asof { "As of " time datetime=(words::machine(now)) { (words::absolute(now)) } ". Reload to refresh." }
        @if rows.is_empty() {
            p { "No box yet. Name one with " code { "gift-hub add-box NAME" } "." }
        } @else {
            ul.summary aria-label="Boxes by state" {
                @for wanted in BoxState::ALL {
                    @let count = states.iter().filter(|s| **s == wanted).count();
                    @if count > 0 { li { (badge(wanted)) " " (count) } }
                }
            }
            ul.fleet {
                @for wanted in BoxState::ALL {
                    @for (row, _) in rows.iter().zip(&states).filter(|(_, s)| **s == wanted) {
                        li { (card(row, wanted, now)) }
                    }
                }
            }
        }
        @if !isolated.is_empty() {
            h2 { "Isolated objects" }
            p { "These broke a rule of their profile on arrival. They are kept apart and served to nobody." }
            (super::table("Isolated objects by rule", &["Rule and attribute", "Objects"], &isolated.iter()
                .map(|(violations, count)| vec![html! { (violations) }, html! { (count) }])
                .collect::<Vec<_>>()))
        }
    }
}

fn badge(state: BoxState) -> Markup {
    html! { span class={ "state " (state.class()) } { span aria-hidden="true" { (state.shape()) } " " (state.word()) } }
}

fn card(row: &BoxRow, state: BoxState, now: i64) -> Markup {
    let causes = causes(row);
    html! {
        article aria-labelledby={ "box-" (row.name) } {
            h2 id={ "box-" (row.name) } { (row.name) }
            p { (badge(state)) }
            @if !causes.is_empty() { ul.causes { @for cause in causes { li { (cause) } } } }
            dl {
                dt { "Last seen" }
                dd { (moment(row.last_seen_ms, now)) }
                dt { "Stored here" }
                dd { (objects(row.stored)) }
                @if row.isolated > 0 { dt { "Isolated" } dd { (objects(row.isolated)) } }
                @if let Some(report) = &row.report { (details(report)) }
                @if let Some(end) = row.certificate_not_after_ms {
                    dt { "Certificate until" }
                    dd { time datetime=(words::machine(end)) { (words::absolute(end)) } }
                }
                @if let Some(at) = row.revoked_ms { dt { "Revoked" } dd { (moment(Some(at), now)) } }
            }
        }
    }
}

fn moment(at: Option<i64>, now: i64) -> Markup {
    html! {
        @match at {
            Some(at) => {
                time datetime=(words::machine(at)) { (words::ago(now, at)) }
                " "
                span.absolute { (words::absolute(at)) }
            },
            None => "never",
        }
    }
}

fn details(report: &HealthReport) -> Markup {
    let disk = &report.disk;
    html! {
        @if let Some(uplink) = &report.uplink {
            dt { "Backlog" }
            dd {
                @if uplink.queue_objects == 0 { "none" } @else {
                    (objects(uplink.queue_objects)) " (" (words::bytes(uplink.queue_bytes)) "), oldest "
                    (words::span(uplink.queue_oldest_age_seconds))
                }
            }
        }
        @if let Some(deid) = &report.deid {
            dt { "Quarantine" }
            dd {
                @let held: Vec<_> = deid.quarantine_objects.iter().filter(|(_, n)| **n > 0).collect();
                @if held.is_empty() { "none" } @else {
                    ul { @for (reason, count) in held { li { (words::hold(*reason)) ": " (count) } } }
                }
            }
        }
        @if let Some(deid) = report.deid.as_ref().filter(|deid| deid.policy_serial + deid.bundles_refused_total > 0) {
            dt { "Policy" }
            dd {
                @if deid.policy_serial > 0 { "bundle " (deid.policy_serial) } @else { "of the image" }
                @if deid.bundles_refused_total > 0 { ", " (deid.bundles_refused_total) " refused" }
            }
        }
        dt { "Disk" }
        dd { (words::bytes(disk.free_bytes)) " free of " (words::bytes(disk.total_bytes)) }
        dt { "Version" }
        dd { (report.software) }
    }
}

#[cfg(test)]
mod tests {
    use gift_wire::status::{
        AttentionLed, Cause, DeidStatus, DiskState, HoldReason, Leds, PowerLed, ScannerLed, UplinkLed, UplinkStatus,
        Verdict,
    };

    use super::*;

    fn row() -> BoxRow {
        let verdict = Verdict {
            word: VerdictWord::Ok,
            causes: Vec::new(),
            leds: Leds {
                power: PowerLed::Ready,
                scanner: ScannerLed::Idle,
                uplink: UplinkLed::Connected,
                attention: AttentionLed::None,
            },
        };
        let mut deid = DeidStatus::default();
        deid.quarantine_objects.insert(HoldReason::NoTemplate, 4);
        (deid.policy_serial, deid.bundles_refused_total) = (12, 3);
        BoxRow {
            name: "ward-1".to_owned(),
            revoked_ms: None,
            clone_suspected_ms: None,
            last_seen_ms: Some(1_000_000),
            report: Some(HealthReport {
                version: 1,
                boot: "a".repeat(32),
                sequence: 1,
                sent_ms: 1,
                software: "0.1.0".to_owned(),
                verdict,
                disk: DiskState { free_bytes: 5_000_000_000, total_bytes: 9_000_000_000, reserve_bytes: 1 },
                receiver: None,
                deid: Some(deid),
                uplink: Some(UplinkStatus {
                    queue_objects: 7,
                    queue_bytes: 3_700_000,
                    queue_oldest_age_seconds: 130,
                    ..UplinkStatus::default()
                }),
            }),
            stored: 1,
            isolated: 0,
            isolated_new: 0,
            certificate_not_after_ms: None,
        }
    }

    #[test]
    fn the_state_is_what_the_box_says_and_what_only_the_hub_knows() {
        let at = |row: &BoxRow, now| state(row, now, 180_000);
        let fine = row();
        assert_eq!(at(&fine, 1_180_000), BoxState::Ok);
        assert_eq!(at(&fine, 1_180_001), BoxState::Offline);
        let mut attention = row();
        if let Some(report) = &mut attention.report {
            report.verdict.word = VerdictWord::Fault;
        }
        assert_eq!(at(&attention, 1_000_000), BoxState::NeedsAttention);
        assert_eq!(at(&BoxRow { isolated: 1, isolated_new: 1, ..row() }, 1_000_000), BoxState::NeedsAttention);
        assert_eq!(at(&BoxRow { clone_suspected_ms: Some(1), ..row() }, 1_000_000), BoxState::NeedsAttention);
        assert_eq!(at(&BoxRow { revoked_ms: Some(1), ..row() }, 1_000_000), BoxState::Revoked);
        let never = BoxRow { last_seen_ms: None, report: None, ..row() };
        assert_eq!(at(&never, 1_000_000), BoxState::NeverSeen);
        assert_eq!(at(&BoxRow { revoked_ms: Some(1), ..never }, 1_000_000), BoxState::Revoked);
    }

    #[test]
    fn the_page_says_it_in_words_and_escapes_what_came_from_outside() {
        let mut hostile = row();
        if let Some(report) = &mut hostile.report {
            report.software = "<script>alert(1)</script>\"'&".to_owned();
            report.verdict.word = VerdictWord::Attention;
            report.verdict.causes = vec![Cause::ObjectsHeld];
        }
        let text = content(&[hostile], &[("<b>forbidden".to_owned(), 2)], 1_060_000, 180_000).into_string();
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        for expected in [
            "Needs attention",
            "objects stand in quarantine",
            "no redaction template: 4",
            "7 objects (3.7 MB), oldest 2 min",
            "5.0 GB free of 9.0 GB",
            "bundle 12, 3 refused",
            "1 min ago",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }
}
