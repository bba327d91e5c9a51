//! The quarantine on a real directory: bounds, reconciliation after every kind of crash, expiry.

use zeroize::Zeroizing;

use super::*;

struct House {
    directory: tempfile::TempDir,
    ledger: Ledger,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap().0;
        fs::create_dir(directory.path().join("quarantine")).unwrap();
        Self { directory, ledger }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("quarantine")
    }

    fn open(&self, bounds: Settings) -> (Quarantine, Mended) {
        let wrap = WrapKey::new(1, Zeroizing::new([7; 32]));
        Quarantine::open(&self.path(), wrap, bounds, &self.ledger, 1).unwrap()
    }

    fn hold(&self, quarantine: &Quarantine, number: u8, scanner: u16) -> Result<String, QuarantineError> {
        let item = format!("{number:032x}");
        let meta = meta(scanner);
        let verdict = verdict(&item, scanner);
        quarantine.hold(&self.ledger, &verdict, &meta, "policy", &mut b"Doe^Jane".as_slice()).map(|()| item)
    }
}

fn meta(scanner: u16) -> HeldMeta {
    HeldMeta {
        record: None,
        reason: HoldReason::NoTemplate,
        scanner,
        received_ms: 3,
        input_digest: "d".into(),
        fingerprint: None,
        fingerprint_digest: None,
    }
}

fn verdict(item: &str, scanner: u16) -> VerdictRow {
    VerdictRow {
        item: item.into(),
        at_ms: 1,
        scanner,
        reason: Some(HoldReason::NoTemplate),
        input_digest: "d".into(),
        released: None,
    }
}

#[test]
fn what_is_held_comes_back_after_a_restart_and_leaves_no_plaintext() {
    let house = House::new();
    let (quarantine, _) = house.open(Settings::default());
    let item = house.hold(&quarantine, 1, 4).unwrap();
    let size = fs::metadata(house.path().join(format!("{item}.held"))).unwrap().len();
    drop(quarantine);
    let (quarantine, mended) = house.open(Settings::default());
    assert_eq!(mended, Mended::default());
    let stock = quarantine.count();
    assert_eq!((stock.objects, stock.bytes, stock.by_scanner[&4]), (1, size, 1));
    let mut object = Vec::new();
    assert_eq!(quarantine.open_held(&item, &mut object).unwrap(), meta(4));
    assert_eq!(object, b"Doe^Jane");
    for entry in fs::read_dir(house.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"Doe^Jane"));
    }
}

#[test]
fn bounds_hold_per_scanner_and_in_all_and_a_repeat_is_no_second_object() {
    let house = House::new();
    let bounds = Settings { max_objects: 5, max_objects_per_scanner: 3, ..Settings::default() };
    let (quarantine, _) = house.open(bounds);
    (1..=3).for_each(|n| _ = house.hold(&quarantine, n, 1).unwrap());
    assert!(matches!(house.hold(&quarantine, 4, 1), Err(QuarantineError::Full { of_scanner: true })));
    house.hold(&quarantine, 3, 1).unwrap();
    (5..=6).for_each(|n| _ = house.hold(&quarantine, n, 2).unwrap());
    assert!(quarantine.is_full());
    assert!(matches!(house.hold(&quarantine, 7, 2), Err(QuarantineError::Full { of_scanner: false })));
    assert_eq!(quarantine.count().objects, 5);

    quarantine.erase(&house.ledger, &format!("{:032x}", 1), None).unwrap();
    assert!(!quarantine.is_full());
    house.hold(&quarantine, 8, 1).unwrap();
    let held = house.ledger.held().unwrap();
    assert_eq!((quarantine.count().objects, held.len()), (5, 5));
    assert_eq!(quarantine.count().bytes, held.iter().map(|row| row.size).sum::<u64>());
}

#[test]
fn the_last_place_is_one_lanes() {
    let house = House::new();
    let (quarantine, _) = house.open(Settings { max_objects: 1, ..Settings::default() });
    let row = row_of("a", &meta(1), 0, "policy");
    for _ in 0..500 {
        let together = std::sync::Barrier::new(2);
        let lane = || {
            together.wait();
            usize::from(quarantine.admit(&row).is_ok())
        };
        let admitted = std::thread::scope(|scope| {
            let other = scope.spawn(lane);
            lane() + other.join().unwrap()
        });
        assert_eq!((admitted, quarantine.count().objects), (1, 1));
        quarantine.stock().remove(&row);
    }
}

#[test]
fn files_and_rows_are_made_to_agree_both_ways() {
    let house = House::new();
    let (quarantine, _) = house.open(Settings::default());
    let items: Vec<String> = (1..=4).map(|n| house.hold(&quarantine, n, 1).unwrap()).collect();
    drop(quarantine);
    // A crash between file and row; between unlink and row, after a release; a lost file; a torn part; a damaged file.
    house.ledger.remove_held(&items[0], None).unwrap();
    let released = crate::ledger::ReleasedRow {
        sha256: "s".into(),
        sop_instance_uid: "2.25.1".into(),
        profile: "p".into(),
        template: None,
    };
    house.ledger.record(&VerdictRow { reason: None, released: Some(released), ..verdict(&items[1], 1) }).unwrap();
    fs::remove_file(house.path().join(format!("{}.held", items[1]))).unwrap();
    fs::remove_file(house.path().join(format!("{}.held", items[2]))).unwrap();
    fs::write(house.path().join(format!("{:032x}.part", 9)), b"torn").unwrap();
    fs::write(house.path().join(format!("{:032x}.held", 10)), vec![0; 300]).unwrap();

    let (quarantine, mended) = house.open(Settings::default());
    assert_eq!(mended, Mended { erased: 1, adopted: 2, lost: 1 });
    let held = house.ledger.held().unwrap();
    let named = |item: &str| held.iter().find(|row| row.item == item);
    assert_eq!(named(&items[0]).unwrap().reason, HoldReason::NoTemplate);
    assert_eq!(named(&items[0]).unwrap().judged, "", "an adopted object is judged again");
    assert!(named(&items[1]).is_none() && named(&items[2]).is_none() && named(&items[3]).is_some());
    assert!(named(&format!("{:032x}", 10)).unwrap().damaged);
    assert_eq!(house.ledger.audited(Audit::Lost).unwrap(), 1);
    assert_eq!(quarantine.count().damaged, 1);
    drop(quarantine);
    assert_eq!(house.open(Settings::default()).1, Mended::default(), "mending is done once");
}

#[test]
fn expiry_erases_file_and_row_and_is_audited() {
    let house = House::new();
    let (quarantine, _) = house.open(Settings { max_age_days: 2, ..Settings::default() });
    house.ledger.grow_older(DAY_MS).unwrap();
    let item = house.hold(&quarantine, 1, 1).unwrap();
    for day in 2..=5 {
        assert_eq!(quarantine.expire(&house.ledger, day).unwrap(), u64::from(day == 5), "day {day}");
        house.ledger.grow_older(day * DAY_MS).unwrap();
    }
    assert!(!house.path().join(format!("{item}.held")).exists());
    assert_eq!((house.ledger.audited(Audit::Expired).unwrap(), quarantine.count()), (1, Stock::default()));
}
