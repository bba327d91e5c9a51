//! On real files: modes, names, links, owners, the inotify hint, and threads.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{Collector, Depositor, GroupCommit, ItemId, Limits, SpoolError, clear_foreign};

struct Drop {
    root: tempfile::TempDir,
    uid: u32,
}

impl Drop {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["staging", "inbox", "aside"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let uid = root.path().metadata().unwrap().uid();
        Self { root, uid }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
    fn writer(&self) -> Depositor {
        Depositor::open(&self.at("staging"), &self.at("inbox")).unwrap()
    }
    fn reader(&self) -> Collector {
        Collector::open(&self.at("inbox"), &self.at("aside"), &[self.uid]).unwrap()
    }
    fn names(&self, name: &str) -> Vec<String> {
        fs::read_dir(self.at(name)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn an_item_goes_through_with_its_bytes_and_mode() {
    let drop_dir = Drop::new();
    let (writer, reader) = (drop_dir.writer(), drop_dir.reader());
    let body: Vec<u8> = (0..700_000_u32).map(|i| (i * 7) as u8).collect();
    let mut staged = writer.stage(b"{\"a\":1}").unwrap();
    for piece in body.chunks(150_001) {
        staged.write_all(piece).unwrap();
        staged.write_all(b"").unwrap();
    }
    assert_eq!(staged.body_len(), 700_000);
    let committed = writer.commit(staged).unwrap();
    assert!(reader.scan().unwrap().is_empty(), "committed is not yet visible");
    let id = writer.post(committed).unwrap();
    assert_eq!(fs::metadata(drop_dir.at("inbox").join(id.as_str())).unwrap().permissions().mode() & 0o777, 0o640);

    let mut copy = tempfile::tempfile().unwrap();
    let taken = reader.take(&id, &mut copy).unwrap();
    assert_eq!((taken.meta.as_slice(), taken.body_len), (b"{\"a\":1}".as_slice(), 700_000));
    let mut back = Vec::new();
    copy.rewind().unwrap();
    copy.read_to_end(&mut back).unwrap();
    assert!(back == body);
    reader.finish(&id).unwrap();
    reader.finish(&id).unwrap();
    assert!(!writer.withdraw(&id).unwrap());
    let stale = writer.deposit(b"", b"superseded").unwrap();
    assert!(writer.withdraw(&stale).unwrap());
    assert!(reader.scan().unwrap().is_empty());
    assert!(matches!(reader.take(&id, &mut copy), Err(SpoolError::Gone)));
}

#[test]
fn a_restart_posts_the_staged_and_erases_the_partial() {
    let drop_dir = Drop::new();
    let writer = drop_dir.writer();
    let committed = writer.commit(writer.stage(b"m").unwrap()).unwrap();
    drop(writer.stage(b"dropped").unwrap());
    let partial = writer.stage(b"partial").unwrap();
    assert_eq!(drop_dir.names("staging").len(), 2);
    std::mem::forget(partial); // as a kill would leave it
    let held = Depositor::open(&drop_dir.at("staging"), &drop_dir.at("inbox"));
    assert!(matches!(held, Err(SpoolError::Store(_))), "staging belongs to one process at a time");
    drop(writer);

    // The forgotten item still holds the lock in this process, as no killed process would: look through a copy.
    let copy = Drop::new();
    for name in drop_dir.names("staging") {
        fs::copy(drop_dir.at("staging").join(&name), copy.at("staging").join(&name)).unwrap();
    }
    let recovered = copy.writer().recovered();
    assert_eq!((recovered.posted, recovered.erased, recovered.damaged), (1, 1, 0));
    assert_eq!(copy.reader().scan().unwrap(), [committed.id().clone()]);
    assert!(copy.names("staging").is_empty());
}

#[test]
fn what_is_no_item_of_an_expected_writer_is_never_read() {
    let drop_dir = Drop::new();
    let (writer, reader) = (drop_dir.writer(), drop_dir.reader());
    let inbox = drop_dir.at("inbox");
    let good = writer.deposit(b"m", b"body").unwrap();
    let secret = drop_dir.at("secret");
    fs::copy(inbox.join(good.as_str()), &secret).unwrap();

    let name = |n: u8| ItemId::parse(&format!("{n:032x}")).unwrap();
    symlink(&secret, inbox.join(name(1).as_str())).unwrap();
    fs::hard_link(&secret, inbox.join(name(2).as_str())).unwrap();
    nix::unistd::mkfifo(&inbox.join(name(3).as_str()), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(inbox.join(name(4).as_str())).unwrap();
    fs::write(inbox.join(name(5).as_str()), b"").unwrap();
    fs::create_dir(inbox.join(name(6).as_str())).unwrap();
    symlink(&secret, inbox.join("not-an-item")).unwrap();
    fs::write(inbox.join("..part"), b"").unwrap();

    let survey = reader.survey().unwrap();
    assert_eq!((survey.waiting, survey.foreign), (6, 3));
    let begin = Instant::now();
    for n in 1..=5 {
        let id = name(n);
        assert!(survey.oldest.contains(&id));
        assert!(matches!(reader.take_into(&id, &mut Vec::new()), Err(SpoolError::Damaged)), "{n}");
        reader.set_aside(&id).unwrap();
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "a FIFO does not block the reader");
    assert_eq!((reader.scan().unwrap(), reader.set_aside_total()), (vec![good.clone()], 5));
    assert!(secret.exists());

    let stranger = Collector::open(&inbox, &drop_dir.at("aside"), &[drop_dir.uid + 1]).unwrap();
    assert!(matches!(stranger.take_into(&good, &mut Vec::new()), Err(SpoolError::Damaged)));
    let strict = drop_dir.reader().with_limits(Limits { max_item_bytes: 36, ..Limits::default() });
    assert!(matches!(strict.take_into(&good, &mut Vec::new()), Err(SpoolError::Damaged)));
    assert!(reader.take_into(&good, &mut Vec::new()).is_ok());

    // What is no item goes, and nothing that it points to; what cannot be removed is counted.
    let full = inbox.join(name(6).as_str());
    fs::write(full.join("inside"), b"").unwrap();
    assert_eq!(clear_foreign(&inbox).unwrap(), 1);
    fs::remove_file(full.join("inside")).unwrap();
    assert_eq!(clear_foreign(&inbox).unwrap(), 0);
    assert_eq!(fs::read_dir(&inbox).unwrap().count(), 1, "the item");
    assert!(secret.exists());
}

#[test]
fn the_hint_wakes_the_reader_and_an_arrival_before_the_wait_counts() {
    let drop_dir = Drop::new();
    let (writer, reader) = (drop_dir.writer(), drop_dir.reader());
    writer.deposit(b"", b"before").unwrap();
    let begin = Instant::now();
    reader.wait(Duration::from_secs(20));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            writer.deposit(b"", b"during").unwrap();
        });
        reader.wait(Duration::from_secs(20));
    });
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(reader.scan().unwrap().len(), 2);
    let begin = Instant::now();
    reader.wait(Duration::from_millis(30));
    assert!(begin.elapsed() >= Duration::from_millis(25));
}

#[test]
fn many_threads_commit_in_groups() {
    let drop_dir = Drop::new();
    for linger in [Duration::ZERO, Duration::from_millis(2)] {
        let bounds = GroupCommit { max_items: 5, linger };
        let writer = Depositor::open_with(&drop_dir.at("staging"), &drop_dir.at("inbox"), bounds).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..16_u8 {
                let writer = &writer;
                scope.spawn(move || {
                    for n in 0..8_u8 {
                        writer.deposit(&[thread, n], &vec![thread ^ n; 1000]).unwrap();
                    }
                });
            }
        });
        let reader = drop_dir.reader();
        let mut seen = std::collections::BTreeSet::new();
        for id in reader.scan().unwrap() {
            let mut body = Vec::new();
            let meta = reader.take_into(&id, &mut body).unwrap().meta;
            assert!(body.iter().all(|&b| b == meta[0] ^ meta[1]));
            assert!(seen.insert(meta));
            reader.finish(&id).unwrap();
        }
        assert_eq!(seen.len(), 16 * 8);
        assert!(drop_dir.names("staging").is_empty());
    }
}

#[test]
fn room_leaves_the_reserve_alone() {
    let drop_dir = Drop::new();
    let writer = drop_dir.writer();
    let room = writer.room(0).unwrap();
    assert!(room > 0);
    assert_eq!(writer.room(u64::MAX).unwrap(), 0);
    assert!(writer.room(room / 2).unwrap() <= room / 2 + (64 << 20));
    File::create(drop_dir.at("x")).unwrap();
}

#[test]
fn the_size_is_had_before_a_byte_is_read_and_of_items_only() {
    let drop_dir = Drop::new();
    let (writer, reader) = (drop_dir.writer(), drop_dir.reader());
    let id = writer.deposit(b"{}", b"body").unwrap();
    let file = drop_dir.at("inbox").join(id.as_str());
    assert_eq!(reader.size(&id).unwrap(), file.metadata().unwrap().len());
    fs::remove_file(&file).unwrap();
    assert!(matches!(reader.size(&id), Err(SpoolError::Gone)));
    symlink(drop_dir.at("aside"), &file).unwrap();
    assert!(matches!(reader.size(&id), Err(SpoolError::Damaged)));
}
