//! Real LUKS2, made and looked at by cryptsetup, in files; and the power that goes at any step.

use std::{
    cell::{Cell, RefCell},
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::*;

const SIZE: u64 = 20 << 20;
const PASSPHRASE: &str = "correct horse";

/// Runs cryptsetup with the passphrase on its standard input; whether it succeeded.
fn cryptsetup(words: &[&str], file: &Path) -> bool {
    let input = file.with_extension("passphrase");
    fs::write(&input, PASSPHRASE).unwrap();
    let done = Command::new("cryptsetup")
        .args(words)
        .arg("--key-file")
        .arg(&input)
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("cryptsetup is needed: apt-get install cryptsetup-bin");
    done.status.success()
}

/// A partition with a state of this type, whose data are all `d`.
fn formatted(directory: &Path, kind: &str) -> PathBuf {
    let path = directory.join(format!("{kind}.raw"));
    fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    let fast = ["luksFormat", "--batch-mode", "--type", kind, "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    assert!(cryptsetup(&fast, &path));
    let data = vec![b'd'; usize::try_from(SIZE - luks::LEAST).unwrap()];
    open(&path).write_all_at(&data, luks::LEAST).unwrap();
    path
}

fn open(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn opens(path: &Path) -> bool {
    cryptsetup(&["open", "--test-passphrase"], path)
}

/// Sectors of what opened `before` that are the same in `after`, and are not empty.
fn left_over(before: &[u8], after: &[u8]) -> usize {
    let end = usize::try_from(luks::LEAST).unwrap();
    let pairs = before[..end].chunks(512).zip(after[..end].chunks(512));
    pairs.filter(|(a, b)| a == b && a.iter().any(|byte| *byte != 0)).count()
}

#[test]
fn nothing_that_opens_a_real_state_is_left_and_its_data_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = formatted(directory.path(), "luks2");
    assert!(opens(&path) && cryptsetup(&["isLuks"], &path) && cryptsetup(&["luksDump"], &path));
    let before = fs::read(&path).unwrap();
    assert!(left_over(&before, &before) > 200, "there is key material");
    begin(&open(&path), OrderKind::FactoryReset).unwrap();
    let after = fs::read(&path).unwrap();
    assert_eq!(left_over(&before, &after), 0);
    assert_eq!(after.len(), before.len());
    assert!(after[usize::try_from(luks::LEAST).unwrap()..].iter().all(|byte| *byte == b'd'));
    assert!(!after.windows(6).any(|six| six == b"SKUL\xba\xbe" || six == b"LUKS\xba\xbe"));
    for words in [&["isLuks"][..], &["luksDump"], &["open", "--test-passphrase"], &["repair", "--batch-mode"]] {
        assert!(!cryptsetup(words, &path), "{words:?}");
    }
    // No room of it is blank: what was not written would show.
    let blank = after[512..usize::try_from(luks::LEAST).unwrap()].chunks(512).filter(|s| s.iter().all(|b| *b == 0));
    assert_eq!(blank.count(), 0);
    // Asked once more (the box did not start again): the same end.
    begin(&open(&path), OrderKind::FactoryReset).unwrap();
    assert_eq!(
        finish(&open(&path), || Err::<fs::File, _>(io::ErrorKind::NotFound.into())).unwrap(),
        Some(OrderKind::FactoryReset)
    );
}

#[test]
fn what_is_no_luks2_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let luks1 = formatted(directory.path(), "luks1");
    assert!(opens(&luks1));
    let mut shifted = fs::read(formatted(directory.path(), "luks2")).unwrap();
    // Both headers, but not where they say that they are.
    shifted.rotate_right(512);
    let contents =
        [fs::read(&luks1).unwrap(), shifted, vec![0; 1 << 20], vec![b'L'; 8192], b"LUKS\xba\xbe".to_vec(), Vec::new()];
    for (at, content) in contents.iter().enumerate() {
        let path = directory.path().join(format!("other-{at}"));
        fs::write(&path, content).unwrap();
        assert!(begin(&open(&path), OrderKind::Decommission).is_err(), "{at}");
        assert_eq!(finish(&open(&path), || Ok(open(&path))).unwrap(), None, "{at}");
        assert!(fs::read(&path).unwrap() == *content, "{at}");
    }
}

#[test]
fn a_state_with_one_damaged_header_is_erased_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = formatted(directory.path(), "luks2");
    let whole = fs::read(&path).unwrap();
    let second =
        *luks::SECOND_AT.iter().find(|at| whole[usize::try_from(**at).unwrap()..].starts_with(b"SKUL")).unwrap();
    for damaged in [0, second] {
        fs::write(&path, &whole).unwrap();
        open(&path).write_all_at(&[0; 4096], damaged).unwrap();
        assert!(opens(&path), "cryptsetup uses the other one");
        begin(&open(&path), OrderKind::FactoryReset).unwrap();
        assert_eq!(left_over(&whole, &fs::read(&path).unwrap()), 0);
        assert!(!opens(&path));
    }
}

#[test]
fn larger_headers_are_erased_to_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.raw");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let words = [
        "luksFormat",
        "--batch-mode",
        "--type",
        "luks2",
        "--pbkdf",
        "pbkdf2",
        "--pbkdf-force-iterations",
        "1000",
        "--luks2-metadata-size",
        "4m",
        "--luks2-keyslots-size",
        "32m",
    ];
    assert!(cryptsetup(&words, &path));
    let file = open(&path);
    assert_eq!(luks::end_of_keys(&file).unwrap(), Some(40 << 20));
    begin(&file, OrderKind::FactoryReset).unwrap();
    let after = fs::read(&path).unwrap();
    assert!(after[512..40 << 20].chunks(512).all(|sector| sector.iter().any(|byte| *byte != 0)));
    assert!(after[40 << 20..].iter().all(|byte| *byte == 0));
}

/// A disk whose power goes after so many steps. What was written and not synced may be there, whole or in part, or not.
struct Failing {
    durable: RefCell<Vec<u8>>,
    unsynced: RefCell<Vec<(usize, Vec<u8>)>>,
    steps: Cell<usize>,
}

impl Failing {
    fn new(content: &[u8], steps: usize) -> Self {
        Self { durable: RefCell::new(content.to_vec()), unsynced: RefCell::default(), steps: Cell::new(steps) }
    }

    fn step(&self) -> io::Result<()> {
        self.steps.set(self.steps.get().checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?);
        Ok(())
    }

    /// What is on the medium when the power comes back: of each write as many sectors as `keep` says of its number.
    fn after_cut(&self, keep: impl Fn(usize, usize) -> std::ops::Range<usize>) -> Vec<u8> {
        let mut content = self.durable.borrow().clone();
        for (number, (at, bytes)) in self.unsynced.borrow().iter().enumerate() {
            for sector in keep(number, bytes.len() / 512) {
                let range = sector * 512..(sector + 1) * 512;
                content[at + range.start..at + range.end].copy_from_slice(&bytes[range]);
            }
        }
        content
    }
}

impl Disk for Failing {
    fn size(&self) -> io::Result<u64> {
        Ok(self.durable.borrow().len() as u64)
    }

    fn read(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let seen = self.after_cut(|_, sectors| 0..sectors);
        let at = usize::try_from(at).unwrap();
        into.copy_from_slice(seen.get(at..at + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.step()?;
        self.unsynced.borrow_mut().push((usize::try_from(at).unwrap(), bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.step()?;
        let content = self.after_cut(|_, sectors| 0..sectors);
        self.durable.replace(content);
        self.unsynced.borrow_mut().clear();
        Ok(())
    }
}

/// Every boot after a power cut finds the state as it was, or erases it to the end before it could be opened; and that boot may be cut, too.
#[test]
fn a_power_cut_at_any_step_leaves_the_old_state_whole_or_erased() {
    let directory = tempfile::tempdir().unwrap();
    let path = formatted(directory.path(), "luks2");
    let before = fs::read(&path).unwrap();
    let (mut untouched, mut erased) = (0, 0);
    for steps in 0.. {
        let disk = Failing::new(&before, steps);
        let done = begin(&disk, OrderKind::FactoryReset);
        let lost = disk.after_cut(|_, _| 0..0);
        let half = disk.after_cut(|number, sectors| if number % 2 == 0 { sectors / 2..sectors } else { 0..0 });
        let whole = disk.after_cut(|_, sectors| 0..sectors);
        for content in [lost, half, whole] {
            fs::write(&path, &content).unwrap();
            let file = open(&path);
            if mark_of(&file).unwrap().is_none() {
                assert!(content == before && opens(&path), "step {steps}: not marked, and not as it was");
                untouched += 1;
                continue;
            }
            // A boot, cut in its turn, then another.
            let boot = Failing::new(&content, steps);
            let _ = finish(&boot, || Err::<fs::File, _>(io::ErrorKind::NotFound.into()));
            let again = boot.after_cut(|number, sectors| if number % 2 == 0 { 0..sectors } else { 0..0 });
            fs::write(&path, again).unwrap();
            let kind = finish(&open(&path), || Err::<fs::File, _>(io::ErrorKind::NotFound.into())).unwrap();
            assert_eq!(kind, Some(OrderKind::FactoryReset), "step {steps}");
            assert_eq!(left_over(&before, &fs::read(&path).unwrap()), 0, "step {steps}");
            assert!(!opens(&path), "step {steps}");
            erased += 1;
        }
        // As soon as it cannot go back, it says so: the box starts again.
        assert_eq!(done.is_ok(), steps >= 2, "step {steps}");
        if disk.steps.get() > 0 {
            break;
        }
    }
    assert!(untouched >= 3 && erased > 20, "{untouched} {erased}");
}

#[test]
fn decommissioning_leaves_no_provisioning_and_is_not_made_less() {
    let directory = tempfile::tempdir().unwrap();
    let (path, provisioning) = (formatted(directory.path(), "luks2"), directory.path().join("provisioning"));
    let text = b"{\"provisioning\":\"...\"}".repeat(100);
    fs::write(&provisioning, &text).unwrap();
    begin(&open(&path), OrderKind::FactoryReset).unwrap();
    begin(&open(&path), OrderKind::Decommission).unwrap();
    begin(&open(&path), OrderKind::FactoryReset).unwrap();
    // Where the provisioning cannot be erased, it is not said to be.
    assert!(finish(&open(&path), || Err::<fs::File, _>(io::ErrorKind::NotFound.into())).is_err());
    assert_eq!(finish(&open(&path), || Ok(open(&provisioning))).unwrap(), Some(OrderKind::Decommission));
    assert!(fs::read(&provisioning).unwrap() == vec![0; text.len()]);
    // A reset does not touch it.
    fs::write(&provisioning, &text).unwrap();
    let other = formatted(directory.path(), "luks2");
    begin(&open(&other), OrderKind::FactoryReset).unwrap();
    finish(&open(&other), || Ok(open(&provisioning))).unwrap();
    assert!(fs::read(&provisioning).unwrap() == text);
}
