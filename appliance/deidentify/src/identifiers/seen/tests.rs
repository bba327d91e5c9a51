//! What is taken for an identifier of the object among words that OCR may have read wrong, and what is not.

use dicom_core::{Tag, VR};

use super::*;
use crate::dataset::{DataSet, Element};

fn object(name: &str) -> Identifiers {
    let text = |group, number, vr, value: &str| Element::new(Tag(group, number), vr, value);
    let ds: DataSet = [
        text(0x0008, 0x0005, VR::CS, "ISO_IR 192"),
        text(0x0008, 0x0020, VR::DA, "20240314"),
        text(0x0008, 0x0050, VR::SH, "ACC778123"),
        text(0x0010, 0x0010, VR::PN, name),
        text(0x0010, 0x0020, VR::LO, "9434765919"),
        text(0x0010, 0x0030, VR::DA, "19870314"),
        text(0x0020, 0x0010, VR::SH, "773341"),
    ]
    .into_iter()
    .collect();
    Identifiers::collect(&ds)
}

fn seen(name: &str, text: &str) -> Option<LeakKind> {
    seen_at(name, text, 90)
}

fn seen_at(name: &str, text: &str, confidence: u8) -> Option<LeakKind> {
    let words: Vec<SeenWord<'_>> = text.split_whitespace().map(|text| SeenWord { text, confidence }).collect();
    object(name).seen_in(&words)
}

#[test]
fn a_name_is_seen_as_it_is_and_misread() {
    for text in [
        "MI 1.2 QUILLFEATHER 22Hz",
        "QU1LLFEATHER",
        "QUIIIFEATHER",
        "QUlLLFEATHFR",
        "JANE.QUILLFEATHER,F",
        "xxQUILLFEATHERyy",
        "QUILL FEATHER",
    ] {
        assert_eq!(seen("Quillfeather^Jane", text), Some(LeakKind::Name), "{text}");
    }
    // rn for m, vv for w, an accent that the reader does not know, and the spelling without it.
    assert_eq!(seen("Emmerich^Ada", "ERNMERICH"), Some(LeakKind::Name));
    assert_eq!(seen("Dunwoody^Ada", "DUNVVOODY"), Some(LeakKind::Name));
    for text in ["MULLER", "MUELLER"] {
        assert_eq!(seen("Müller^Ai", text), Some(LeakKind::Name), "{text}");
    }
}

#[test]
fn short_and_common_names_count_only_together() {
    for text in ["LI", "LI 22 Hz", "MI LI", "AI LIVE"] {
        assert_eq!(seen("Li^Ai", text), None, "{text}");
    }
    assert_eq!(seen("Li^Ai", "MI LI AI 22"), Some(LeakKind::Name));
    assert_eq!(seen("Brown^May", "BROWN"), None);
    assert_eq!(seen("Brown^May", "MAY BROWN"), Some(LeakKind::Name));
}

#[test]
fn what_a_scanner_writes_is_no_name() {
    let screen =
        "MI 1.2 TIs 0.3 22 Hz 12.0cm Fetal Heart Gain 4 Harm High DR 72 FPS 31 Angle Depth Voluson BPD 4.1cm GA 22w3d";
    // Names that are near or inside words of the screen.
    for name in ["Depta^Ai", "Heard^Jo", "Gai^An", "Angel^Bo", "Hearty^Li", "Lent^Xu"] {
        assert_eq!(seen(name, screen), None, "{name}");
    }
    // A short name that a word only resembles needs a sure reading.
    assert_eq!(seen_at("Okafor^Ai", "OKAF0H", 20), None);
    assert_eq!(seen_at("Okafor^Ai", "OKAF0H", 90), Some(LeakKind::Name));
}

#[test]
fn numbers_are_seen_in_groups_and_with_few_characters_wrong() {
    for text in
        ["9434765919", "943 476 5919", "943 4765 919", "94347659l9", "9434765O19", "943476599", "ID:9434765919x"]
    {
        assert_eq!(seen("Li^Ai", text), Some(LeakKind::Number), "{text}");
    }
    assert_eq!(seen("Li^Ai", "ACC77B123"), Some(LeakKind::Number));
    // Of ten, two; and a zero with a stroke looks like 6, 8 and @.
    for text in ["9434225919", "94347659", "ACC77@123", "ACC778l28"] {
        assert_eq!(seen("Li^Ai", text), Some(LeakKind::Number), "{text}");
    }
    // Six digits must be right, and a number by themselves.
    assert_eq!(seen("Li^Ai", "773341"), Some(LeakKind::Number));
    for text in ["773342", "1773341", "7733411", "9434765", "94347 12 3919"] {
        assert_eq!(seen("Li^Ai", text), None, "{text}");
    }
}

#[test]
fn a_birth_date_is_seen_in_the_forms_people_write() {
    for text in [
        "14/03/1987",
        "14.03.1987",
        "1987-03-14",
        "03/14/1987",
        "14 March 1987",
        "14-MAR-1987",
        "14 Mar 1987",
        "14/63/1987",
        "1447371987",
        "14/0371987",
        "14.03.87",
        "DOB 140387",
    ] {
        assert_eq!(seen("Li^Ai", text), Some(LeakKind::BirthDate), "{text}");
    }
    // The day of the examination, and one that is another in two places.
    for text in ["14/03/2024", "14.03.24", "15/04/1987", "14/03/1978", "14 03"] {
        assert_eq!(seen("Li^Ai", text), None, "{text}");
    }
}

#[test]
fn the_day_of_the_examination_is_not_taken_for_a_birthday_that_resembles_it() {
    let date = |number, value: &str| Element::new(Tag(number, if number == 8 { 0x20 } else { 0x30 }), VR::DA, value);
    let ds: DataSet = [date(8, "20240512"), date(0x10, "20040512")].into_iter().collect();
    let words = |text: &'static str| [SeenWord { text, confidence: 90 }];
    assert_eq!(Identifiers::collect(&ds).seen_in(&words("12/05/2024")), None);
    assert_eq!(Identifiers::collect(&ds).seen_in(&words("12/05/2004")), Some(LeakKind::BirthDate));
}
