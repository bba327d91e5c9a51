//! Objects that name more than can be looked for are refused.

use super::*;

#[test]
fn more_identifiers_than_can_be_searched_for_are_refused_not_ignored() {
    let names: Vec<String> = (0..2_100).map(|n| format!("Strandberg{}^Vigdis", letters(n))).collect();
    let ds = object([text(8, 0x1072, VR::PN, &names.join("\\")), text(8, 0x1030, VR::LO, "fetal brain")]);
    assert_eq!(run(ds, &shipped()).unwrap_err(), DeidError::TooManyIdentifiers);
    // The same few names many times over are no reason.
    let ds = object([text(8, 0x1072, VR::PN, &vec!["Strandberg^Vigdis"; 2_100].join("\\"))]);
    assert!(run(ds, &shipped()).is_ok());
}

#[test]
fn a_name_of_so_many_words_that_their_pairs_are_too_many_is_refused_not_ignored() {
    let name = |words: usize| (0..words).map(|n| format!("Vigdis{}", letters(n))).collect::<Vec<_>>().join(" ");
    let named = |name: &str| object([text(8, 0x1072, VR::PN, name), text(8, 0x1030, VR::LO, "fetal brain")]);
    for many in [name(400), name(50_000), vec![name(60); 40].join("\\") + "\\" + &name(120), "x".repeat(300_000)] {
        let ds = named(&many);
        let identifiers = Identifiers::collect(&ds);
        assert!(identifiers.too_many());
        let nothing = bytes_of(&run(object([]), &shipped()).unwrap());
        assert!(identifiers.scan(&nothing, Kept::by(&shipped())).is_err(), "a scan for some is no scan");
        assert_eq!(run(ds, &shipped()).unwrap_err(), DeidError::TooManyIdentifiers);
    }
    // Longer than any person's (PS3.5 §6.2 allows 64 characters for each component group).
    assert!(run(named(&name(32)), &shipped()).is_ok());
    let addresses = text(0x10, 0x1040, VR::LO, &"Nowhere Lane, ".repeat(30_000));
    assert_eq!(run(object([addresses]), &shipped()).unwrap_err(), DeidError::TooManyIdentifiers);
}

/// A number as letters, so that it counts as part of a name.
fn letters(mut number: usize) -> String {
    let mut text = String::new();
    for _ in 0..4 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}
