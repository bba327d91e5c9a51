//! At start: files against rows, both ways. Nothing in the queue directory is ignored, and no row is believed blindly.

use std::collections::HashSet;

use crate::{
    durable,
    error::UplinkError,
    events,
    house::House,
    key::Key,
    lanes::Entry,
    ledger::{Ledger, Settlement, State},
    queue_file::{self, QueueFault},
};

/// What the process starts with.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Objects that wait for a receipt, oldest first.
    pub(crate) queued: Vec<Entry>,
    /// Objects the hub refused, and when, ms since the Unix epoch.
    pub(crate) refused: Vec<(Entry, u64)>,
    /// Queue files that were damaged, and rows whose file is gone.
    pub(crate) damaged: u64,
}

/// Compares the queue directory with the ledger and repairs what differs.
///
/// - a row without a file: reported, marked missing;
/// - a finished row with a file: the crash came before the unlink, the file is erased;
/// - a file without a row: taken back into the queue by what it says about itself, or set aside when damaged.
///
/// # Errors
/// The file system's or the ledger's.
pub(crate) fn reconcile(ledger: &mut Ledger, house: &House) -> Result<Found, UplinkError> {
    let listed = house.queue_keys().map_err(UplinkError::store("cannot list the queue"))?;
    let mut files: HashSet<Key> = listed.into_iter().collect();
    let mut found = Found::default();
    let mut settle: Vec<(Key, Settlement)> = Vec::new();
    let mut erased = false;
    for row in ledger.rows()? {
        let has_file = files.remove(&row.key);
        let entry = Entry::new(row.key, row.size, row.posted_ms);
        match row.state {
            State::Queued if has_file => found.queued.push(entry),
            State::Refused if has_file => found.refused.push((entry, row.settled_ms)),
            State::Queued | State::Refused => {
                events::row_without_file(row.key);
                found.damaged += 1;
                settle.push((row.key, Settlement::Missing));
            }
            State::Acknowledged if has_file => {
                durable::remove(&house.queued(row.key))
                    .map_err(UplinkError::store("cannot erase a finished object"))?;
                erased = true;
            }
            // The row was written, the move did not happen any more.
            State::SetAside if has_file => {
                house.put_aside(row.key).map_err(UplinkError::store("cannot set a damaged object aside"))?;
            }
            // Its file came back (a restored disk): treat it as one without a row.
            State::Missing if has_file => drop(files.insert(row.key)),
            State::Acknowledged | State::SetAside | State::Missing => {}
        }
    }
    if erased {
        durable::sync_directory(&house.queue()).map_err(UplinkError::store("cannot sync the queue"))?;
    }
    let mut orphans = Vec::new();
    for key in files {
        let read = match house.open_queued(key).map_err(UplinkError::store("cannot open an orphan"))? {
            Some(file) => queue_file::read_sealed(&file),
            None => continue,
        };
        match read {
            Ok(sealed) => {
                events::orphan_queued(key);
                orphans.push((key, sealed.manifest.size, sealed.posted_ms));
            }
            Err(QueueFault::Damaged) => {
                events::damaged_object(key);
                found.damaged += 1;
                house.put_aside(key).map_err(UplinkError::store("cannot set a damaged object aside"))?;
            }
            Err(QueueFault::Read(source)) => return Err(UplinkError::store("cannot read an orphan")(source)),
        }
    }
    ledger.accept(&orphans)?;
    ledger.settle(gift_service::now_ms(), &settle)?;
    found.queued.extend(orphans.into_iter().map(|(key, size, posted_ms)| Entry::new(key, size, posted_ms)));
    found.queued.sort_by_key(|entry| (entry.posted_ms, entry.key));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use super::*;
    use crate::queue_file::{Sealed, seal, tests::manifest_for};

    fn put(house: &House, key: Key, body: &[u8]) {
        let mut file = fs::File::create_new(house.queued(key)).unwrap();
        file.write_all(body).unwrap();
        seal(&mut file, body.len() as u64, &Sealed { manifest: manifest_for(body), posted_ms: 5 }).unwrap();
    }

    fn open(root: &Path) -> (House, Ledger) {
        let house = House::open(root).unwrap();
        let ledger = Ledger::open(&house.ledger()).unwrap().0;
        (house, ledger)
    }

    #[test]
    fn files_and_rows_are_brought_together_both_ways() {
        let home = tempfile::tempdir().unwrap();
        let (house, mut ledger) = open(&home.path().join("uplink"));
        let [queued, gone, finished, orphan, torn, refused] = [1, 2, 3, 4, 5, 6].map(Key::from_number);
        for key in [queued, finished, orphan, refused] {
            put(&house, key, b"body");
        }
        fs::write(house.queued(torn), b"torn").unwrap();
        fs::write(house.part(Key::from_number(9)), b"half").unwrap();
        ledger.accept(&[(queued, 4, 1), (gone, 4, 2), (finished, 4, 3), (refused, 4, 4)]).unwrap();
        let manifest = manifest_for(b"body");
        let receipt = gift_wire::Receipt {
            version: 1,
            object: manifest.object,
            sha256: manifest.sha256,
            size: 4,
            commit: 1,
            committed_ms: 1,
            duplicate: false,
            isolated: None,
        };
        let rows = [
            (finished, Settlement::Acknowledged { receipt: Box::new(receipt), canary: false }),
            (refused, Settlement::Refused { status: 400 }),
        ];
        ledger.settle(50, &rows).unwrap();
        drop(ledger);

        let (house, mut ledger) = open(&home.path().join("uplink"));
        let found = reconcile(&mut ledger, &house).unwrap();
        let keys: Vec<Key> = found.queued.iter().map(|entry| entry.key).collect();
        assert_eq!(keys, [queued, orphan]);
        assert_eq!(found.refused.iter().map(|(entry, at)| (entry.key, *at)).collect::<Vec<_>>(), [(refused, 50)]);
        assert_eq!(found.damaged, 2, "one row without a file, one torn file");
        let mut left = house.queue_keys().unwrap();
        left.sort();
        assert_eq!(left, [queued, orphan, refused]);
        assert!(house.set_aside().join(torn.to_string()).exists());
        assert!(!house.part(Key::from_number(9)).exists());

        let again = reconcile(&mut ledger, &house).unwrap();
        assert_eq!((again.queued.len(), again.refused.len(), again.damaged), (2, 1, 0));
    }

    #[test]
    fn a_lost_ledger_is_rebuilt_from_the_queue() {
        let home = tempfile::tempdir().unwrap();
        let (house, ledger) = open(&home.path().join("uplink"));
        drop(ledger);
        put(&house, Key::from_number(1), b"body");
        fs::write(house.ledger(), vec![0x5a; 4096]).unwrap();
        let (mut ledger, rebuilt) = Ledger::open(&house.ledger()).unwrap();
        assert!(rebuilt);
        assert_eq!(reconcile(&mut ledger, &house).unwrap().queued.len(), 1);
    }
}
