//! Tokens, certificates, reports and boots of boxes, on a database of the test's own.

use gift_wire::status::{AttentionLed, DiskState, Leds, PowerLed, ScannerLed, UplinkLed, Verdict, VerdictWord};

use super::*;
use crate::store::schema;

fn database() -> (tempfile::TempDir, Connection, AuditKey, Device) {
    let directory = tempfile::tempdir().unwrap();
    let connection = schema::open_writer(&directory.path().join("t.sqlite")).unwrap();
    let key = AuditKey::load_or_create(&directory.path().join("audit.key")).unwrap();
    let token = add_box(&connection, &key, "ward-1", 1).unwrap();
    let (box_id, name) = spend_token(&connection, &token, &[1; 32]).unwrap().unwrap();
    (directory, connection, key, Device { box_id, name, fingerprint: [7; 32] })
}

fn report(boot: char, sequence: u64, sent_ms: u64) -> HealthReport {
    HealthReport {
        version: gift_wire::WIRE_VERSION,
        boot: boot.to_string().repeat(32),
        sequence,
        sent_ms,
        software: "0.1.0".to_owned(),
        verdict: Verdict {
            word: VerdictWord::Ok,
            causes: Vec::new(),
            leds: Leds {
                power: PowerLed::Ready,
                scanner: ScannerLed::Idle,
                uplink: UplinkLed::Connected,
                attention: AttentionLed::None,
            },
        },
        disk: DiskState { free_bytes: 2, total_bytes: 3, reserve_bytes: 1 },
        receiver: None,
        deid: None,
        uplink: None,
        update: None,
    }
}

#[test]
fn a_token_is_good_once_and_until_it_expires() {
    let (_directory, connection, key, _) = database();
    let token = add_box(&connection, &key, "ward-2", 1).unwrap();
    assert!(spend_token(&connection, "guess", &[1; 32]).unwrap().is_none());
    assert_eq!(spend_token(&connection, &token, &[1; 32]).unwrap().unwrap().1, "ward-2");
    assert!(spend_token(&connection, &token, &[2; 32]).unwrap().is_none(), "spent on another key");
    assert!(spend_token(&connection, &token, &[1; 32]).unwrap().is_some(), "a repeat after a lost answer");
    connection.execute("UPDATE tokens SET expires_ms = 1", []).unwrap();
    assert!(spend_token(&connection, &token, &[1; 32]).unwrap().is_some(), "after months without a way to the hub");
    assert!(spend_token(&connection, &token, &[2; 32]).unwrap().is_none(), "and still nobody else");
    // What the fleet page knows a box by that was erased and enrolled anew.
    let used = || connection.query_row("SELECT max(used_ms) FROM tokens", [], |row| row.get::<_, i64>(0)).unwrap();
    connection.execute("UPDATE tokens SET used_ms = 7", []).unwrap();
    spend_token(&connection, &token, &[1; 32]).unwrap();
    assert_eq!(used(), 7, "the same key again is no new enrolment");
    // One that a further provisioning brought, and that nobody needed for months.
    let further = add_box(&connection, &key, "ward-2", 0).unwrap();
    assert!(spend_token(&connection, &further, &[2; 32]).unwrap().is_none());
    assert!(spend_token(&connection, &further, &[1; 32]).unwrap().is_some());
    let other = add_box(&connection, &key, "ward-9", 0).unwrap();
    assert!(spend_token(&connection, &other, &[1; 32]).unwrap().is_none(), "another box's");

    let expired = add_box(&connection, &key, "ward-2", 0).unwrap();
    assert!(spend_token(&connection, &expired, &[3; 32]).unwrap().is_none());

    let superseded = add_box(&connection, &key, "ward-2", 1).unwrap();
    let newest = add_box(&connection, &key, "ward-2", 1).unwrap();
    assert!(spend_token(&connection, &superseded, &[1; 32]).unwrap().is_none());
    revoke_box(&connection, &key, "ward-2").unwrap();
    assert!(spend_token(&connection, &token, &[1; 32]).unwrap().is_none(), "revoked: not even the key that spent it");
    assert!(spend_token(&connection, &newest, &[1; 32]).unwrap().is_none());
    assert!(add_box(&connection, &key, "ward-2", 1).is_err());
    assert!(add_box(&connection, &key, "Ward 3", 1).is_err());
    let stored: Vec<u8> = connection.query_row("SELECT hash FROM tokens LIMIT 1", [], |row| row.get(0)).unwrap();
    assert_eq!(stored.len(), 32, "only the token's hash is kept");
}

#[test]
fn a_certificate_is_good_until_it_expires_or_its_box_is_revoked() {
    let (_directory, connection, key, device) = database();
    assert!(find_device(&connection, device.fingerprint).unwrap().is_none());
    record_certificate(&connection, &key, &device, "01", now_ms() + 60_000).unwrap();
    assert_eq!(find_device(&connection, device.fingerprint).unwrap().as_ref(), Some(&device));
    let old = Device { fingerprint: [8; 32], ..device.clone() };
    record_certificate(&connection, &key, &old, "02", now_ms() - 1).unwrap();
    assert!(find_device(&connection, old.fingerprint).unwrap().is_none());
    revoke_box(&connection, &key, "ward-1").unwrap();
    assert!(find_device(&connection, device.fingerprint).unwrap().is_none());
}

#[test]
fn interleaved_boots_are_a_clone_and_late_reports_are_not() {
    let (_directory, connection, key, device) = database();
    let keep =
        |boot, sequence, sent| keep_report(&connection, &key, &device, &report(boot, sequence, sent), 10).unwrap();
    assert!(!keep('a', 1, 1_000));
    assert!(!keep('a', 3, 3_000));
    assert!(!keep('b', 1, 10_000), "a reboot");
    assert!(!keep('a', 4, 4_000), "held back while the hub was away");
    assert!(!keep('b', 2, 11_000));
    assert!(keep('a', 9, 12_000), "the first boot still lives");
    assert!(!keep('b', 3, 13_000), "told once");
    let suspected = || list(&connection).unwrap().remove(0).clone_suspected_ms.is_some();
    assert!(suspected());
    acknowledge(&connection, &key, "ward-1").unwrap();
    assert!(!suspected());
    assert!(!keep('b', 4, 14_000), "one box lives on");
    assert!(!keep('a', 10, 15_000));
    assert!(keep('b', 5, 16_000), "the clone still lives: found again");
    assert!(acknowledge(&connection, &key, "none").is_err());
}

#[test]
fn the_page_shows_the_newest_report_whatever_the_order_and_history_is_bounded() {
    let (_directory, connection, key, device) = database();
    let keep =
        |boot, sequence, sent| keep_report(&connection, &key, &device, &report(boot, sequence, sent), 5).unwrap();
    let shown = || list(&connection).unwrap().remove(0).report.unwrap();
    keep('a', 2, 2_000);
    keep('a', 1, 1_000);
    assert_eq!(shown().sequence, 2);
    keep('b', 1, 9_000);
    keep('a', 3, 3_000);
    assert_eq!(shown().boot, "b".repeat(32));
    keep('b', 1, 9_000);
    for n in 2..30 {
        keep('b', n, 9_000 + n);
    }
    assert_eq!(shown().sequence, 29);
    let kept: u64 = connection.query_row("SELECT count(*) FROM reports", [], |row| row.get(0)).unwrap();
    assert!((5..=7).contains(&kept), "{kept}");
}
