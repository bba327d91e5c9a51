//! The wire by hand: what real toolkits never send, and what hostile ones do.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use gift_status::RejectReason;
use support::{CALLED, CT, HERE, Receiver, Scu, THERE, Wanted, peer, until};

#[test]
fn an_instance_arrives_verbatim_with_its_record() {
    let scanners = "[[scanners]]\nordinal = 7\ncalling-ae = \"RAW_SCU\"\naddress = \"127.0.0.0/8\"\n";
    let receiver = Receiver::start_with(&Wanted { tables: scanners, ..Wanted::default() });
    let data = peer::data_set(CT, "1.2.3.4", 300_001);
    let mut scu = receiver.associate();
    assert_eq!((scu.echo(1), scu.store(2, "1.2.3.4", &data)), (0, 0));
    scu.release();
    let taken = receiver.taken(1);
    let [(record, body)] = taken.as_slice() else { panic!("{} items", taken.len()) };
    assert_eq!(*body, data);
    assert_eq!((record.called_ae.as_str(), record.calling_ae.as_str(), record.scanner), (CALLED, "RAW_SCU", 7));
    assert_eq!((record.sop_class_uid.as_str(), record.sop_instance_uid.as_str()), (CT, "1.2.3.4"));
    assert_eq!((record.transfer_syntax_uid.as_str(), record.source), (support::EXPLICIT, HERE));
    until("the status tells", Duration::from_secs(5), || receiver.status().instances_total == 1);
    let status = receiver.status();
    assert_eq!((status.associations_total, status.bytes_total), (1, data.len() as u64));
    assert!(status.last_instance_ms.contains_key(&7));
    let log = receiver.log();
    for secret in ["RAW_SCU", CALLED, "1.2.3.4", "127.0.0.1"] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}

#[test]
fn command_sets_split_over_values_and_pdus() {
    let receiver = Receiver::start();
    let data = peer::data_set(CT, "1.2.3.4", 100);
    let set = peer::store_rq(1, CT, "1.2.3.4");
    let mut scu = receiver.associate();
    let mut values = peer::pdv(3, true, false, &set[..40]);
    values.extend(peer::pdv(3, true, true, &set[40..]));
    scu.send(&peer::pdu(4, &values));
    scu.send(&peer::p_data(3, false, true, &data));
    assert_eq!(scu.response(), (1, 0));
    for byte in &set[..set.len() - 1] {
        scu.send(&peer::p_data(3, true, false, &[*byte]));
    }
    scu.send(&peer::p_data(3, true, true, &set[set.len() - 1..]));
    scu.send(&peer::p_data(3, false, true, &data));
    assert_eq!(scu.response(), (1, 0));
    scu.release();
    assert_eq!(receiver.taken(2).len(), 2);
}

#[test]
fn data_sets_that_contradict_their_command_or_are_none_are_refused_and_leave_nothing() {
    let receiver = Receiver::start();
    let mut scu = receiver.associate();
    assert_eq!(scu.store(1, "1.2.3.4", &peer::data_set(CT, "1.2.3.5", 200_000)), 0xA900);
    assert_eq!(scu.store(2, "1.2.3.4", "no data set, ".repeat(40_000).as_bytes()), 0xC000);
    assert_eq!(scu.store(3, "1.2.3.4", &peer::data_set(CT, "1.2.3.4", 10)), 0);
    scu.release();
    assert_eq!((receiver.taken(1).len(), receiver.staged()), (1, vec![]));
    until("the refusals are counted", Duration::from_secs(5), || {
        let refused = receiver.status().refused_total;
        refused.get(&RejectReason::DataSetMismatch) == Some(&1) && refused.get(&RejectReason::NotADataSet) == Some(&1)
    });
}

#[test]
fn every_rejection_by_policy_looks_the_same_and_persistence_is_answered_by_silence() {
    let receiver = Receiver::start_with(&Wanted {
        top: "accept-unknown-scanners = false",
        tables: "[[scanners]]\nordinal = 1\ncalling-ae = \"RAW_SCU\"\n[[scanners]]\nordinal = 2\n\
                 calling-ae = \"ELSEWHERE\"\naddress = \"192.0.2.1\"\n[limits]\nrejections-before-ban = 4\n",
        ..Wanted::default()
    });
    receiver.associate().release();
    for (called, calling) in [("WRONG", "RAW_SCU"), (CALLED, "WRONG"), ("WRONG", "WRONG"), (CALLED, "ELSEWHERE")] {
        let answer = receiver.answer_to(called, calling);
        assert_eq!(answer, Some(vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1]), "{called} {calling}");
    }
    assert_eq!(receiver.answer_to(CALLED, "RAW_SCU"), None, "banned");
    receiver.associate_from(THERE).release();
    until("the rejections are counted", Duration::from_secs(5), || {
        receiver.status().refused_total.get(&RejectReason::NotAllowed) == Some(&5)
    });
}

#[test]
fn a_gibibyte_header_is_aborted_at_once() {
    let receiver = Receiver::start();
    for kind in 1..=7u8 {
        let mut scu = if kind == 1 { Scu { stream: receiver.connect_from(HERE) } } else { receiver.associate() };
        let begun = Instant::now();
        scu.send(&[kind, 0, 0x40, 0, 0, 0]);
        assert_eq!(scu.read_pdu().unwrap()[0], 7, "A-ABORT for type {kind}");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    receiver.associate().release();
    assert!(receiver.peak_rss_kib() < 32 * 1024);
}

#[test]
fn a_short_disk_rejects_for_now() {
    let receiver = Receiver::start_with(&Wanted { reserve_bytes: u64::MAX, ..Wanted::default() });
    assert_eq!(receiver.answer_to(CALLED, "RAW_SCU"), Some(vec![3, 0, 0, 0, 0, 4, 0, 2, 3, 1]));
    until("the status tells", Duration::from_secs(5), || {
        let status = receiver.status();
        status.disk_short && status.refused_total.get(&RejectReason::DiskShort) == Some(&1)
    });
}

#[test]
fn more_associations_than_places_are_rejected_for_now() {
    let receiver = Receiver::start_with(&Wanted {
        tables: "[limits]\nmax-associations = 4\nreserved-for-known = 1\nper-unknown-address = 2\n\
                 [[scanners]]\nordinal = 1\naddress = \"127.0.0.9\"\n",
        ..Wanted::default()
    });
    let congestion = Some(vec![3, 0, 0, 0, 0, 4, 0, 2, 3, 1]);
    let _open = [receiver.associate(), receiver.associate()];
    assert_eq!(receiver.answer_to(CALLED, "RAW_SCU"), congestion, "two of one unknown address");
    let _other = receiver.associate_from(THERE);
    let mut third = Scu { stream: receiver.connect_from([127, 0, 0, 3].into()) };
    third.send(&peer::associate(CALLED, "RAW_SCU", support::CONTEXTS, 0));
    assert_eq!(third.read_pdu(), congestion, "the last place is reserved");
    receiver.associate_from([127, 0, 0, 9].into()).release();
}
