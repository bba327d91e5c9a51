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
    verdict(&Inputs { now_ms: NOW, receiver, deid, uplink, updater: None, disk })
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
    d.updated_ms = NOW - STALE_AFTER_MS - 1;
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.word, v.causes.as_slice()), (VerdictWord::Fault, &[Cause::DeidDown][..]));
    assert_eq!(v.leds.attention, AttentionLed::Call);
}

#[test]
fn held_objects_ask_for_a_look_but_the_box_stays_ready() {
    let (r, mut d, u) = (record(ReceiverStatus::default()), record(DeidStatus::default()), healthy_uplink());
    d.body.quarantine_objects.insert(HoldReason::NoTemplate, 2);
    let v = judge(Some(&r), Some(&d), Some(&u), 50);
    assert_eq!((v.word, v.leds.power, v.leds.attention), (VerdictWord::Attention, PowerLed::Ready, AttentionLed::Look));
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
        let inputs = Inputs { now_ms: NOW, receiver: Some(&r), deid, uplink: Some(&u), updater: Some(&updater), disk };
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
