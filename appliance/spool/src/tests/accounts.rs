//! What takes root to try: the drop between three real accounts, as design.md has it (the writer may only drop, the reader
//! owns, a stranger has neither), and a disk that is really full. Elsewhere these say so and check nothing.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Collector, Depositor, SpoolError};

const WRITER: u32 = 64_901;
const READER: u32 = 64_902;
const STRANGER: u32 = 64_903;
const DROP_GROUP: u32 = 64_911;
/// Tells a child test where the drop is.
const PLACE: &str = "GIFT_SPOOL_TEST_DROP";

fn place() -> PathBuf {
    std::env::var_os(PLACE).expect("run by three_accounts_share_a_drop").into()
}

#[test]
fn three_accounts_share_a_drop() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let set = |path: &Path, uid, gid, mode| {
        chown(path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(root.path(), 0, 0, 0o755);
    for (name, uid, gid, mode) in [
        ("staging", WRITER, DROP_GROUP, 0o2700),
        ("inbox", READER, DROP_GROUP, 0o2730),
        ("aside", READER, READER, 0o700),
    ] {
        fs::create_dir(root.path().join(name)).unwrap();
        set(&root.path().join(name), uid, gid, mode);
    }
    // The checkout may stand where these accounts cannot go.
    let program = root.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for (test, uid, groups) in [
        ("as_writer", WRITER, DROP_GROUP.to_string()),
        ("as_stranger", STRANGER, STRANGER.to_string()),
        ("as_reader", READER, DROP_GROUP.to_string()),
    ] {
        let id = uid.to_string();
        let output = Command::new("setpriv")
            .args(["--reuid", &id, "--regid", &id, "--groups", &groups, "--no-new-privs"])
            .arg(&program)
            .args(["--ignored", "--exact", &format!("tests::accounts::{test}")])
            .env(PLACE, root.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{test}: {text}");
    }
}

#[test]
#[ignore = "run by three_accounts_share_a_drop, under the writer's account"]
fn as_writer() {
    let place = place();
    let writer = Depositor::open(&place.join("staging"), &place.join("inbox")).unwrap();
    let kept = writer.deposit(b"meta", b"body").unwrap();
    let taken_back = writer.deposit(b"", b"").unwrap();
    assert!(writer.withdraw(&taken_back).unwrap());
    assert!(fs::read_dir(place.join("inbox")).is_err(), "the writer must not list the inbox");
    assert!(fs::read_dir(place.join("aside")).is_err());
    assert!(fs::metadata(place.join("inbox").join(kept.as_str())).is_ok());
}

#[test]
#[ignore = "run by three_accounts_share_a_drop, under a third account"]
fn as_stranger() {
    let place = place();
    assert!(matches!(Depositor::open(&place.join("staging"), &place.join("inbox")), Err(SpoolError::Store(_))));
    assert!(matches!(
        Collector::open(&place.join("inbox"), &place.join("aside"), &[WRITER]),
        Err(SpoolError::Store(_))
    ));
    assert!(fs::write(place.join("inbox/x"), b"").is_err());
}

#[test]
#[ignore = "run by three_accounts_share_a_drop, under the reader's account"]
fn as_reader() {
    let place = place();
    assert!(fs::read_dir(place.join("staging")).is_err());
    let reader = Collector::open(&place.join("inbox"), &place.join("aside"), &[WRITER]).unwrap();
    let ids = reader.scan().unwrap();
    let mut body = Vec::new();
    assert_eq!(reader.take_into(&ids[0], &mut body).unwrap().meta, b"meta");
    assert_eq!((ids.len(), body.as_slice()), (1, b"body".as_slice()));
    let narrower = Collector::open(&place.join("inbox"), &place.join("aside"), &[READER]).unwrap();
    assert!(matches!(narrower.take_into(&ids[0], &mut body), Err(SpoolError::Damaged)));
    reader.set_aside(&ids[0]).unwrap();
    assert!(reader.scan().unwrap().is_empty());
    assert!(place.join("aside").join(ids[0].as_str()).exists());
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    // The mount exists in the child's namespace only, and ends with it.
    let script =
        "mount -t tmpfs -o size=1m tmpfs \"$1\" && exec \"$2\" --ignored --exact tests::accounts::on_a_small_disk";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([root.path(), &std::env::current_exe().unwrap()])
        .env(PLACE, root.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by a_full_disk_refuses_and_recovers_without_a_restart, on its own mount"]
fn on_a_small_disk() {
    let place = place();
    for name in ["staging", "inbox", "aside"] {
        fs::create_dir(place.join(name)).unwrap();
    }
    let writer = Depositor::open(&place.join("staging"), &place.join("inbox")).unwrap();
    let uid = nix::unistd::geteuid().as_raw();
    let reader = Collector::open(&place.join("inbox"), &place.join("aside"), &[uid]).unwrap();
    let body = vec![1_u8; 150_000];
    for cycle in 0..20 {
        let mut accepted = 0;
        while writer.deposit(b"m", &body).is_ok() {
            accepted += 1;
        }
        assert!(matches!(writer.deposit(b"m", &body), Err(SpoolError::Full)), "cycle {cycle}");
        assert!(accepted >= 5 && !writer.is_poisoned());
        assert!(writer.room(0).unwrap() < body.len() as u64);
        assert_eq!(fs::read_dir(place.join("staging")).unwrap().count(), 0, "refused items leave nothing");
        let ids = reader.scan().unwrap();
        assert_eq!(ids.len(), accepted);
        for id in ids {
            assert_eq!(reader.take_into(&id, &mut std::io::sink()).unwrap().body_len, body.len() as u64);
            reader.finish(&id).unwrap();
        }
    }
}
