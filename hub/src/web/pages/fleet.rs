//! `/`: every box's state. The verdict is the box's own (design: "One verdict"); the hub adds what only it can know: silence,
//! revocation, clones, isolated objects.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use gift_wire::{
    HealthReport,
    status::{CANARY_SCANNER, ReceiverStatus, UpdaterStatus, VerdictWord},
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
            issuing_ends_ms: None,
        })
    };
    let mut found = hub.store.read(found).await?;
    found.issuing_ends_ms = hub.pki.issuing_ends_soon();
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
    /// When the hub's issuing CA ends, if that is soon.
    issuing_ends_ms: Option<i64>,
}

fn content(found: &Found, now: i64, offline_after: i64) -> Markup {
    let Found { rows, isolated, offered, orders, issuing_ends_ms } = found;
    let states: Vec<BoxState> = rows.iter().map(|row| state(row, now, offline_after)).collect();
    html! {
        p.asof { "As of " time datetime=(words::machine(now)) { (words::absolute(now)) } ". Reload to refresh." }
        @if let Some(end) = issuing_ends_ms {
            p role="alert" {
                "The hub's issuing CA ends on " (words::absolute(*end)) ", and with it every box's connection. Renew it now: "
                code { "gift-hub renew-issuing-ca ROOT_KEY" }
            }
        }
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
                    (details(report, now))
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

/// When a scanner last sent an image since the receiver started, ms since the Unix epoch by the box's clock (it says it to the minute, and for a
/// month).
fn last_image(receiver: &ReceiverStatus) -> Option<i64> {
    let of_scanners = receiver.last_instance_ms.iter().filter(|(ordinal, _)| **ordinal != CANARY_SCANNER);
    of_scanners.filter_map(|(_, at)| i64::try_from(*at).ok()).max()
}

fn details(report: &HealthReport, now: i64) -> Markup {
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
        @if let Some(receiver) = &report.receiver {
            dt { "Last image" }
            dd {
                @match last_image(receiver) {
                    Some(at) => (moment(Some(at), now)),
                    None => "none since its receiver started",
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
mod tests;
