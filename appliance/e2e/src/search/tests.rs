//! The search must find what leaked, in every form and at every place, and nothing else.

use super::*;
use crate::generator::{Class, Generator, Kind, Mix};

fn planted(value: &str, repertoire: Repertoire) -> Planted {
    Planted { class: Class::Name, value: value.into(), raw: repertoire.encode(value) }
}

fn search(values: &[&str]) -> Search {
    let planted: Vec<_> = values.iter().map(|value| planted(value, Repertoire::Utf8)).collect();
    Search::new(&planted)
}

fn found(search: &Search, bytes: &[u8]) -> Vec<(usize, u64)> {
    let streamed: Vec<_> = search.in_stream(bytes).unwrap().into_iter().collect();
    assert_eq!(search.in_bytes(bytes).into_iter().collect::<Vec<_>>(), streamed);
    streamed
}

/// Gives one byte at a time.
struct Drip<'a>(&'a [u8]);

impl io::Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn every_encoding_is_found() {
    let search = search(&["Núñez Ibáñez"]);
    let utf16 = |swap: bool| {
        let bytes = |unit: u16| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() };
        "Núñez Ibáñez".encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    for form in [
        "Núñez Ibáñez".into(),
        "NÚÑEZ IBÁÑEZ".into(),
        "núñez ibáñez".into(),
        b"N\xFA\xF1ez Ib\xE1\xF1ez".to_vec(),
        utf16(false),
        utf16(true),
        b"N\\u00fa\\u00f1ez Ib\\u00e1\\u00f1ez".to_vec(),
        hex::encode("Núñez Ibáñez").into_bytes(),
    ] {
        assert_eq!(found(&search, &[b"xyz", form.as_slice(), b"xyz"].concat()), [(0, 3)], "{form:x?}");
    }
    assert_eq!(found(&search, "Nuñez Ibáñez".as_bytes()), []);
}

#[test]
fn iso_2022_is_found_from_another_encoding_and_the_other_way_round() {
    let japanese = [planted("山田^花子", Repertoire::Japanese)];
    assert_eq!(found(&Search::new(&japanese), "…山田^花子".as_bytes()), [(0, 3)]);
    let unicode = [planted("山田^花子", Repertoire::Utf8)];
    assert_eq!(found(&Search::new(&unicode), b"\x1b$B;3ED\x1b(B^\x1b$B2V;R\x1b(B"), [(0, 0)]);
}

#[test]
fn a_value_within_another_is_found_too() {
    assert_eq!(found(&search(&["ST304507", "RPST304507", "RPST30"]), b"..RPST304507"), [(0, 4), (1, 2), (2, 2)]);
}

#[test]
fn digits_count_only_when_they_stand_alone() {
    let search = search(&["19930922"]);
    for leak in ["19930922", "DOB19930922T", ".19930922.", "19930922 ", "119930922,19930922"] {
        assert_eq!(found(&search, leak.as_bytes()).len(), 1, "{leak}");
    }
    for chance in ["2.25.8199309221", "119930922", "199309220"] {
        assert_eq!(found(&search, chance.as_bytes()), [], "{chance}");
    }
}

#[test]
fn nothing_is_lost_between_two_chunks() {
    let search = search(&["Featherstonehaugh", "19930922"]);
    for shift in 0..40 {
        let mut bytes = vec![b'.'; CHUNK_BYTES - 20 + shift];
        bytes.extend_from_slice(b"Featherstonehaugh.");
        assert_eq!(found(&search, &bytes), [(0, bytes.len() as u64 - 18)], "{shift}");
        let mut bytes = vec![b'.'; CHUNK_BYTES - 20 + shift];
        bytes.extend_from_slice(b"19930922");
        assert_eq!(found(&search, &bytes), [(1, bytes.len() as u64 - 8)], "{shift}");
        bytes.push(b'0');
        assert_eq!(found(&search, &bytes), [], "{shift}");
        *bytes.last_mut().unwrap() = b'.';
        bytes[CHUNK_BYTES - 20 + shift - 1] = b'7';
        assert_eq!(found(&search, &bytes), [], "{shift}");
    }
    assert_eq!(search.in_stream(Drip(b"..19930922")).unwrap(), BTreeMap::from([(1, 2)]));
}

#[test]
fn what_is_too_short_is_not_looked_for() {
    let search = search(&["Li", "Ng^Mei Ling"]);
    assert_eq!(search.len(), 1);
    assert_eq!(found(&search, b"Limit Ng^Mei Ling"), [(1, 6)]);
}

#[test]
fn names_of_files_and_folders_are_searched_and_no_hit_shows_a_value() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("Abernathy^Jo");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("1"), "harmless").unwrap();
    fs::write(directory.path().join("2"), "so is Dunwoody").unwrap();
    let search = search(&["Abernathy^Jo", "Dunwoody", "Hollingsworth"]);
    let hits = search.hits_in(directory.path()).unwrap();
    assert_eq!(
        hits,
        [
            Hit { file: directory.path().join("2"), planted: 1, offset: Some(6) },
            Hit { file: below, planted: 0, offset: None },
        ]
    );
    assert_eq!(search.not_found_in(directory.path()).unwrap(), [2]);
    assert!(!format!("{search:?}").contains("Dunwoody"));
    assert_eq!(search.hits_in(&directory.path().join("3")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn every_planted_value_is_found_in_a_set_and_none_in_another() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mix = Mix::usual(30).weight(Kind::V830Still, 0).weight(Kind::VolusonCine, 0);
    let key = Generator::new(21).write_set(first.path(), mix).unwrap();
    let own = [Class::PatientId, Class::Order, Class::Uid];
    let search = Search::new(&key.planted);
    assert_eq!(search.not_found_in(first.path()).unwrap(), [0_usize; 0]);
    // Another hospital's set: numbers and UIDs are different throughout.
    Generator::new(22).write_set(second.path(), Mix::only(Kind::Ct, 10)).unwrap();
    fs::remove_file(second.path().join(crate::generator::KEY_NAME)).unwrap();
    assert_eq!(Search::new(key.planted_of(&own)).hits_in(second.path()).unwrap(), []);
}
