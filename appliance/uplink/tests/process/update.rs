//! System updates: fetched once, on from where a download ended, handed over whole; never what their digest does not name.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use gift_spool::Collector;
use gift_wire::{ImageVersion, Sha256Hex, SignedUpdate, Update, UpdatePart, WIRE_VERSION};
use sha2::{Digest as _, Sha256};

use super::{hub::TestHub, rig::Rig};

const PIECE: usize = 300_000;

/// A signed update (nobody here looks at its signature) and its archive.
fn update(serial: u64) -> (Vec<u8>, Vec<u8>) {
    let archive: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sha = |bytes: &[u8]| Sha256Hex::parse(&hex::encode(Sha256::digest(bytes))).unwrap();
    let part = |range: std::ops::Range<usize>| {
        let bytes = &archive[range];
        UpdatePart { length: bytes.len() as u64, size: bytes.len() as u64, sha256: sha(bytes) }
    };
    let update = Update {
        version: WIRE_VERSION,
        serial,
        image: ImageVersion::parse("1.2").unwrap(),
        created: "2026-11-29".into(),
        expires: "2026-12-29".into(),
        root_hash: sha(b""),
        root: part(0..700_000),
        verity: part(700_000..800_000),
        codecs: None,
        kernel: part(800_000..1_000_000),
        archive: sha(&archive),
    };
    let signed = SignedUpdate { update: serde_json::to_string(&update).unwrap(), signature: "none".into() };
    (serde_json::to_vec(&signed).unwrap(), archive)
}

fn rig(hub: &TestHub, drop: &Path) -> Rig {
    for name in ["staging", "inbox", "aside"] {
        fs::create_dir_all(drop.join(name)).unwrap();
    }
    let path = |name: &str| drop.join(name).display().to_string();
    let table =
        format!("[updates]\nstaging = {:?}\ninbox = {:?}\ninterval-seconds = 1\n", path("staging"), path("inbox"));
    Rig::new(hub, &table)
}

fn waiting(drop: &Path) -> usize {
    fs::read_dir(drop.join("inbox")).unwrap().count()
}

/// Bytes of the archive that is on its way.
fn kept(rig: &Rig) -> usize {
    let room = rig.path("uplink/update");
    rig.names("uplink/update").iter().map(|name| fs::metadata(room.join(name)).unwrap().len() as usize).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_fetched_in_pieces_across_kills_and_handed_over_once() {
    let hub = TestHub::sound().await;
    let drop = tempfile::tempdir().unwrap();
    let (json, archive) = update(3);
    hub.state().archive_piece = PIECE;
    hub.state().update = Some((json.clone(), archive.clone()));
    let mut rig = rig(&hub, drop.path());
    rig.start();
    rig.until("a part of it kept", |rig| kept(rig) > 0).await;
    rig.kill();
    // Perhaps not a whole piece: it was killed while it wrote.
    let there = kept(&rig);
    rig.start();
    rig.until("the update handed over", |_| waiting(drop.path()) == 1).await;
    let began = hub.state().archive_from.clone();
    assert_eq!(began.first(), Some(&0));
    assert!(began.is_sorted() && began.contains(&there), "{there} kept, begun at {began:?}");
    assert!(began.len() <= archive.len().div_ceil(PIECE) + 1, "a piece more than the kill explains: {began:?}");

    let uid = fs::metadata(drop.path()).unwrap().uid();
    let collector = Collector::open(&drop.path().join("inbox"), &drop.path().join("aside"), &[uid]).unwrap();
    let id = collector.scan().unwrap().remove(0);
    let mut body = Vec::new();
    let taken = collector.take_into(&id, &mut body).unwrap();
    assert!(taken.meta == json && body == archive);
    collector.finish(&id).unwrap();

    // It is asked for, and not fetched again; the next one is.
    let asked = hub.state().paths.len();
    rig.until("it asks again", |_| hub.state().paths.len() > asked + 1).await;
    assert_eq!((waiting(drop.path()), hub.state().archive_from.len()), (0, began.len()));
    hub.state().update = Some(update(4));
    rig.until("the next update handed over", |_| waiting(drop.path()) == 1).await;
    rig.until("nothing is kept of it", |rig| rig.names("uplink/update").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_update_does_not_name_are_not_handed_over() {
    let hub = TestHub::sound().await;
    let drop = tempfile::tempdir().unwrap();
    let (json, archive) = update(3);
    let mut other = archive.clone();
    other[900_000] ^= 1;
    hub.state().archive_piece = usize::MAX / 2;
    hub.state().update = Some((json.clone(), other));
    let mut rig = rig(&hub, drop.path());
    rig.start();
    rig.until("it is fetched again", |_| {
        let state = hub.state();
        state.archive_from.len() >= 2 && state.archive_from.iter().all(|from| *from == 0)
    })
    .await;
    assert_eq!(waiting(drop.path()), 0);
    // More than was announced is not read either.
    hub.state().update = Some((json.clone(), [archive.clone(), vec![0; 4 << 20]].concat()));
    let fetched = hub.state().archive_from.len();
    rig.until("it is tried", |_| hub.state().archive_from.len() > fetched + 1).await;
    assert_eq!(waiting(drop.path()), 0);
    hub.state().update = Some((json, archive));
    rig.until("the right bytes", |_| waiting(drop.path()) == 1).await;
}
