//! Attacks on the check of canaries: each planted value, print that is left, a pattern that was changed.

use std::io::Write as _;

use super::*;
use crate::{
    check::in_words,
    object::samples::{Sample, canary},
};

fn words(sample: &Sample) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&sample.file()).unwrap();
    in_words(&Canary::built_in().unwrap().check(file.path()).unwrap())
}

#[test]
fn a_canary_that_was_de_identified_passes() {
    assert_eq!(words(&canary(1, |_| {})), "");
}

#[test]
fn each_planted_value_is_found_wherever_it_stands() {
    let known = Canary::built_in().unwrap();
    assert!(known.secrets.len() > 5 && known.secrets.iter().all(|secret| secret.len() >= 8));
    for secret in &known.secrets {
        for text in [secret.clone(), secret.to_ascii_uppercase(), format!("x{secret}y")] {
            let sample = canary(1, |_| {}).element((0x0008, 0x103E), "LO", text.as_bytes()).sorted();
            assert_eq!(words(&sample), "canary-planted", "{secret}");
        }
    }
}

#[test]
fn print_that_stands_and_a_picture_that_was_changed_are_told_apart() {
    let at = |x: usize, y: usize| (y * 320 + x) * 3;
    let with = |place: usize| words(&canary(1, |pixels| pixels[place] ^= 1));
    for (x, y) in [(0, 0), (319, 23), (0, 216), (199, 239)] {
        assert_eq!(with(at(x, y)), "canary-print", "{x}, {y}");
    }
    for (x, y) in [(0, 24), (319, 215), (200, 216), (319, 239)] {
        assert_eq!(with(at(x, y)), "canary-picture", "{x}, {y}");
    }
}

#[test]
fn what_is_no_canary_at_all_is_none() {
    assert_eq!(words(&crate::object::samples::released(1)), "canary-picture");
    let large = canary(1, |_| {}).element((0x0020, 0x4000), "UN", &vec![7; 70_000]).sorted();
    assert_eq!(words(&large), "canary-picture");
    let grey = canary(1, |_| {}).element((0x0028, 0x0004), "CS", b"YBR_FULL");
    assert_eq!(words(&grey.sorted()), "canary-picture");
}
