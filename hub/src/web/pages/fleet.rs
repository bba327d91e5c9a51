//! `/`: every box's state. The verdict is the box's own (design: "One verdict"); the hub adds what only it can know: silence,
//! revocation, clones, isolated objects.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use gift_wire::{
    HealthReport,
    status::{UpdaterStatus, VerdictWord},
};
use maud::{Markup, html};

use super::words;
use crate::{
    hub::Hub,
    store::{
        fleet::{self, BoxRow},
        now_ms,
        order::{self, OrderRow},
        update,
    },
    web::auth::{Denied, Person},
};

/// A box that has an order has carried it out by then.
const CARRIED_OUT_MS: i64 = 300_000;

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
        || canary_failed(row).is_some()
    {
        BoxState::NeedsAttention
    } else {
        BoxState::Ok
    }
}

/// When the last canary failed, unless another has passed since.
fn canary_failed(row: &BoxRow) -> Option<i64> {
    row.canary_failed_ms.filter(|failed| row.canary_passed_ms.is_none_or(|passed| passed < *failed))
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
    if canary_failed(row).is_some() {
        out.push("its canary failed: what it sends may not be de-identified".to_owned());
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
    let found = |c: &_| {
        Ok(Found {
            rows: fleet::list(c)?,
            isolated: fleet::isolated_by_violation(c)?,
            offered: update::newest_serial(c)?,
            orders: order::list(c)?,
        })
    };
    let found = hub.store.read(found).await?;
    let offline_after = i64::try_from(hub.settings.fleet.offline_after_seconds).unwrap_or(i64::MAX / 1000) * 1000;
    Ok(super::page("Fleet", Some(&person), "/", &content(&found, now_ms(), offline_after)))
}

/// What the page shows.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<BoxRow>,
    /// Isolated objects by what they violated.
    isolated: Vec<(String, u64)>,
    /// Serial of the newest system update that is up.
    offered: Option<u64>,
    /// The newest order of each box that has one.
    orders: BTreeMap<String, OrderRow>,
}

fn content(found: &Found, now: i64, offline_after: i64) -> Markup {
    let Found { rows, isolated, offered, orders } = found;
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
                        li { (card(row, wanted, *offered, orders.get(&row.name), now)) }
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

fn card(row: &BoxRow, state: BoxState, offered: Option<u64>, order: Option<&OrderRow>, now: i64) -> Markup {
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
                @if row.canary_passed_ms.is_some() || row.canary_failed_ms.is_some() {
                    dt { "Canary" }
                    dd {
                        @match canary_failed(row) {
                            Some(at) => { "failed " (moment(Some(at), now)) },
                            None => { "passed " (moment(row.canary_passed_ms, now)) },
                        }
                    }
                }
                @if row.isolated > 0 { dt { "Isolated" } dd { (objects(row.isolated)) } }
                @if let Some(report) = &row.report {
                    (details(report))
                    (update_row(report.update.unwrap_or_default(), offered.filter(|_| state != BoxState::Revoked), now))
                }
                @if let Some(order) = order { (order_row(order, row.last_seen_ms, now)) }
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
            dt { "Waits to be judged" }
            dd { @if deid.inbox_objects == 0 { "none" } @else { (objects(deid.inbox_objects)) } }
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

/// What is seen of an order: a box that carried it out is not heard of again until it is enrolled anew.
fn order_row(order: &OrderRow, last_seen: Option<i64>, now: i64) -> Markup {
    let said = match order.fetched_ms {
        None => "ordered, the box has not fetched it yet",
        Some(_) if order.enrolled_since => "the box has enrolled anew since",
        Some(at) if last_seen.is_some_and(|seen| seen > at.saturating_add(CARRIED_OUT_MS)) => {
            "fetched, but the box still reports: it did not take the order"
        }
        Some(at) if now > at.saturating_add(CARRIED_OUT_MS) => "fetched, and not heard of since: erased",
        Some(_) => "fetched, being carried out",
    };
    html! {
        dt { "Order" }
        dd { ul {
            li { (words::order(order.kind)) " " (order.number) ": " (said) }
            li { (moment(Some(order.fetched_ms.unwrap_or(order.added_ms)), now)) }
        } }
    }
}

/// What became of the newest system update, what was refused, and what the box has not taken yet.
fn update_row(update: UpdaterStatus, offered: Option<u64>, now: i64) -> Markup {
    let state = words::update(update.state);
    let offered = offered.filter(|offered| *offered > update.serial);
    let changed = (update.changed_ms > 0).then(|| i64::try_from(update.changed_ms).unwrap_or(i64::MAX));
    html! {
        @if state.is_some() || update.refusal.is_some() || offered.is_some() {
            dt { "Update" }
            dd {
                ul {
                    @if let Some(state) = state { li { "update " (update.serial) ": " (state) } }
                    @if let Some(refusal) = update.refusal { li { "refused: " (words::refusal(refusal)) } }
                    @if let Some(changed) = changed { li { (moment(Some(changed), now)) } }
                    @if let Some(offered) = offered { li { "update " (offered) " is offered" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gift_wire::status::{
        AttentionLed, Cause, DeidStatus, DiskState, HoldReason, Leds, PowerLed, ScannerLed, UpdateRefusal, UpdateState,
        UplinkLed, UplinkStatus, Verdict,
    };

    use gift_wire::OrderKind;

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
                update: None,
            }),
            stored: 1,
            canary_passed_ms: None,
            canary_failed_ms: None,
            isolated: 0,
            isolated_new: 0,
            certificate_not_after_ms: None,
        }
    }

    fn shown(found: Found, now: i64) -> String {
        content(&found, now, 180_000).into_string()
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
        let text = {
            let isolated = vec![("<b>forbidden".to_owned(), 2)];
            shown(Found { rows: vec![hostile], isolated, ..Found::default() }, 1_060_000)
        };
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

    #[test]
    fn a_canary_that_failed_is_told_until_another_passes() {
        let page = |passed, failed| {
            let row = BoxRow { canary_passed_ms: passed, canary_failed_ms: failed, ..row() };
            shown(Found { rows: vec![row], ..Found::default() }, 1_060_000)
        };
        assert!(!page(None, None).contains("Canary"));
        let passed = page(Some(1_000_000), Some(900_000));
        assert!(passed.contains("passed <time") && passed.contains("1 min ago") && !passed.contains("Needs attention"));
        for failed in [page(None, Some(1_000_000)), page(Some(900_000), Some(1_000_000))] {
            assert!(
                failed.contains("failed <time")
                    && failed.contains("its canary failed")
                    && failed.contains("Needs attention")
            );
        }
    }

    #[test]
    fn every_state_and_refusal_of_an_update_has_words_and_what_is_newer_is_offered() {
        let text = |update: Option<UpdaterStatus>, offered| {
            let mut row = row();
            if let Some(report) = &mut row.report {
                report.update = update;
            }
            shown(Found { rows: vec![row], offered, ..Found::default() }, 1_060_000)
        };
        let with = |state, refusal| Some(UpdaterStatus { serial: 7, state, refusal, changed_ms: 1_000_000 });
        for (state, words) in [
            (UpdateState::Installing, "update 7: being installed"),
            (UpdateState::Installed, "update 7: waits for the restart"),
            (UpdateState::Trying, "update 7: runs, not confirmed yet"),
            (UpdateState::Confirmed, "update 7: confirmed"),
            (UpdateState::RolledBack, "update 7: did not work, the box went back"),
            (UpdateState::Failed, "update 7: could not be written"),
        ] {
            let text = text(with(state, None), Some(7));
            assert!(text.contains(words) && text.contains("1970-01-01 00:16:40 UTC"), "{text}");
            assert!(!text.contains("refused: ") && !text.contains("is offered"), "{text}");
        }
        for (refusal, words) in [
            (UpdateRefusal::Form, "refused: it is none"),
            (UpdateRefusal::Signature, "refused: no trusted key signed it"),
            (UpdateRefusal::Serial, "refused: its serial is not greater than that of every one before"),
            (UpdateRefusal::Version, "refused: its image is not newer than the one that runs"),
            (UpdateRefusal::Expired, "refused: its last day has passed"),
            (UpdateRefusal::Content, "refused: its archive is not the one that was signed"),
            (UpdateRefusal::Room, "refused: there is no room for it"),
        ] {
            assert!(text(with(UpdateState::Confirmed, Some(refusal)), None).contains(words));
            let only = text(Some(UpdaterStatus { refusal: Some(refusal), ..UpdaterStatus::default() }), None);
            assert!(only.contains(words) && !only.contains("update 0"), "{only}");
        }
        assert!(text(with(UpdateState::Confirmed, None), Some(8)).contains("update 8 is offered"));
        assert!(text(None, Some(8)).contains("update 8 is offered"));
        assert!(!text(None, None).contains("Update"));
        assert!(!text(Some(UpdaterStatus::default()), None).contains("Update"));
        let revoked = BoxRow { revoked_ms: Some(1), ..row() };
        let found = Found { rows: vec![revoked], offered: Some(8), ..Found::default() };
        assert!(!shown(found, 1_060_000).contains("is offered"));
    }

    #[test]
    fn what_became_of_an_order_follows_from_what_is_seen_of_the_box() {
        let fetched = 1_000_000;
        let text = |fetched_ms, enrolled_since, last_seen, now| {
            let kind = OrderKind::Decommission;
            let order = OrderRow { number: 3, kind, added_ms: 900_000, fetched_ms, enrolled_since };
            let rows = vec![BoxRow { last_seen_ms: Some(last_seen), ..row() }];
            shown(Found { rows, orders: [("ward-1".to_owned(), order)].into(), ..Found::default() }, now)
        };
        let late = fetched + CARRIED_OUT_MS + 1;
        for (found, words) in [
            (text(None, false, late, late), "decommission 3: ordered, the box has not fetched it yet"),
            (text(Some(fetched), false, fetched + 1, fetched + 2), "decommission 3: fetched, being carried out"),
            (text(Some(fetched), false, fetched + 1, late), "decommission 3: fetched, and not heard of since: erased"),
            (text(Some(fetched), false, late, late), "decommission 3: fetched, but the box still reports"),
            (text(Some(fetched), true, late, late), "decommission 3: the box has enrolled anew since"),
        ] {
            assert!(found.contains(words), "{words} is not in {found}");
        }
        assert!(!shown(Found { rows: vec![row()], ..Found::default() }, late).contains("Order"));
    }
}
