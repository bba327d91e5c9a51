//! Hostile senders against the running box: no service dies, memory stays below 256 MB in each process, legitimate sends go
//! on. `GIFT_MALFORMED` may name a directory of further hostile files (they are not part of the repository).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{
    io::Read as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use common::{Fixture, PATIENCE};
use dicom_dictionary_std::uids;
use gift_e2e::{
    generator::{Entry, attack},
    outcome,
    raw::RawScu,
    rig::{Rig, Role},
};

/// The bar: peak resident memory of each process.
const MEMORY_BAR: u64 = 256 << 20;
/// The bar: half-open associations at once.
const HALF_OPEN: usize = 2_000;

#[test]
fn no_attack_ends_a_service_or_keeps_a_scanner_from_sending() {
    let fixture = Fixture::new(66, 60);
    let rig = &fixture.rig;
    let starts: Vec<u64> = Role::ALL.iter().map(|&role| rig.starts(role)).collect();
    let called = rig.called_ae;
    let address = rig.dicom_address();

    // Hostile data sets are acknowledged or refused, and held; each is one object's trouble.
    let mut hostile = 0;
    for (name, data_set) in attack::all() {
        let answer = rig.on_scanner_side(|| {
            let mut scu = RawScu::open(address, called, attack::SOP_CLASS, uids::EXPLICIT_VR_LITTLE_ENDIAN)?;
            scu.store(attack::SOP_INSTANCE, data_set.as_slice(), data_set.len() as u64)
        });
        println!("{name}: {answer:04X?}");
        hostile += usize::from(matches!(answer, Ok(0)));
    }
    for file in malformed() {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        // As a data set: whatever stands behind the file meta information, or all of it.
        let data_set = if bytes.get(128..132) == Some(b"DICM") { &bytes[132..] } else { &bytes[..] };
        let answer = rig.on_scanner_side(|| {
            let mut scu = RawScu::open(address, called, attack::SOP_CLASS, uids::EXPLICIT_VR_LITTLE_ENDIAN)?;
            scu.store(attack::SOP_INSTANCE, data_set, data_set.len() as u64)
        });
        hostile += usize::from(matches!(answer, Ok(0)));
    }

    // A PDU of 1 GiB is refused at its header.
    let started = Instant::now();
    let answer = rig.on_scanner_side(|| {
        RawScu::open(address, called, attack::SOP_CLASS, uids::EXPLICIT_VR_LITTLE_ENDIAN)?.promise(1 << 30)
    });
    println!(
        "1 GiB PDU: {} after {:?}",
        answer.map_or_else(|e| e.to_string(), |p| p.short_description().to_string()),
        started.elapsed()
    );
    assert!(started.elapsed() < Duration::from_secs(10), "the receiver waited for a PDU it must refuse");

    // 2,000 connections that never say anything, while a scanner sends.
    let entries: Vec<&Entry> = fixture.set.key.objects.iter().collect();
    let sent = rig
        .on_scanner_side(|| {
            let open: Vec<TcpStream> = (0..HALF_OPEN).filter_map(|_| TcpStream::connect(address).ok()).collect();
            println!("{} half-open connections", open.len());
            let sent = fixture.set.send_some(rig, &entries, 4)?;
            drop(open);
            Ok(sent)
        })
        .unwrap();
    let lost: Vec<_> = sent.iter().filter(|s| !s.acknowledged).collect();
    assert!(lost.is_empty(), "{} of {} sends failed during the flood\n{}", lost.len(), sent.len(), common::logs(rig));

    outcome::settle(rig, PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", common::logs(rig)));
    for (role, before) in Role::ALL.iter().zip(starts) {
        assert_eq!(rig.starts(*role), before, "{role:?} died\n{}", common::logs(rig));
        let peak = rig.peak_memory(*role);
        println!("{:10} peak {:4} MB", role.name(), peak >> 20);
        assert!(peak < MEMORY_BAR, "{role:?} used {} MB", peak >> 20);
    }
    // Nothing hostile reached the hub, everything acknowledged is held.
    let held = outcome::quarantine(rig).unwrap();
    let foreign = held.iter().filter(|(uid, _)| uid == attack::SOP_INSTANCE).count();
    let on_hub = outcome::faults(rig, &entries, false).unwrap();
    let on_hub: Vec<_> = on_hub.iter().filter(|fault| !fault.starts_with("held, and not of this set")).collect();
    assert!(on_hub.is_empty(), "{on_hub:#?}");
    assert_eq!(foreign, hostile, "hostile objects acknowledged and held");
    legitimate_echo(rig);
}

fn legitimate_echo(rig: &Rig) {
    let mut echo = rig.scanner("echoscu");
    echo.args(["--aetitle", "SCANNER1", "--call", rig.called_ae, "127.0.0.1", &rig.dicom_port.to_string()]);
    assert!(echo.status().unwrap().success());
}

/// Hostile files from outside the repository, when there are any.
fn malformed() -> Vec<std::path::PathBuf> {
    let Some(directory) = std::env::var_os("GIFT_MALFORMED") else { return Vec::new() };
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn ten_large_objects_at_once_leave_memory_flat() {
    large_objects(50 << 20);
}

#[test]
#[ignore = "cargo xtask campaign memory"]
fn memory_ten_objects_of_500_mb() {
    large_objects(500 << 20);
}

/// Ten associations, each with one multi-frame object of `bytes`; the receiver's peak memory must stay within 32 MB.
fn large_objects(bytes: u64) {
    const BAR: u64 = 32 << 20;
    let mut fixture = Fixture::new(5, 1);
    // Only the receiver is looked at: what it hands on is stopped at its door.
    for role in [Role::Deid, Role::Uplink, Role::Health] {
        fixture.rig.stop_role(role);
    }
    let rig = &fixture.rig;
    let (called, address) = (rig.called_ae, rig.dicom_address());
    let answers = rig
        .on_scanner_side(|| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..10)
                    .map(|number| {
                        scope.spawn(move || {
                            let class = uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE;
                            let instance = format!("1.2.826.0.1.3680043.9.7433.77.{number}");
                            let head = head(class, &instance, bytes);
                            let length = head.len() as u64 + bytes;
                            let body = std::io::Cursor::new(head).chain(std::io::repeat(7).take(bytes));
                            let mut scu = RawScu::open(address, called, class, uids::EXPLICIT_VR_LITTLE_ENDIAN)?;
                            scu.store(&instance, body, length)
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|t| t.join().map_err(|_| anyhow::anyhow!("panicked"))?)
                    .collect::<Result<Vec<_>, _>>()
            })
        })
        .unwrap();
    assert_eq!(answers, [0; 10]);
    let peak = rig.peak_memory(Role::Receiver);
    println!("receiver: peak {:.1} MB while 10 associations each sent {} MB", peak as f64 / 1048576.0, bytes >> 20);
    assert!(peak <= BAR, "peak {} bytes", peak);
}

/// The first elements of a data set whose pixel data has `bytes` bytes.
fn head(class: &str, instance: &str, bytes: u64) -> Vec<u8> {
    let mut head = Vec::new();
    for (element, uid) in [(0x16_u8, class), (0x18, instance)] {
        let mut value = uid.as_bytes().to_vec();
        value.resize(value.len().next_multiple_of(2), 0);
        head.extend([8, 0, element, 0]);
        head.extend(b"UI");
        head.extend((value.len() as u16).to_le_bytes());
        head.extend(value);
    }
    head.extend([0xE0, 0x7F, 0x10, 0x00]);
    head.extend(b"OB\0\0");
    head.extend((bytes as u32).to_le_bytes());
    head
}
