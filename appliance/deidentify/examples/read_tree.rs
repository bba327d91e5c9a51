//! `read_tree DIR…`: reads every file under the directories and prints how each fared, without any value of it. For running
//! the reader against collections that are not part of this repository.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use gift_deidentify::dataset::{Limits, read_part10};

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|p| files(p, out));
    } else {
        out.push(path.to_owned());
    }
}

fn main() {
    let mut all = Vec::new();
    std::env::args().skip(1).for_each(|dir| files(Path::new(&dir), &mut all));
    let mut read = 0;
    for path in &all {
        let bytes = std::fs::read(path).unwrap();
        match read_part10(&bytes, &Limits::default()) {
            Ok(_) => read += 1,
            Err(e) => println!("{}: {e}", path.display()),
        }
    }
    println!("{read} of {} read", all.len());
}
