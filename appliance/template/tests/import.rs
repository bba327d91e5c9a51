//! Importers: what maps selects and blanks as its peer does; what does not is named by line; rubbish is an error with a line.
#![allow(clippy::unwrap_used)]

mod common;

use std::{path::Path, process::Command};

use common::{NATIVE, config, grey, luma, part10, policy, redacted};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Element};
use gift_redact::Templates;
use gift_template::{
    draft,
    import::{Format, Imported, Options, import},
};

const SAMPLES: [(Format, &str, &str); 4] = [
    (Format::Gcfilter, "two-lines.gcfilter", include_str!("samples/two-lines.gcfilter")),
    (Format::Ctp, "small.script", include_str!("samples/small.script")),
    (Format::Deid, "small.deid", include_str!("samples/small.deid")),
    (Format::Dre, "small.py", include_str!("samples/small.py")),
];
const SIZE: (usize, usize) = (64, 48);

fn sample(format: Format, options: &Options) -> Imported {
    let (_, name, text) = SAMPLES.iter().find(|(f, ..)| *f == format).unwrap();
    import(format, name, text, &policy(), options).unwrap()
}

/// The templates, verified, with what the peer leaves open stated as the test's images have it.
fn in_force(found: &Imported) -> String {
    let text = draft::text(&found.drafts);
    let parsed = Templates::parse([("imported", &text)]).unwrap();
    assert!(parsed.iter().all(|t| t.verified().is_none() && t.source().contains("line ")));
    assert_eq!(Templates::lint([("imported", &text)]), [], "{text}");
    let mut table: toml::Table = draft::as_verified(&text).unwrap().parse().unwrap();
    for template in table["template"].as_array_mut().unwrap() {
        let conditions = template["match"].as_table_mut().unwrap();
        for (key, value) in [
            ("manufacturer", "ATL".into()),
            ("model", "SEQUOIA".into()),
            ("sop-classes", vec!["1.2.840.10008.5.1.4.1.1.6.1"].into()),
            ("photometric-interpretations", vec!["MONOCHROME2"].into()),
            ("transfer-syntaxes", vec!["native"].into()),
        ] {
            conditions.entry(key).or_insert(value);
        }
    }
    table.to_string()
}

/// Pixels of an image that are blanked; none when no template matches.
fn blanked(templates: &str, object: &DataSet) -> Option<Vec<bool>> {
    let set = Templates::parse([("imported", templates)]).unwrap();
    if set.matching(object, NATIVE).unwrap() == gift_redact::Match::None {
        return None;
    }
    let bytes = part10(object, NATIVE, &[], &Vec::new());
    let (before, after) = (luma(&bytes, 1), luma(&redacted(&bytes, templates).unwrap(), 1));
    assert!(before.iter().zip(&after).all(|(b, a)| *a == 0 || a == b));
    Some(after.into_iter().map(|v| v == 0).collect())
}

fn image(make: &str, model: &str, (columns, rows): (usize, usize)) -> DataSet {
    let pixels = (0..columns * rows).map(|n| 1 + (n * 37 % 255) as u8).collect();
    grey(make, model, (columns as u16, rows as u16), &[pixels])
}

/// The pixels of rectangles x, y, width, height.
fn area(rects: &[[usize; 4]], (columns, rows): (usize, usize)) -> Vec<bool> {
    let inside =
        |x: usize, y: usize| rects.iter().any(|&[a, b, w, h]| (a..a + w).contains(&x) && (b..b + h).contains(&y));
    (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))).map(|(x, y)| inside(x, y)).collect()
}

fn lines(found: &Imported) -> Vec<usize> {
    found.problems.iter().map(|p| p.line).collect()
}

#[test]
fn a_gift_cloud_filter_maps_whole_and_outwards() {
    let found = sample(Format::Gcfilter, &Options::default());
    assert_eq!((found.drafts.len(), &found.problems[..]), (1, &[][..]));
    let templates = in_force(&found);
    let blank = blanked(&templates, &image("GE Healthcare", "V830", SIZE)).unwrap();
    assert!(blank == area(&[[4, 2, 31, 5], [4, 9, 21, 5]], SIZE));
    assert!(blanked(&templates, &image("GE Healthcare", "V830", (64, 47))).is_none());
    assert!(blanked(&templates, &image("GE HEALTHCARE", "V830", SIZE)).is_none(), "letter for letter, as there");
}

#[test]
fn a_pixel_script_maps_but_for_what_templates_cannot_say() {
    let found = sample(Format::Ctp, &Options::default());
    let problem = |line: usize, what: &str| found.problems.iter().any(|p| p.line == line && p.what.contains(what));
    assert!(problem(24, "ImageType is no condition"), "{:?}", found.problems);
    assert!(problem(29, "leaves Columns open") && problem(33, "\"not\""), "{:?}", found.problems);
    assert_eq!(lines(&found), [24, 29, 33]);
    assert!(found.notes.iter().any(|n| n.line == 14 && n.what.contains("line 4 first")), "{:?}", found.notes);
    let templates = in_force(&found);
    let of = |make: &str, model: &str| blanked(&templates, &image(make, model, SIZE));
    assert!(of("GE Healthcare", "V830").unwrap() == area(&[[0, 0, 64, 6], [54, 44, 10, 4]], SIZE));
    for (make, model) in
        [("Philips Medical Systems", "EPIQ 7C"), ("PHILIPS ULTRASOUND", "EPIQ 7G"), ("Philips", "EPIQ 7")]
    {
        assert!(of(make, model).unwrap() == area(&[[0, 0, 64, 5]], SIZE), "{make} {model}");
    }
    assert!(of("ATL", "HDI 5000").unwrap() == area(&[[8, 0, 16, 3]], SIZE));
    for (make, model) in
        [("Philips", "Affiniti 70"), ("SIEMENS", "EPIQ 7C"), ("GE Healthcare", "V730"), ("SIEMENS", "S2000")]
    {
        assert!(of(make, model).is_none(), "{make} {model}");
    }
    // The size that the caller gives; in part, without what could not be said.
    let options = Options { sizes: vec![(64, 48), (80, 60)], partial: true };
    let found = sample(Format::Ctp, &options);
    assert_eq!(lines(&found), [24, 33], "{:?}", found.problems);
    let templates = in_force(&found);
    let of = |make: &str, model: &str| blanked(&templates, &image(make, model, SIZE));
    assert!(of("ATL", "S2000").unwrap() == area(&[[0, 0, 10, 10]], SIZE));
    assert!(found.drafts.iter().any(|d| d.source.contains("in part")));
    assert!(found.drafts.iter().any(|d| d.conditions.model.as_deref() == Some("iU22")));
}

#[test]
fn every_label_of_a_recipe_that_is_true_applies() {
    let found = sample(Format::Deid, &Options::default());
    assert_eq!(lines(&found), [5, 35, 43, 50], "{:?}", found.problems);
    let templates = in_force(&found);
    let of = |make: &str, model: &str| blanked(&templates, &image(make, model, SIZE));
    assert!(of("GE Healthcare", "V830").unwrap() == area(&[[0, 0, 64, 6], [10, 8, 20, 4]], SIZE));
    assert!(of("GE HEALTHCARE", "V830").unwrap() == area(&[[0, 0, 64, 6], [10, 8, 20, 4]], SIZE));
    assert!(of("GE Healthcare", "V730").unwrap() == area(&[[0, 0, 64, 6]], SIZE));
    assert!(of("GE Healthcare", "WS80A").is_none());
    // Inside the regions only: column X1 and row Y1 are in them.
    let mut object = image("ACUSON", "SEQUOIA", SIZE);
    let corner = |tag, v: u32| Element::new(tag, VR::UL, v.to_le_bytes());
    let us = |tag, v: u16| Element::new(tag, VR::US, v.to_le_bytes());
    let region: DataSet = [
        corner(tags::REGION_LOCATION_MIN_X0, 10),
        corner(tags::REGION_LOCATION_MIN_Y0, 8),
        corner(tags::REGION_LOCATION_MAX_X1, 49),
        corner(tags::REGION_LOCATION_MAX_Y1, 39),
        us(tags::REGION_SPATIAL_FORMAT, 1),
        us(tags::REGION_DATA_TYPE, 1),
    ]
    .into_iter()
    .collect();
    object.insert(Element::sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, vec![region]));
    let blank = blanked(&templates, &object).unwrap();
    assert!(
        blank[9 * 64 + 20] && !blank[10 * 64 + 20] && blank[20 * 64 + 9] && blank[45 * 64 + 60] && !blank[20 * 64 + 20]
    );
}

#[test]
fn a_catalogue_maps_with_its_variants_and_overlays() {
    let found = sample(Format::Dre, &Options::default());
    let whats: Vec<_> = found.problems.iter().map(|p| (p.line, p.what.as_str())).collect();
    assert!(
        matches!(whats[..], [(17, "not a variant(…)"), (27, nothing), (33, kind), (40, _)]
        if nothing.contains("blanks nothing") && kind.contains("ImageType")),
        "{whats:?}"
    );
    let templates = in_force(&found);
    let of = |make: &str, model: &str, size| blanked(&templates, &image(make, model, size));
    assert!(of("GE Healthcare", "V830", SIZE).unwrap() == area(&[[0, 0, 64, 6], [10, 8, 20, 4]], SIZE));
    assert!(of("Philips Healthcare", "EPIQ 7G", SIZE).unwrap() == area(&[[0, 0, 64, 5]], SIZE));
    assert!(of("Philips Healthcare", "EPIQ 7G", (64, 24)).unwrap() == area(&[[0, 0, 64, 5]], (64, 24)));
    assert!(of("ATL", "HDI 5000", SIZE).is_some_and(|b| b == area(&[[0, 0, 64, 4], [0, 40, 64, 8]], SIZE)));
    assert!(of("ATL", "SEQUOIA", SIZE).unwrap() == area(&[[0, 40, 64, 8]], SIZE));
    for (make, model) in [("SIEMENS", "S2000"), ("SIEMENS", "S3000"), ("Philips Healthcare", "EPIQ 5")] {
        assert!(of(make, model, SIZE).is_none(), "{make} {model}");
    }
}

#[test]
fn rubbish_is_an_error_with_a_line() {
    let policy = policy();
    for (format, text, line, what) in [
        (Format::Gcfilter, "", 1, "EOF"),
        (Format::Gcfilter, "{\n\"FileType\": 3}", 2, "expected a string"),
        (Format::Ctp, "only a comment", 1, "no rule"),
        (Format::Ctp, "a\n{ Rows.equals(\"4\")", 2, "without its }"),
        (Format::Deid, "\nLABEL x", 2, "FORMAT"),
        (Format::Deid, "FORMAT nifti", 1, "FORMAT"),
        (Format::Dre, "x = 1\ndevice(\"a\",\n  \"allow\", scrub=[(0, 0, 1", 3, "ends within"),
        (Format::Dre, "device('a", 1, "closing quote"),
        (Format::Dre, "device(\"a\", \"allow\", })", 1, "closes nothing"),
    ] {
        let error = import(format, "x", text, &policy, &Options::default()).unwrap_err();
        assert!(error.line == line && error.what.contains(what), "{format:?} {error}");
    }
    for (text, what) in [
        ("{ Rows.equals(4) } (0,0,1,1)", "quotes"),
        ("{ Rows } (0,0,1,1)", "expected"),
        ("{ Rows.equals(\"4\") * } (0,0,1,1)", "attribute"),
        ("{ Rows.equals(\"4\") } (0,0,1)", "four numbers"),
    ] {
        let found = import(Format::Ctp, "x", text, &policy, &Options::default()).unwrap();
        assert!(
            found.drafts.is_empty() && found.problems.iter().any(|p| p.what.contains(what)),
            "{:?}",
            found.problems
        );
    }
    let deep = format!("{{ {} }} (0,0,1,1)", "(".repeat(10_000));
    assert!(import(Format::Ctp, "x", &deep, &policy, &Options::default()).unwrap().drafts.is_empty());
    let deep = format!("device({}", "[".repeat(10_000));
    assert!(import(Format::Dre, "x", &deep, &policy, &Options::default()).is_err());
}

#[test]
fn no_change_of_a_sample_makes_it_panic_or_writes_what_a_box_refuses() {
    let policy = policy();
    let options = Options { sizes: vec![(64, 48)], partial: true };
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for (format, name, text) in SAMPLES {
        let letters: Vec<char> = text.chars().collect();
        for round in 0..400 {
            let mut changed = letters.clone();
            match round % 3 {
                0 => changed.truncate(next(letters.len())),
                1 => changed[next(letters.len())] = ['(', ')', '{', '}', '"', '9', '-', ',', '[', 'é', '\\'][next(11)],
                _ => drop(changed.drain({
                    let from = next(letters.len() - 8);
                    from..from + 1 + next(7)
                })),
            }
            let text: String = changed.into_iter().collect();
            match import(format, name, &text, &policy, &options) {
                Ok(found) if !found.drafts.is_empty() => {
                    drop(Templates::parse([("x", draft::text(&found.drafts))]).unwrap())
                }
                Ok(_) => {}
                Err(error) => assert!(error.line >= 1),
            }
        }
    }
}

#[test]
fn the_command_names_file_and_line_and_says_by_its_status_whether_all_mapped() {
    let directory = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let run = |format: &str, file: &str, out: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gift-template"));
        command.arg("--policy").arg(config()).args(["import", format]).arg(samples.join(file));
        let output = command.arg("-o").arg(directory.path().join(out)).args(more).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (whole, said) = run("gcfilter", "two-lines.gcfilter", "a", &[]);
    assert!(whole && said.contains("0 lines did not map"), "{said}");
    let (whole, said) = run("ctp", "small.script", "b", &[]);
    assert!(!whole && said.contains("small.script:24: ImageType") && said.contains("3 lines did not map"), "{said}");
    assert!(run("ctp", "small.script", "c", &["--partial"]).0);
    // Nothing is replaced.
    assert!(!run("gcfilter", "two-lines.gcfilter", "a", &[]).0);
    let written = directory.path().join("b/imported-small-script.toml");
    let status = Command::new(env!("CARGO_BIN_EXE_gift-template")).arg("lint").arg(&written).status().unwrap();
    assert!(status.success());
}
