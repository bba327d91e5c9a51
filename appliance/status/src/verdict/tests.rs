//! Each state of the processes, the disk and an update, and the verdict it must give.

use super::*;
use crate::{HoldReason, STATUS_VERSION};

const NOW: u64 = 1_000_000;

fn record<T>(body: T) -> StatusRecord<T> {
    StatusRecord { version: STATUS_VERSION, updated_ms: NOW - 1_000, started_ms: 0, state: RunState::Ready, body }
}

fn judge(
    receiver: Option<&StatusRecord<ReceiverStatus>>,
    deid: Option<&StatusRecord<DeidStatus>>,
    uplink: Option<&StatusRecord<UplinkStatus>>,
    free_bytes: u64,
) -> Verdict {
    let disk = DiskState { free_bytes, total_bytes: 100, reserve_bytes: 10 };
    verdict(&Inputs { now_ms: NOW, receiver, deid, uplink, disk, ..Inputs::default() })
}

fn healthy_uplink() -> StatusRecord<UplinkStatus> {
    record(UplinkStatus { hub: HubLink::Connected, enrolment: EnrolmentState::Enrolled, ..Default::default() })
}

#[test]
fn all_well_is_ok_and_ready() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.word, v.causes.as_slice()), (VerdictWord::Ok, &[][..]));
    assert_eq!(v.leds.power, PowerLed::Ready);
    assert_eq!(v.leds.scanner, ScannerLed::Waiting);
    assert_eq!(v.leds.attention, AttentionLed::None);
}

#[test]
fn a_silent_process_is_a_fault_even_when_its_last_words_were_good() {
    let (r, mut d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    // So are words of the future: the clock was set back since, by more than they may be old.
    for updated_ms in [NOW - STALE_AFTER_MS - 1, NOW + STALE_AFTER_MS + 1] {
        d.updated_ms = updated_ms;
        let v = judge(Some(&r), Some(&d), Some(&u), 50);
        assert_eq!((v.word, v.causes.as_slice()), (VerdictWord::Fault, &[Cause::DeidDown][..]));
        assert_eq!(v.leds.attention, AttentionLed::Call);
    }
}

#[test]
fn a_process_that_was_not_heard_yet_is_starting_for_a_while() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let judge = |deid, uplink, watched_ms| {
        let disk = DiskState { free_bytes: 50, total_bytes: 100, reserve_bytes: 10 };
        let (receiver, canary) = (Some(&r), Some(CanaryRule { longest_age_ms: 500, first_within_ms: 60_000 }));
        let inputs = Inputs {
            now_ms: NOW,
            receiver,
            deid,
            uplink,
            disk,
            canary,
            watched_ms,
            start_within_ms: 5_000,
            ..Inputs::default()
        };
        let v = verdict(&inputs);
        (v.word, v.causes, v.leds.power, v.leds.attention)
    };
    let starting = (VerdictWord::Starting, vec![], PowerLed::Starting, AttentionLed::None);
    assert_eq!(judge(None, Some(&u), 4_999), starting);
    assert_eq!(judge(Some(&d), None, 4_999), starting);
    let down = |cause| (VerdictWord::Fault, vec![cause], PowerLed::Fault, AttentionLed::Call);
    assert_eq!(judge(None, Some(&u), 5_000), down(Cause::DeidDown));
    // One that was heard and fell silent is down at once.
    let mut silent = d.clone();
    silent.updated_ms = NOW - STALE_AFTER_MS - 1;
    assert_eq!(judge(Some(&silent), Some(&u), 0), down(Cause::DeidDown));
}

#[test]
fn a_scanner_port_that_nothing_reaches_shows_once_it_had_its_time_and_the_box_stays_ready() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let judge = |free_bytes, watched_ms| {
        let disk = DiskState { free_bytes, total_bytes: 100, reserve_bytes: 10 };
        let (receiver, deid, uplink) = (Some(&r), Some(&d), Some(&u));
        let inputs = Inputs { now_ms: NOW, receiver, deid, uplink, disk, watched_ms, ..Inputs::default() };
        verdict(&Inputs { start_within_ms: 5_000, no_scanner_network: true, ..inputs })
    };
    assert_eq!((judge(50, 4_999).causes, judge(50, 4_999).leds.scanner), (vec![], ScannerLed::Waiting));
    let v = judge(50, 5_000);
    assert_eq!((v.word, v.causes), (VerdictWord::Attention, vec![Cause::ScannerNetworkDown]));
    assert_eq!((v.leds.power, v.leds.scanner), (PowerLed::Ready, ScannerLed::Unplugged));
    assert_eq!(v.leds.attention, AttentionLed::Look);
    assert_eq!(judge(9, 5_000).leds.scanner, ScannerLed::Refusing, "what the scanner's side cannot mend comes first");
}

#[test]
fn held_objects_ask_for_a_look_but_the_box_stays_ready() {
    let (r, mut d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    d.body.quarantine_objects.insert(HoldReason::NoTemplate, 2);
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.word, v.leds.power, v.leds.attention), (VerdictWord::Attention, PowerLed::Ready, AttentionLed::Look));
}

#[test]
fn a_full_quarantine_is_a_fault_and_a_full_share_of_it_is_not() {
    let (r, mut d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    d.body.deferred_objects = 1;
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.leds.power, v.leds.attention), (PowerLed::Ready, AttentionLed::Look));
    assert_eq!(v.causes, [Cause::ShareFull]);
    d.body.quarantine_full = true;
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.word, v.leds.power, v.leds.attention), (VerdictWord::Fault, PowerLed::Fault, AttentionLed::Call));
}

#[test]
fn a_process_that_lives_between_two_deaths_only_is_down() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let disk = DiskState { free_bytes: 50, total_bytes: 100, reserve_bytes: 10 };
    let (receiver, deid, uplink) = (Some(&r), Some(&d), Some(&u));
    let well = Inputs { now_ms: NOW, receiver, deid, uplink, disk, ..Inputs::default() };
    for (unstable, cause) in [
        (Unstable { receiver: true, ..Unstable::default() }, Cause::ReceiverDown),
        (Unstable { deid: true, ..Unstable::default() }, Cause::DeidDown),
        (Unstable { uplink: true, ..Unstable::default() }, Cause::UplinkDown),
    ] {
        let v = verdict(&Inputs { unstable, ..well });
        assert_eq!((v.word, v.causes.as_slice(), v.leds.power), (VerdictWord::Fault, &[cause][..], PowerLed::Fault));
    }
    let v = verdict(&Inputs { settings_refused: true, ..well });
    assert_eq!((v.leds.power, v.leds.attention), (PowerLed::Ready, AttentionLed::Call));
    let v = verdict(&Inputs { no_watchdog: true, ..well });
    assert_eq!((v.leds.power, v.leds.attention), (PowerLed::Ready, AttentionLed::Look));
}

#[test]
fn an_empty_quarantine_entry_is_no_cause() {
    let (r, mut d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    d.body.quarantine_objects.insert(HoldReason::NoTemplate, 0);
    assert_eq!(judge(Some(&r), Some(&d), Some(&u), 50).word, VerdictWord::Ok);
}

#[test]
fn a_full_disk_refuses_and_is_a_fault() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let v = judge(Some(&r), Some(&d), Some(&u), 9);
    assert_eq!((v.word, v.leds.scanner), (VerdictWord::Fault, ScannerLed::Refusing));
    assert_eq!(judge(Some(&r), Some(&d), Some(&u), 19).causes, [Cause::DiskLow]);
}

#[test]
fn an_unplugged_wan_is_shown_by_the_uplink_led_alone() {
    let (r, d, mut u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    u.body.hub = HubLink::Unreachable;
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.leds.uplink, v.leds.attention), (UplinkLed::Offline, AttentionLed::None));
    u.body.hub = HubLink::Intercepted;
    assert_eq!(judge(Some(&r), Some(&d), Some(&u), 50).leds.attention, AttentionLed::Call);
}

#[test]
fn words_round_trip_and_serde_uses_the_same_words() {
    for reason in HoldReason::ALL {
        assert_eq!(HoldReason::from_word(reason.as_str()), Some(*reason));
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn a_running_update_shows_on_the_power_led_and_asks_for_nothing() {
    let (r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    let judge = |state, refusal, deid| {
        let disk = DiskState { free_bytes: 50, total_bytes: 100, reserve_bytes: 10 };
        // It does not age: the updater is a oneshot.
        let mut updater = record(UpdaterStatus { serial: 3, state, refusal, changed_ms: 1 });
        updater.updated_ms = 1;
        let inputs = Inputs {
            now_ms: NOW,
            receiver: Some(&r),
            deid,
            uplink: Some(&u),
            updater: Some(&updater),
            disk,
            ..Inputs::default()
        };
        let v = verdict(&inputs);
        (v.word, v.leds.power, v.leds.attention)
    };
    let running = (VerdictWord::Ok, PowerLed::Updating, AttentionLed::None);
    assert_eq!(judge(UpdateState::Installing, None, Some(&d)), running);
    assert_eq!(judge(UpdateState::Installed, None, Some(&d)), running);
    assert_eq!(judge(UpdateState::Trying, None, Some(&d)), running);
    assert_eq!(judge(UpdateState::Installing, None, None), (VerdictWord::Fault, PowerLed::Fault, AttentionLed::Call));
    let well = (VerdictWord::Ok, PowerLed::Ready, AttentionLed::None);
    for state in [UpdateState::None, UpdateState::Confirmed] {
        assert_eq!(judge(state, None, Some(&d)), well);
    }
    let look = (VerdictWord::Attention, PowerLed::Ready, AttentionLed::Look);
    assert_eq!(judge(UpdateState::RolledBack, None, Some(&d)), look);
    assert_eq!(judge(UpdateState::Failed, None, Some(&d)), look);
    assert_eq!(judge(UpdateState::None, Some(crate::UpdateRefusal::Signature), Some(&d)), look);
}

/// A box that is well but for what its uplink says of canaries, judged by a rule.
fn judged(canary_ms: u64, canary_failed_ms: u64, hub: HubLink, rule: CanaryRule, watched_ms: u64) -> Verdict {
    let (r, d) = (record(ReceiverStatus::default()), record(DeidStatus::default()));
    let enrolment = EnrolmentState::Enrolled;
    let u = record(UplinkStatus { hub, enrolment, canary_ms, canary_failed_ms, ..Default::default() });
    let disk = DiskState { free_bytes: 50, total_bytes: 100, reserve_bytes: 10 };
    let (receiver, deid, uplink, canary) = (Some(&r), Some(&d), Some(&u), Some(rule));
    let start_within_ms = 500;
    verdict(&Inputs {
        now_ms: NOW,
        receiver,
        deid,
        uplink,
        disk,
        canary,
        watched_ms,
        start_within_ms,
        ..Inputs::default()
    })
}

/// By a rule of 500 s, and 60 s for the first.
fn canaries(canary_ms: u64, canary_failed_ms: u64, hub: HubLink, watched_ms: u64) -> Verdict {
    let rule = CanaryRule { longest_age_ms: 500_000, first_within_ms: 60_000 };
    judged(canary_ms, canary_failed_ms, hub, rule, watched_ms)
}

#[test]
fn ready_is_kept_for_the_longest_age_of_a_canary_and_no_longer() {
    let power = |at| canaries(at, 0, HubLink::Connected, 60_000).leds.power;
    assert_eq!(
        (power(NOW), power(NOW - 500_000), power(NOW + 500_000)),
        (PowerLed::Ready, PowerLed::Ready, PowerLed::Ready)
    );
    let overdue = canaries(NOW - 500_001, 0, HubLink::Connected, 60_000);
    assert_eq!((overdue.word, overdue.causes.as_slice()), (VerdictWord::Attention, &[Cause::CanaryOverdue][..]));
    assert_eq!((overdue.leds.power, overdue.leds.attention), (PowerLed::Unproven, AttentionLed::Look));
    // Noted by a clock that was far ahead: it would count for years.
    assert_eq!(power(NOW + 500_001), PowerLed::Unproven);
}

#[test]
fn without_its_first_canary_a_box_is_starting_for_a_while() {
    let early = canaries(0, 0, HubLink::Connected, 59_999);
    assert_eq!(
        (early.word, early.leds.power, early.leds.attention),
        (VerdictWord::Starting, PowerLed::Starting, AttentionLed::None)
    );
    assert_eq!(canaries(0, 0, HubLink::Connected, 60_000).causes, [Cause::CanaryOverdue]);
    // The same after a long time without power.
    assert_eq!(canaries(1, 0, HubLink::Connected, 59_999).word, VerdictWord::Starting);
    // Without a hub it came up all the same: the technician is to look at the cable, not to wait.
    let alone = |watched_ms| canaries(0, 0, HubLink::Unreachable, watched_ms).leds.power;
    assert_eq!((alone(499), alone(500)), (PowerLed::Starting, PowerLed::Unproven));
    // One that came since the start was the first: what is overdue then is another.
    let rule = CanaryRule { longest_age_ms: 5_000, first_within_ms: 60_000 };
    assert_eq!(judged(NOW - 6_000, 0, HubLink::Connected, rule, 20_000).causes, [Cause::CanaryOverdue]);
}

#[test]
fn a_canary_that_the_hub_found_wrong_shows_at_once_until_another_comes_through() {
    let failed = canaries(NOW - 2, NOW - 1, HubLink::Connected, 0);
    assert_eq!((failed.word, failed.causes.as_slice()), (VerdictWord::Attention, &[Cause::CanaryFailed][..]));
    assert_eq!((failed.leds.power, failed.leds.attention), (PowerLed::Unproven, AttentionLed::Call));
    assert_eq!(canaries(NOW - 1, NOW - 2, HubLink::Connected, 0).leds.power, PowerLed::Ready);
}

#[test]
fn with_the_hub_away_the_absence_of_canaries_has_the_hubs_name_and_ready_still_ends() {
    let recent = canaries(NOW - 400_000, 0, HubLink::Unreachable, 60_000);
    assert_eq!((recent.causes.as_slice(), recent.leds.power), (&[Cause::HubUnreachable][..], PowerLed::Ready));
    let late = canaries(NOW - 500_001, 0, HubLink::Unreachable, 60_000);
    assert_eq!((late.causes.as_slice(), late.leds.power), (&[Cause::HubUnreachable][..], PowerLed::Unproven));
    assert_eq!(late.leds.attention, AttentionLed::None);
}

#[test]
fn a_canary_is_no_scanner() {
    let (mut r, d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    r.body.last_instance_ms.insert(CANARY_SCANNER, NOW);
    assert_eq!(judge(Some(&r), Some(&d), Some(&u), 50).leds.scanner, ScannerLed::Waiting);
    r.body.last_instance_ms.insert(1, NOW - 60_000);
    assert_eq!(judge(Some(&r), Some(&d), Some(&u), 50).leds.scanner, ScannerLed::Idle);
}
