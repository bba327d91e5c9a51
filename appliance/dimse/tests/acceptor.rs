//! The acceptor as its driver sees it: services, refusals, violations, timers; and rules that hold for any input.
#![allow(clippy::unwrap_used)]

mod peer;

use std::sync::Arc;

use gift_dimse::{
    ASSOCIATE_CAP_BYTES, Acceptor, Action, COMMAND_CAP_BYTES, Discard, End, Offer, Rejection, Status, Timer, Violation,
};
use peer::{CT, EXPLICIT, IMPLICIT, VERIFICATION};
use proptest::prelude::*;

const MAX_PDU: u32 = 16_384;
const CONTEXTS: &[(u8, &str, &[&str])] =
    &[(1, VERIFICATION, &[IMPLICIT]), (3, CT, &[EXPLICIT, IMPLICIT]), (5, "1.2.3.4.5", &[IMPLICIT])];

/// What the driver saw, in a form that does not depend on how the input was cut.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Sent(Vec<u8>),
    Timer(Option<Timer>),
    Requested,
    Object { instance: String, transfer_syntax: String, bytes: Vec<u8>, discarded: Option<Discard> },
    Stored,
    Echoed,
    Closed,
}

struct Driver {
    acceptor: Acceptor,
    seen: Vec<Seen>,
    admit: Result<(), Rejection>,
    refuse: Option<Status>,
    outcome: Status,
    most_kept: usize,
}

impl Driver {
    fn new() -> Self {
        let acceptor = Acceptor::new(Arc::new(Offer::new(MAX_PDU, [], vec![])));
        Self { acceptor, seen: vec![], admit: Ok(()), refuse: None, outcome: Status::Success, most_kept: 0 }
    }

    fn established() -> Self {
        let mut driver = Self::new();
        driver.feed(&peer::associate("GIFT", "SCU", CONTEXTS, MAX_PDU));
        assert!(driver.acceptor.established());
        driver.seen.clear();
        driver
    }

    fn feed(&mut self, mut input: &[u8]) {
        while let Some(action) = self.acceptor.next(&mut input) {
            match action {
                Action::Send(bytes) => self.seen.push(Seen::Sent(bytes)),
                Action::SetTimer(timer) => self.seen.push(Seen::Timer(Some(timer))),
                Action::StopTimer => self.seen.push(Seen::Timer(None)),
                Action::Requested(_) => {
                    self.seen.push(Seen::Requested);
                    match self.admit {
                        Ok(()) => self.acceptor.accept(),
                        Err(rejection) => self.acceptor.reject(rejection),
                    }
                }
                Action::BeginObject(header) => {
                    self.seen.push(Seen::Object {
                        instance: header.sop_instance.into_string(),
                        transfer_syntax: header.transfer_syntax.into_string(),
                        bytes: vec![],
                        discarded: None,
                    });
                    if let Some(status) = self.refuse {
                        self.acceptor.refuse(status);
                    }
                }
                Action::ObjectBytes(more) => {
                    assert!(!more.is_empty());
                    let Some(Seen::Object { bytes, .. }) = self.object() else { panic!("bytes without object") };
                    bytes.extend(more);
                }
                Action::EndObject => {
                    self.seen.push(Seen::Stored);
                    self.acceptor.complete(self.outcome);
                }
                Action::DiscardObject(why) => {
                    let Some(Seen::Object { bytes, discarded, .. }) = self.object() else { panic!("no object") };
                    // How much of it came through before depends on the cut; the driver erases it.
                    bytes.clear();
                    *discarded = Some(why);
                }
                Action::Echoed => self.seen.push(Seen::Echoed),
                Action::Close => self.seen.push(Seen::Closed),
            }
        }
        assert!(input.is_empty() || self.acceptor.waits_for_answer());
        self.most_kept = self.most_kept.max(self.acceptor.kept_bytes());
    }

    fn object(&mut self) -> Option<&mut Seen> {
        self.seen.iter_mut().rev().find(|seen| matches!(seen, Seen::Object { .. }))
    }

    /// (message ID, status) of each response sent.
    fn responses(&self) -> Vec<(u16, u16)> {
        let sent = self.seen.iter().filter_map(|seen| if let Seen::Sent(bytes) = seen { Some(bytes) } else { None });
        sent.filter(|bytes| bytes[0] == 4).map(|bytes| peer::response(&bytes[12..]).unwrap()).collect()
    }

    /// The last A-ABORT sent: source and reason.
    fn abort(&self) -> Option<(u8, u8)> {
        self.seen.iter().rev().find_map(|seen| match seen {
            Seen::Sent(bytes) if bytes[0] == 7 => Some((bytes[8], bytes[9])),
            _ => None,
        })
    }

    fn stored(&self) -> Vec<(&str, usize)> {
        let objects = self.seen.iter().filter_map(|seen| match seen {
            Seen::Object { instance, bytes, discarded: None, .. } => Some((instance.as_str(), bytes.len())),
            _ => None,
        });
        objects.collect()
    }
}

#[test]
fn an_echo_and_two_instances_then_release() {
    let mut driver = Driver::established();
    let data = peer::data_set(CT, "1.2.3.1", 40_000);
    driver.feed(&peer::p_data(1, true, true, &peer::echo_rq(9)));
    driver.feed(&peer::store(3, 10, CT, "1.2.3.1", &data, 16_000));
    driver.feed(&peer::store(3, 11, CT, "1.2.3.1", &data, 7));
    driver.feed(&peer::release_rq());
    assert_eq!(driver.responses(), [(9, 0), (10, 0), (11, 0)]);
    assert_eq!(driver.stored(), [("1.2.3.1", data.len()), ("1.2.3.1", data.len())]);
    assert!(driver.seen.iter().any(|seen| matches!(seen, Seen::Object { bytes, .. } if *bytes == data)));
    assert_eq!(driver.seen.last(), Some(&Seen::Timer(Some(Timer::Closing))));
    assert!(matches!(&driver.seen[driver.seen.len() - 2], Seen::Sent(pdu) if pdu[0] == 6));
    driver.acceptor.transport_closed();
    driver.feed(&[]);
    assert_eq!((driver.seen.last(), driver.acceptor.end()), (Some(&Seen::Closed), Some(End::Released)));
    assert!(driver.most_kept < 1024, "data sets are never kept: {}", driver.most_kept);
}

#[test]
fn command_sets_may_be_split_over_values_and_pdus_and_share_a_pdu_with_data() {
    let set = peer::store_rq(1, CT, "1.2.3.1");
    let data = peer::data_set(CT, "1.2.3.1", 10);
    let mut body = Vec::new();
    for (n, byte) in set.iter().enumerate() {
        body.extend(peer::pdv(3, true, n + 1 == set.len(), &[*byte]));
    }
    body.extend(peer::pdv(3, false, false, &data[..5]));
    body.extend(peer::pdv(3, false, false, &[]));
    body.extend(peer::pdv(3, false, true, &data[5..]));
    let mut driver = Driver::established();
    driver.feed(&peer::pdu(4, &body));
    // The same over PDUs, ending in an empty last fragment.
    let mut bytes = peer::p_data(3, true, false, &set[..30]);
    bytes.extend(peer::p_data(3, true, true, &set[30..]));
    bytes.extend(peer::p_data(3, false, false, &data));
    bytes.extend(peer::p_data(3, false, true, &[]));
    driver.feed(&bytes);
    assert_eq!(driver.responses(), [(1, 0), (1, 0)]);
    assert_eq!(driver.stored(), [("1.2.3.1", data.len()), ("1.2.3.1", data.len())]);
}

#[test]
fn refusals_carry_the_right_status_and_the_association_goes_on() {
    let data = peer::data_set(CT, "1.2.3.1", 100);
    let other = peer::data_set(CT, "1.2.3.2", 100);
    let mr = "1.2.840.10008.5.1.4.1.1.4";
    let no_instance =
        peer::command_set(&[(0x0002, &peer::padded(CT)), (0x0100, &[1, 0]), (0x0110, &[7, 0]), (0x0800, &[0, 0])]);
    let get = peer::command_set(&[(0x0100, &[0x10, 0]), (0x0110, &[8, 0]), (0x0800, &[0, 0])]);
    let bare_find = peer::command_set(&[(0x0100, &[0x20, 0]), (0x0110, &[9, 0]), (0x0800, &[1, 1])]);
    let cancel = peer::command_set(&[(0x0100, &[0xff, 0x0f]), (0x0120, &[9, 0]), (0x0800, &[1, 1])]);
    let with_data = |set: &[u8]| {
        let mut bytes = peer::p_data(3, true, true, set);
        bytes.extend(peer::p_data(3, false, true, &data));
        bytes
    };
    let mut driver = Driver::established();
    driver.feed(&peer::store(3, 1, CT, "1.2.3.1", &other, 20));
    driver.feed(&peer::store(3, 2, CT, "1.2.3.1", b"no data set here, just words", 20));
    driver.feed(&peer::store(3, 3, CT, "1.2.3.1", &data[..20], 20));
    driver.feed(&peer::store(3, 4, mr, "1.2.3.1", &data, 20));
    driver.feed(&peer::store(3, 5, CT, "../../etc/x", &data, 20));
    driver.feed(&peer::store(1, 6, CT, "1.2.3.1", &data, 20));
    driver.feed(&with_data(&no_instance));
    driver.feed(&with_data(&get));
    driver.feed(&peer::p_data(3, true, true, &bare_find));
    driver.feed(&peer::p_data(3, true, true, &cancel));
    driver.feed(&peer::store(3, 10, CT, "1.2.3.1", &data, 20));
    let expected = [
        (1, 0xA900),
        (2, 0xC000),
        (3, 0xC000),
        (4, 0x0122),
        (5, 0x0117),
        (6, 0x0122),
        (7, 0x0212),
        (8, 0x0211),
        (9, 0x0211),
        (10, 0),
    ];
    assert_eq!(driver.responses(), expected);
    assert_eq!(driver.stored(), [("1.2.3.1", data.len())]);
}

#[test]
fn a_driver_that_has_no_room_refuses_at_once_or_at_the_end() {
    let data = peer::data_set(CT, "1.2.3.1", 100);
    let mut driver = Driver::established();
    driver.refuse = Some(Status::OutOfResources);
    driver.feed(&peer::store(3, 1, CT, "1.2.3.1", &data, 20));
    assert_eq!((driver.responses(), driver.stored()), (vec![(1, 0xA700)], vec![("1.2.3.1", 0)]));
    driver.refuse = None;
    driver.outcome = Status::OutOfResources;
    driver.feed(&peer::store(3, 2, CT, "1.2.3.1", &data, 20));
    assert_eq!(driver.responses(), [(1, 0xA700), (2, 0xA700)]);
}

#[test]
fn rejections_by_policy_are_one_and_the_same() {
    let mut answers = Vec::new();
    for (called, calling) in [("WRONG", "SCU"), ("GIFT", "WRONG"), ("", "")] {
        let mut driver = Driver::new();
        driver.admit = Err(Rejection::NotAllowed);
        driver.feed(&peer::associate(called, calling, CONTEXTS, 0));
        let Some(Seen::Sent(pdu)) = driver.seen.iter().find(|seen| matches!(seen, Seen::Sent(_))) else { panic!() };
        answers.push(pdu.clone());
        assert_eq!(driver.acceptor.end(), Some(End::Rejected(Rejection::NotAllowed)));
    }
    assert_eq!(answers, [(); 3].map(|()| vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1]));
    let mut driver = Driver::new();
    driver.admit = Err(Rejection::Congestion);
    driver.feed(&peer::associate("GIFT", "SCU", CONTEXTS, 0));
    assert!(driver.seen.contains(&Seen::Sent(vec![3, 0, 0, 0, 0, 4, 0, 2, 3, 1])));
}

#[test]
fn violations_are_aborted_with_the_standards_reason() {
    let gibibyte = |kind| vec![kind, 0, 0x40, 0, 0, 0];
    let data = peer::data_set(CT, "1.2.3.1", 10);
    let mut mixed = peer::p_data(3, true, true, &peer::store_rq(1, CT, "1.2.3.1"));
    mixed.extend(peer::p_data(1, false, false, &data));
    let mut command_in_data = peer::p_data(3, true, true, &peer::store_rq(1, CT, "1.2.3.1"));
    command_in_data.extend(peer::p_data(3, true, true, &peer::echo_rq(2)));
    let response = peer::command_set(&[(0x0100, &[1, 0x80]), (0x0120, &[1, 0]), (0x0800, &[1, 1]), (0x0900, &[0, 0])]);
    let endless: Vec<u8> = (0..20).flat_map(|_| peer::p_data(3, true, false, &[0; 1000])).collect();
    let cases = [
        ("1 GiB P-DATA-TF", gibibyte(4), (2, 6), Violation::TooLong),
        ("1 GiB A-RELEASE-RQ", gibibyte(5), (2, 6), Violation::TooLong),
        ("unknown PDU", vec![8, 0, 0, 0, 0, 4], (2, 1), Violation::UnrecognizedPdu),
        ("second A-ASSOCIATE-RQ", peer::associate("A", "B", CONTEXTS, 0), (2, 2), Violation::UnexpectedPdu),
        ("A-RELEASE-RP", peer::pdu(6, &[0; 4]), (2, 2), Violation::UnexpectedPdu),
        ("context not accepted", peer::p_data(5, true, true, &peer::echo_rq(1)), (2, 6), Violation::UnknownContext),
        ("data without command", peer::p_data(3, false, true, &data), (2, 2), Violation::UnexpectedPdu),
        ("data on another context", mixed, (2, 2), Violation::UnexpectedPdu),
        ("command inside data", command_in_data, (2, 2), Violation::UnexpectedPdu),
        ("a response", peer::p_data(3, true, true, &response), (2, 2), Violation::UnexpectedPdu),
        ("no command set", peer::p_data(3, true, true, b"hello"), (2, 0), Violation::MalformedCommand),
        ("endless command set", endless, (2, 6), Violation::TooLong),
    ];
    for (name, bytes, abort, violation) in cases {
        let mut driver = Driver::established();
        driver.feed(&bytes);
        assert_eq!((driver.abort(), driver.acceptor.end()), (Some(abort), Some(End::Protocol(violation))), "{name}");
        assert_eq!(driver.seen.last(), Some(&Seen::Timer(Some(Timer::Closing))), "{name}");
        let open = driver.seen.iter().any(|seen| matches!(seen, Seen::Object { discarded: None, .. }));
        assert!(!open, "{name}: the instance under way must be discarded");
    }
    let mut driver = Driver::new();
    driver.feed(&gibibyte(1));
    assert_eq!((driver.abort(), driver.most_kept < 64), (Some((0, 0)), true));
    let mut driver = Driver::new();
    driver.feed(&peer::p_data(1, true, true, &peer::echo_rq(1)));
    assert_eq!(driver.abort(), Some((0, 0)), "AA-1: nothing but A-ASSOCIATE-RQ may come first");
}

#[test]
fn timers_close_the_silent_and_spare_those_that_move() {
    let mut driver = Driver::new();
    driver.feed(&[1, 0]);
    driver.acceptor.timer_expired(Timer::Request);
    driver.feed(&[]);
    assert_eq!(driver.seen, [Seen::Timer(Some(Timer::Request)), Seen::Timer(None), Seen::Closed]);

    let mut driver = Driver::established();
    driver.acceptor.timer_expired(Timer::Idle);
    driver.feed(&[]);
    assert_eq!((driver.abort(), driver.acceptor.end()), (Some((2, 0)), Some(End::TimedOut(Timer::Idle))));

    let mut driver = Driver::established();
    let data = peer::data_set(CT, "1.2.3.1", 100);
    driver.feed(&peer::p_data(3, true, true, &peer::store_rq(1, CT, "1.2.3.1")));
    driver.acceptor.timer_expired(Timer::Transfer);
    driver.feed(&peer::p_data(3, false, false, &data)[..60]);
    assert_eq!(driver.abort(), None, "a PDU had arrived whole");
    driver.acceptor.timer_expired(Timer::Transfer);
    driver.feed(&[]);
    assert_eq!(driver.acceptor.end(), Some(End::TimedOut(Timer::Transfer)));
    assert!(matches!(driver.object(), Some(Seen::Object { discarded: Some(Discard::Ended), .. })));
}

#[test]
fn abort_and_loss_discard_what_was_under_way() {
    for (ending, end) in [(Some(peer::pdu(7, &[0; 4])), End::Aborted), (None, End::Lost)] {
        let mut driver = Driver::established();
        driver.feed(&peer::p_data(3, true, true, &peer::store_rq(1, CT, "1.2.3.1")));
        driver.feed(&peer::p_data(3, false, false, &peer::head(CT, "1.2.3.1")));
        match ending {
            Some(pdu) => driver.feed(&pdu),
            None => driver.acceptor.transport_closed(),
        }
        driver.feed(&[]);
        assert!(matches!(driver.object(), Some(Seen::Object { discarded: Some(Discard::Ended), .. })));
        assert_eq!((driver.seen.last(), driver.acceptor.end()), (Some(&Seen::Closed), Some(end)));
    }
}

#[test]
fn the_acceptor_waits_for_the_disk_and_reads_nothing_meanwhile() {
    let mut acceptor = Acceptor::new(Arc::new(Offer::new(MAX_PDU, [], vec![])));
    let mut bytes = peer::associate("GIFT", "SCU", CONTEXTS, 0);
    bytes.extend(peer::store(3, 1, CT, "1.2.3.1", &peer::data_set(CT, "1.2.3.1", 10), 500));
    bytes.extend(peer::p_data(1, true, true, &peer::echo_rq(2)));
    let mut input = bytes.as_slice();
    while let Some(action) = acceptor.next(&mut input) {
        match action {
            Action::Requested(_) => acceptor.accept(),
            Action::EndObject => break,
            Action::Echoed => panic!("read on"),
            _ => {}
        }
    }
    assert!(acceptor.waits_for_answer() && acceptor.busy());
    let left = input.len();
    assert_eq!((acceptor.next(&mut input), input.len()), (None, left));
    acceptor.complete(Status::Success);
    let mut answers = Vec::new();
    while let Some(action) = acceptor.next(&mut input) {
        if let Action::Send(pdu) = action {
            answers.push(peer::response(&pdu[12..]).unwrap());
        }
    }
    assert_eq!(answers, [(1, 0), (2, 0)]);
}

/// A legal association with a mixture of operations, or one that goes wrong at the end.
fn session() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![
        Just(peer::p_data(1, true, true, &peer::echo_rq(1))),
        (0usize..5000, 1usize..3000).prop_map(|(pixels, step)| peer::store(
            3,
            2,
            CT,
            "1.2.3",
            &peer::data_set(CT, "1.2.3", pixels),
            step
        )),
        (0usize..300, 1usize..50).prop_map(|(pixels, step)| peer::store(
            3,
            3,
            CT,
            "1.2.4",
            &peer::data_set(CT, "1.2.3", pixels),
            step
        )),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|data| peer::store(3, 4, CT, "1.2.3", &data, 17)),
    ];
    let ending = prop_oneof![
        Just(peer::release_rq()),
        Just(peer::pdu(7, &[0; 4])),
        proptest::collection::vec(any::<u8>(), 0..64),
        Just(vec![4, 0, 0x40, 0, 0, 0, 1, 2, 3]),
    ];
    (proptest::collection::vec(operation, 0..5), ending).prop_map(|(operations, ending)| {
        let mut bytes = peer::associate("GIFT", "SCU", CONTEXTS, 100);
        operations.iter().for_each(|operation| bytes.extend(operation));
        bytes.extend(ending);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However the bytes are cut, the driver sees the same.
    #[test]
    fn the_cut_does_not_matter(bytes in session(), cuts in proptest::collection::vec(1usize..700, 1..40)) {
        let mut whole = Driver::new();
        whole.feed(&bytes);
        let mut cut = Driver::new();
        let (mut rest, mut sizes) = (bytes.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            cut.feed(chunk);
            rest = after;
        }
        prop_assert_eq!(whole.seen, cut.seen);
        prop_assert_eq!(whole.acceptor.end(), cut.acceptor.end());
    }

    /// Random bytes, at any point of an association: no panic, no more kept than the caps.
    #[test]
    fn random_bytes_are_survived(
        prefix in prop_oneof![Just(0usize), Just(1), Just(2)],
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes = match prefix {
            0 => vec![],
            1 => peer::associate("GIFT", "SCU", CONTEXTS, 0),
            _ => {
                let mut bytes = peer::associate("GIFT", "SCU", CONTEXTS, 0);
                bytes.extend(peer::store(3, 1, CT, "1.2.3", &peer::data_set(CT, "1.2.3", 100), 50));
                bytes
            }
        };
        if !bytes.is_empty() {
            for (index, value) in flips {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
        }
        bytes.extend(noise);
        let mut driver = Driver::new();
        for chunk in bytes.chunks(97) {
            driver.feed(chunk);
        }
        prop_assert!(driver.most_kept <= 2 * (ASSOCIATE_CAP_BYTES as usize + COMMAND_CAP_BYTES));
    }
}
