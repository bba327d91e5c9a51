//! `deid_tree IN OUT [OPTION…]`: de-identifies every object under IN with the Basic Profile and the options named (as a
//! profile names them), without touching pixels, writes it to OUT and scans it. Prints how each fared, without any value. For
//! examining the rules with collections and scorers that are not part of this repository; the product is `gift-deid`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use gift_deidentify::dataset::{Limits, Parsed, Sources, read_part10};
use gift_deidentify::profile::{Profile, Tables};
use gift_deidentify::pseudonym::{KeyedPseudonymiser, PseudonymKey};
use gift_deidentify::{Identifiers, Kept, deidentify};

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|p| files(p, out));
    } else {
        out.push(path.to_owned());
    }
}

fn one(bytes: &[u8], profile: &Profile, who: &mut KeyedPseudonymiser, out: &Path) -> Result<(), String> {
    let (meta, Parsed { data_set, body }) = read_part10(&bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let identifiers = Identifiers::collect(&data_set);
    let done =
        deidentify(data_set, &meta.transfer_syntax_uid, &identifiers, profile, who).map_err(|e| e.to_string())?;
    let none: &[u8] = &[];
    let mut written = Vec::new();
    done.write(Sources { input: &body, scratch: &none }, &mut written).map_err(|e| e.to_string())?;
    let _free = identifiers.scan(&written, Kept::by(profile)).map_err(|e| e.to_string())?;
    std::fs::write(out, written).map_err(|e| e.to_string())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tables = Tables::parse(
        include_str!("../../../config/ps3.15/table_E.1-1_2026c.csv"),
        include_str!("../../../config/ps3.15/table_E.3.10-1_safe_private_2026c.csv"),
        include_str!("../../../config/ps3.15/table_E.3.4-1_structured_content_2026c.csv"),
    )
    .unwrap();
    let options: String = args[2..].iter().map(|o| format!(", \"{o}\"")).collect();
    let text = include_str!("../../../config/profiles/basic.toml")
        .replace("\"clean-pixel-data\"", &format!("\"clean-pixel-data\"{options}"))
        .replace("issuer = \"as-stated\"", "issuer = \"site\"")
        .replace("missing = \"hold\"", "missing = \"study\"")
        .replace("encapsulated-documents = \"hold\"", "encapsulated-documents = \"replace\"");
    let profile = Profile::from_toml(&text, &tables).unwrap();
    let mut who = KeyedPseudonymiser::new(PseudonymKey::new(&[7; 32], 1));
    let mut all = Vec::new();
    files(Path::new(&args[0]), &mut all);
    std::fs::create_dir_all(&args[1]).unwrap();
    let (mut done, start) = (0, Instant::now());
    for (n, path) in all.iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        match one(&bytes, &profile, &mut who, &Path::new(&args[1]).join(format!("{n:05}.dcm"))) {
            Ok(()) => done += 1,
            Err(why) => println!("{}: {why}", path.display()),
        }
    }
    println!("{done} of {} written in {:.2} s", all.len(), start.elapsed().as_secs_f64());
}
