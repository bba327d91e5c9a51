//! Makes seeds of small DICOM files: `cargo run --example seeds -- FILE…` writes into `corpus/`. For synthetic objects only, such
//! as the scanner simulator's (`gift-scanner load --kind ct --side 16`), and what DCMTK's compressors make of them.
//!
//! Each file becomes a seed of `dataset` and of `profile` and, when its image is small enough, of `redact`. Seeds of the targets
//! that take no objects (`pdu`, `wire`) are made here too. A seed's name is a digest of its bytes, as libFuzzer's are.
#![allow(clippy::print_stdout, reason = "a command for people at a terminal")]

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    io,
    path::Path,
};

use dicom_core::Tag;
use gift_deidentify::dataset::{DataSet, Limits, Value, read_part10};
use gift_redact::{Photometric, PixelLayout};
use gift_wire::{
    HealthReport,
    status::{DeidStatus, DiskState, Inputs, ReceiverStatus, UplinkStatus, verdict},
};

/// Most bytes of a seed of an object.
const MAX_BYTES: usize = 6_000;
const REDACT_SYNTAXES: [&str; 14] = [
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2.2",
];

fn main() -> io::Result<()> {
    for file in std::env::args_os().skip(1) {
        let bytes = fs::read(&file)?;
        let Ok((meta, parsed)) = read_part10(&bytes, &Limits::default()) else {
            println!("not read: {}", file.display());
            continue;
        };
        if bytes.len() <= MAX_BYTES {
            put("dataset", &[&[0x08], &bytes[..]].concat())?;
        }
        if let Some(start) = data_set_start(&bytes) {
            let body = &bytes[start..bytes.len().min(start + MAX_BYTES)];
            let syntax = |uids: &[&str]| uids.iter().position(|uid| *uid == meta.transfer_syntax_uid);
            let of_data_set = syntax(&["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]).unwrap_or(4);
            put("dataset", &[&[of_data_set as u8 | 0x10], body].concat())?;
            let of_profile = syntax(&["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"]).unwrap_or(3);
            for profile in 0..5 {
                put("profile", &[&[of_profile as u8 | profile << 2, 0], body].concat())?;
            }
        }
        image(&parsed.data_set, &bytes, &meta.transfer_syntax_uid)?;
    }
    jpeg_2000()?;
    jpeg_xl()?;
    messages()?;
    association()
}

/// Where the data set begins: behind the file meta information.
fn data_set_start(file: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(file.get(140..144)?.try_into().ok()?);
    Some(144 + length as usize)
}

fn image(ds: &DataSet, file: &[u8], uid: &str) -> io::Result<()> {
    let (Ok(layout), Some(pixels)) = (PixelLayout::of(ds), ds.get(Tag(0x7FE0, 0x0010))) else { return Ok(()) };
    let syntax = REDACT_SYNTAXES.iter().position(|known| *known == uid);
    let photometric = Photometric::ALL.iter().position(|known| *known == layout.photometric);
    let (Some(syntax), Some(photometric), Ok(rows), Ok(columns)) =
        (syntax, photometric, u8::try_from(layout.rows), u8::try_from(layout.columns))
    else {
        return Ok(());
    };
    let depth = match layout.bits_allocated {
        8 => 0,
        16 => 0x40,
        32 => 0x80,
        _ => 0xC0,
    } | (layout.bits_stored - 1) as u8;
    let frames = ((layout.frames - 1).min(3) as u8) << 6;
    let flags = frames | u8::from(layout.signed) << 1 | u8::from(layout.planar) << 2;
    let mut seed = vec![syntax as u8, photometric as u8, rows, columns, flags, depth, 3, 2, 8, 6];
    let bytes = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Span { offset, length, .. } => file[*offset as usize..(*offset + *length) as usize].to_vec(),
        Value::Sequence(_) | Value::Fragments { .. } => Vec::new(),
    };
    match &pixels.value {
        Value::Fragments { fragments, .. } => {
            let fragments: Vec<Vec<u8>> = fragments.iter().map(bytes).collect();
            let Some((last, cut)) = fragments.split_last() else { return Ok(()) };
            seed.push(cut.len() as u8);
            cut.iter().for_each(|fragment| seed.extend((fragment.len() as u16).to_be_bytes()));
            cut.iter().chain([last]).for_each(|fragment| seed.extend(fragment));
        }
        value => {
            seed.push(0);
            seed.extend(bytes(value));
        }
    }
    put("redact", &seed)
}

/// The synthetic codestreams of the product's tests.
fn jpeg_2000() -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../redact/testdata/jpeg-2000");
    for (name, syntax, photometric, depth) in [
        ("gray8.j2k", 8, 1, 7),
        ("gray12.j2k", 8, 1, 0x4B),
        ("signed12.j2k", 9, 1, 0x4B),
        ("rgb_mct.j2k", 8, 6, 7),
        ("rgb_plain.j2k", 8, 3, 7),
        ("rgb_lossy.j2k", 9, 7, 7),
        ("ht_gray8.j2c", 10, 1, 7),
        ("ht_gray12.j2c", 10, 1, 0x4B),
        ("ht_rgb.j2c", 10, 6, 7),
        ("ht_rgb_lossy.j2c", 11, 7, 7),
    ] {
        let head =
            [syntax, photometric, 40, 64, if name.starts_with("signed") { 2 } else { 0 }, depth, 10, 20, 29, 7, 0];
        put("redact", &[&head[..], &fs::read(directory.join(name))?].concat())?;
    }
    Ok(())
}

/// The same of JPEG XL.
fn jpeg_xl() -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../redact/testdata/jpeg-xl");
    for (name, syntax, photometric, depth) in [
        ("gray8", 15, 1, 7),
        ("gray12", 15, 1, 0x4B),
        ("gray16", 15, 1, 0x4F),
        ("rgb", 15, 3, 7),
        ("rgb_jpeg_bare", 16, 5, 7),
        ("gray8_lossy", 17, 1, 7),
        ("rgb_lossy", 17, 8, 7),
    ] {
        let head = [syntax, photometric, 40, 64, 0, depth, 10, 20, 29, 7, 0];
        put("redact", &[&head[..], &fs::read(directory.join(name).with_extension("jxl"))?].concat())?;
    }
    Ok(())
}

/// One of each message between box and hub, and of each status record.
fn messages() -> io::Result<()> {
    let (id, digest) = ("0a".repeat(16), "1b".repeat(32));
    let certificate = format!(
        r#"{{"input_digest":"{digest}","profile":"gift-default-1","key_version":1,"linkage":{{"domain":"uk-fetal","key_version":2}},"actions":[1,2,3,4,5,6],"template":"voluson-e10","frames_proven":3,"leak_patterns":9,"made_ms":1}}"#
    );
    let manifest = |certificate: &str| {
        format!(
            r#"{{"version":1,"object":"{id}","sha256":"{digest}","size":10,"sop_class_uid":"1.2.840.10008.5.1.4.1.1.2","sop_instance_uid":"2.25.1","study_instance_uid":"2.25.2","series_instance_uid":"2.25.3","transfer_syntax_uid":"1.2.840.10008.1.2.1","subject":"{id}","project":"fetal-surgery","certificate":{certificate}}}"#
        )
    };
    let linked = manifest(&certificate);
    let item = format!(r#"{{"kind":"object",{}"#, &linked[1..]);
    let record = |body: &str| format!(r#"{{"version":1,"updated_ms":2,"started_ms":1,"state":"ready","body":{body}}}"#);
    let report = serde_json::to_string(&report())?;
    let receipt = format!(
        r#"{{"version":1,"object":"{id}","sha256":"{digest}","size":10,"commit":7,"committed_ms":1,"duplicate":false,"isolated":"leak-found"}}"#
    );
    for (which, text) in [
        (0, linked.as_str()),
        (1, &receipt),
        (2, &report),
        (3, &item),
        (3, r#"{"kind":"health"}"#),
        (4, r#"{"version":1,"token":"t","csr_pem":"p"}"#),
        (5, r#"{"version":1,"certificate_pem":"p","not_after_ms":1,"box_name":"b","hub_time_ms":1}"#),
        (6, &record(r#"{"associations_total":1,"instances_total":2}"#)),
        (7, &format!("\"{id}\"")),
        (8, &format!("\"{digest}\"")),
        (9, &record(&serde_json::to_string(&DeidStatus::default())?)),
        (10, &record(&serde_json::to_string(&UplinkStatus::default())?)),
    ] {
        put("wire", &[&[which], text.as_bytes()].concat())?;
    }
    signed(&digest)
}

/// What is signed for boxes: an update with each part, an order, and how both travel.
fn signed(digest: &str) -> io::Result<()> {
    let days = r#""created":"2026-11-29","expires":"2026-12-31""#;
    let part = format!(r#"{{"length":10,"size":4096,"sha256":"{digest}"}}"#);
    let update = format!(
        r#"{{"version":1,"serial":7,"image":"1.4.2",{days},"root_hash":"{digest}","root":{part},"verity":{part},"codecs":{part},"kernel":{part},"archive":"{digest}"}}"#
    );
    let identity = "q".repeat(58);
    let order = format!(
        r#"{{"version":1,"number":3,"kind":"factory-reset","serial":"GC-0001","identity":"age1{identity}",{days}}}"#
    );
    let travels = |what: &str, text: &str| {
        serde_json::json!({ what: text, "signature": "untrusted comment: c\ns\ntrusted comment: t\ng\n" }).to_string()
    };
    for (which, text) in
        [(220, travels("update", &update)), (222, travels("order", &order)), (221, update), (223, order)]
    {
        put("wire", &[&[which], text.as_bytes()].concat())?;
    }
    Ok(())
}

/// What a box reports whose uplink is down.
fn report() -> HealthReport {
    let disk = DiskState { free_bytes: 1 << 33, total_bytes: 1 << 36, reserve_bytes: 1 << 31 };
    HealthReport {
        version: 1,
        boot: "0a".repeat(16),
        sequence: 1,
        sent_ms: 1,
        software: "0.1.0".into(),
        verdict: verdict(&Inputs { now_ms: 9, disk, ..Inputs::default() }),
        disk,
        receiver: Some(ReceiverStatus::default()),
        deid: Some(DeidStatus::default()),
        uplink: Some(UplinkStatus::default()),
        update: None,
    }
}

/// Associations: an echo, a stored object, a release; and one that is aborted.
fn association() -> io::Result<()> {
    let item = |kind: u8, body: &[u8]| [&[kind, 0][..], &(body.len() as u16).to_be_bytes(), body].concat();
    let pdu = |kind: u8, body: &[u8]| [&[kind, 0][..], &(body.len() as u32).to_be_bytes(), body].concat();
    let context = |id: u8, class: &str, syntax: &str| {
        item(0x20, &[&[id, 0, 0, 0][..], &item(0x30, class.as_bytes()), &item(0x40, syntax.as_bytes())].concat())
    };
    let user = [item(0x51, &16_384_u32.to_be_bytes()), item(0x52, b"1.2.3.4")].concat();
    let request = [
        &[0, 1, 0, 0][..],
        format!("{:<16}{:<16}", "GIFT", "SCU").as_bytes(),
        &[0; 32],
        &item(0x10, b"1.2.840.10008.3.1.1.1"),
        &context(1, "1.2.840.10008.1.1", "1.2.840.10008.1.2"),
        &context(3, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"),
        &item(0x50, &user),
    ]
    .concat();
    let p_data = |context: u8, flags: u8, value: &[u8]| {
        pdu(4, &[&(value.len() as u32 + 2).to_be_bytes()[..], &[context, flags], value].concat())
    };
    let element = |number: u16, value: &[u8]| {
        [&[0, 0][..], &number.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value].concat()
    };
    let command = |body: Vec<u8>| [element(0, &(body.len() as u32).to_le_bytes()), body].concat();
    let echo = command(
        [
            element(2, b"1.2.840.10008.1.1\0"),
            element(0x100, &[0x30, 0]),
            element(0x110, &[1, 0]),
            element(0x800, &[1, 1]),
        ]
        .concat(),
    );
    let class = b"1.2.840.10008.5.1.4.1.1.2\0";
    let store = command(
        [
            element(2, class),
            element(0x100, &[1, 0]),
            element(0x110, &[2, 0]),
            element(0x700, &[0, 0]),
            element(0x800, &[0, 0]),
            element(0x1000, b"1.2.3\0"),
        ]
        .concat(),
    );
    let data = [
        gift_fuzz::object::element(8, 0x16, b"UI", &class[..25]),
        gift_fuzz::object::element(8, 0x18, b"UI", b"1.2.3"),
        gift_fuzz::object::element(0x7FE0, 0x10, b"OW", &[7; 300]),
    ]
    .concat();
    let begin = pdu(1, &request);
    let stored =
        [p_data(3, 3, &store), p_data(3, 0, &data[..100]), p_data(3, 2, &data[100..]), pdu(5, &[0; 4])].concat();
    for (head, parts) in [
        (&[0, 3, 1, 50, 7][..], vec![&begin, &p_data(1, 3, &echo), &stored]),
        (&[0x58, 1, 33], vec![&begin, &stored]),
        (&[0x07, 1, 9], vec![&begin]),
        (&[0x80, 2, 255, 1], vec![&begin, &p_data(3, 3, &store), &pdu(7, &[0; 4])]),
    ] {
        let bytes: Vec<u8> = parts.into_iter().flatten().copied().collect();
        put("pdu", &[head, &bytes].concat())?;
    }
    Ok(())
}

fn put(target: &str, seed: &[u8]) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&directory)?;
    let mut digest = DefaultHasher::new();
    seed.hash(&mut digest);
    fs::write(directory.join(format!("{:016x}", digest.finish())), seed)
}
