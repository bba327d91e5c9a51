//! Faults planted in the file system at each site: want of room passes, a failed store stops the depositor.

use std::path::Path;

use nix::errno::Errno;

use super::crash::{check, deposit, reader};
use crate::{
    Depositor, GroupCommit, Limits, SpoolError,
    sim::{Fault, Op, SimFs, Survive},
};

fn open(fs: &SimFs) -> Depositor<SimFs> {
    Depositor::open_in(fs.clone(), Path::new("staging"), Path::new("inbox"), GroupCommit::default()).unwrap()
}

/// Deposits six items around one fault; returns the outcomes and checks what a crash at the end leaves.
fn around(fault: Fault) -> (Vec<Result<(), SpoolError>>, Depositor<SimFs>, SimFs) {
    let fs = SimFs::default();
    let depositor = open(&fs);
    fs.plant(fault);
    let outcomes = (0..6).map(|n| deposit(&fs, &depositor, 500 * n, n as u8).map(drop)).collect();
    assert!(!fs.fault_left(), "{fault:?} never struck");
    for survive in [Survive::Nothing, Survive::All, Survive::Some(3), Survive::Some(99)] {
        let crashed = SimFs::of(fs.world().crash(survive));
        assert!(check(&crashed).is_empty(), "{fault:?} {survive:?}");
    }
    (outcomes, depositor, fs)
}

#[test]
fn want_of_room_refuses_one_item_and_passes() {
    for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EMFILE] {
        for op in [Op::Create, Op::Write, Op::SyncData, Op::Rename] {
            for after in 0..6 {
                let (outcomes, depositor, fs) = around(Fault { op, after, errno });
                let refused = outcomes.iter().filter(|o| matches!(o, Err(SpoolError::Full))).count();
                assert_eq!((refused, depositor.is_poisoned()), (1, false), "{op:?} {after} {errno}");
                assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 5);
                // An item that could not be *posted* is durable all the same, and follows.
                depositor.post_late().unwrap();
                assert!(fs.names("staging").is_empty());
                assert_eq!(fs.names("inbox").len(), fs.world().acked.len());
            }
        }
    }
}

#[test]
fn a_failed_store_stops_the_depositor_for_good() {
    for op in [Op::Create, Op::Write, Op::SyncData, Op::Rename, Op::SyncDir] {
        for after in 0..5 {
            let (outcomes, depositor, fs) = around(Fault { op, after, errno: Errno::EIO });
            let first = outcomes.iter().position(Result::is_err).unwrap();
            assert!(outcomes[first..].iter().all(|o| matches!(o, Err(SpoolError::Store(_)))), "{op:?} {after}");
            assert!(depositor.is_poisoned());
            // The restart works.
            drop(depositor);
            deposit(&fs, &open(&fs), 10, 0).unwrap();
        }
    }
    let (_, depositor, _) = around(Fault { op: Op::SyncDir, after: 1, errno: Errno::ENOSPC });
    assert!(depositor.is_poisoned(), "a failed directory fsync is never retried, whatever its number");
}

#[test]
fn bit_rot_in_staging_or_inbox_costs_one_item_and_the_queue_goes_on() {
    for elsewhere in [false, true] {
        let mut fs = SimFs::default();
        fs.aside_elsewhere = elsewhere;
        let depositor = open(&fs);
        let bad = deposit(&fs, &depositor, 900, 1).unwrap();
        let good = deposit(&fs, &depositor, 900, 2).unwrap();
        fs.spoil("inbox", bad.as_str(), |bytes| bytes[600] ^= 4);
        let collector = reader(&fs);
        assert!(matches!(collector.take_into(&bad, &mut Vec::new()), Err(SpoolError::Damaged)));
        collector.set_aside(&bad).unwrap();
        assert_eq!(collector.set_aside_total(), 1);
        assert_eq!(collector.scan().unwrap(), [good]);
        assert_eq!(fs.names("aside"), [bad.as_str()]);
        assert!(matches!(collector.set_aside(&bad), Err(SpoolError::Gone)) || elsewhere);
    }

    let fs = SimFs::default();
    let depositor = open(&fs);
    let ids: Vec<_> = (0..2)
        .map(|n| {
            let mut staged = depositor.stage(b"m").unwrap();
            std::io::Write::write_all(&mut staged, &[n; 700]).unwrap();
            depositor.commit(staged).unwrap().id().clone()
        })
        .collect();
    fs.spoil("staging", ids[0].as_str(), |bytes| bytes.truncate(300));
    drop(depositor);
    let recovered = open(&fs).recovered();
    assert_eq!((recovered.posted, recovered.erased, recovered.damaged), (1, 0, 1));
    assert_eq!(fs.names("inbox"), [ids[1].as_str()]);
}

#[test]
fn a_backlog_is_listed_oldest_first_and_in_bounded_portions() {
    let fs = SimFs::default();
    let depositor = open(&fs);
    let ids: Vec<_> = (0..20).map(|n| deposit(&fs, &depositor, 1, n).unwrap()).collect();
    let collector = reader(&fs).with_limits(Limits { max_per_scan: 7, ..Limits::default() });
    let survey = collector.survey().unwrap();
    assert_eq!((&survey.oldest[..], survey.waiting, survey.foreign), (&ids[..7], 20, 0));
}
