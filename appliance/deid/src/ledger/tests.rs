//! The ledger on a real database: what survives, what replaces, what grows old.

use super::*;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn ledger() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap().0;
    (directory, ledger)
}

fn held(item: &str, reason: HoldReason) -> (VerdictRow, HeldRow) {
    let verdict = VerdictRow {
        item: item.into(),
        at_ms: 5,
        scanner: 2,
        reason: Some(reason),
        input_digest: "d".into(),
        released: None,
    };
    let held = HeldRow {
        item: item.into(),
        reason,
        fingerprint: Some("f".into()),
        scanner: 2,
        size: 10,
        received_ms: 4,
        judged: "p".into(),
        damaged: false,
    };
    (verdict, held)
}

fn count(ledger: &Ledger, table: &str) -> i64 {
    ledger.lock().query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_repeated_decision_replaces_the_first_and_survives_reopening() {
    let (directory, ledger) = ledger();
    let (verdict, row) = held("a", HoldReason::NoTemplate);
    ledger.hold(&verdict, &row).unwrap();
    ledger.hold(&verdict, &row).unwrap();
    assert_eq!((count(&ledger, "verdict"), ledger.held().unwrap()), (1, vec![row]));
    assert!(!ledger.was_released("a").unwrap());
    let released =
        ReleasedRow { sha256: "s".into(), sop_instance_uid: "2.25.1".into(), profile: "p".into(), template: None };
    ledger.record(&VerdictRow { reason: None, released: Some(released), ..verdict }).unwrap();
    ledger.remove_held("a", None).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap().0;
    assert!(ledger.was_released("a").unwrap() && ledger.held().unwrap().is_empty());
    assert_eq!(count(&ledger, "verdict"), 1);
}

#[test]
fn a_committed_row_is_on_disk_before_anything_goes_on() {
    let (_directory, ledger) = ledger();
    let pragma = |name: &str| -> String {
        ledger
            .lock()
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0).map(|v| format!("{v:?}")))
            .unwrap()
    };
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
}

#[test]
fn age_passes_with_the_clock_but_never_jumps() {
    let (_directory, ledger) = ledger();
    let start = 1_700_000_000_000;
    ledger.grow_older(start).unwrap();
    let (verdict, row) = held("old", HoldReason::NoTemplate);
    ledger.hold(&verdict, &row).unwrap();
    // Twenty years at once, back to 1970, and forth: at most a day each.
    ledger.grow_older(start + 7_300 * DAY_MS).unwrap();
    ledger.grow_older(0).unwrap();
    ledger.grow_older(start).unwrap();
    assert!(ledger.expired(3 * DAY_MS).unwrap().is_empty());
    let (verdict, row) = held("new", HoldReason::NoTemplate);
    for day in 1..=90 {
        ledger.grow_older(start + day * DAY_MS).unwrap();
        if day == 60 {
            ledger.hold(&verdict, &row).unwrap();
        }
    }
    assert_eq!(ledger.expired(60 * DAY_MS).unwrap(), ["old"]);
    // Held again: the age stays.
    ledger.hold(&held("old", HoldReason::LeakFound).0, &held("old", HoldReason::LeakFound).1).unwrap();
    assert_eq!(ledger.expired(60 * DAY_MS).unwrap(), ["old"]);
}

#[test]
fn expiry_is_audited_and_old_decisions_are_pruned() {
    let (_directory, ledger) = ledger();
    ledger.grow_older(DAY_MS).unwrap();
    for i in 0..10 {
        ledger.grow_older(DAY_MS * (i + 2)).unwrap();
        let (verdict, row) = held(&format!("{i}"), HoldReason::NoTemplate);
        ledger.hold(&verdict, &row).unwrap();
    }
    ledger.remove_held("3", Some((Audit::Expired, 1))).unwrap();
    assert_eq!((ledger.audited(Audit::Expired).unwrap(), count(&ledger, "held")), (1, 9));
    ledger.prune(7 * DAY_MS, 100).unwrap();
    assert_eq!(count(&ledger, "verdict"), 8);
    ledger.prune(100 * DAY_MS, 3).unwrap();
    assert_eq!(count(&ledger, "verdict"), 3);
    let newest: String = ledger.lock().query_row("SELECT MIN(item) FROM verdict", [], |row| row.get(0)).unwrap();
    assert_eq!(newest, "7");
}

#[test]
fn a_damaged_ledger_is_moved_aside_and_a_sound_one_is_not() {
    use std::os::unix::fs::FileExt as _;
    let (directory, ledger) = ledger();
    let path = directory.path().join("ledger.sqlite");
    for i in 0..500 {
        let (verdict, row) = held(&format!("{i:032}"), HoldReason::NoTemplate);
        ledger.hold(&verdict, &row).unwrap();
    }
    drop(ledger);
    let (ledger, damaged) = Ledger::open(&path).unwrap();
    assert_eq!((damaged, ledger.held().unwrap().len()), (false, 500));
    drop(ledger);
    for (offset, bytes) in [(4096 * 5, vec![0xA5; 4096]), (0, vec![0; 100])] {
        std::fs::File::options().write(true).open(&path).unwrap().write_all_at(&bytes, offset).unwrap();
        let (ledger, damaged) = Ledger::open(&path).unwrap();
        assert_eq!((damaged, ledger.held().unwrap().len()), (true, 0), "at {offset}");
        let (verdict, row) = held("new", HoldReason::NoTemplate);
        ledger.hold(&verdict, &row).unwrap();
        drop(ledger);
        assert!(directory.path().join("ledger.sqlite.damaged").exists());
    }
}
