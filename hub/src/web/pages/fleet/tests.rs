//! What the fleet page says of a box.

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
    deid.inbox_objects = 21;
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
        "<dt>Waits to be judged</dt><dd>21 objects</dd>",
        "7 objects (3.7 MB), oldest 2 min",
        "5.0 GB free of 9.0 GB",
        "bundle 12, 3 refused",
        "1 min ago",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn a_scanner_that_fell_silent_and_a_hub_that_is_about_to_end_are_seen() {
    let image = |received: &[(u16, u64)]| {
        let mut row = row();
        if let Some(report) = &mut row.report {
            report.receiver = Some(ReceiverStatus {
                last_instance_ms: received.iter().copied().collect(),
                ..ReceiverStatus::default()
            });
        }
        shown(Found { rows: vec![row], ..Found::default() }, 7_200_000 + 60_000)
    };
    assert!(image(&[(0, 60_000), (1, 30_000), (CANARY_SCANNER, 7_200_000)]).contains("2 h ago"));
    assert!(
        image(&[(CANARY_SCANNER, 7_200_000)]).contains("<dt>Last image</dt><dd>none since its receiver started</dd>")
    );
    let ends = shown(Found { issuing_ends_ms: Some(1_000_000_000_000), ..Found::default() }, 1_000_000);
    assert!(ends.contains("2001") && ends.contains("renew-issuing-ca"), "{ends}");
    assert!(!shown(Found::default(), 1_000_000).contains("renew-issuing-ca"));
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
