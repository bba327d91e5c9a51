//! Suggested templates: they cover what the scanner simulator burns in, for the next patient too, and name nobody.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{NATIVE, grey, luma, part10, policy, redacted};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{Element, Limits, read_part10};
use gift_e2e::generator::{Fixed, Generated, Generator, Kind};
use gift_redact::{RedactError, Templates};
use gift_template::{
    draft,
    suggest::{Suggestion, Wanted, suggest},
};
use tempfile::TempDir;

/// Objects of a kind, each of another patient.
fn patients(kind: Kind, seed: u64, count: usize) -> Vec<Generated> {
    let mut generator = Generator::with(seed, Fixed { frames: Some(12), ..Fixed::default() });
    let mut found: Vec<Generated> = Vec::new();
    while found.len() < count {
        let next = generator.one(kind);
        if found.iter().all(|f| f.patient != next.patient) {
            found.push(next);
        }
    }
    found
}

fn files(directory: &TempDir, objects: &[&[u8]]) -> Vec<PathBuf> {
    let path = |n: usize| directory.path().join(format!("{n}.dcm"));
    objects.iter().enumerate().for_each(|(n, bytes)| std::fs::write(path(n), bytes).unwrap());
    (0..objects.len()).map(path).collect()
}

fn suggested(objects: &[&[u8]], wanted: Wanted) -> anyhow::Result<Suggestion> {
    let directory = tempfile::tempdir().unwrap();
    suggest(&Wanted { files: files(&directory, objects), ..wanted }, &policy())
}

#[test]
fn a_template_of_one_patients_cine_leaves_nothing_of_the_next_ones_banner() {
    for (kind, seed) in [(Kind::VolusonCine, 1), (Kind::VolusonCine, 7), (Kind::EpiqCine, 3)] {
        let patients = patients(kind, seed, 4);
        let suggestion = suggested(&[&patients[0].bytes], Wanted::default()).unwrap();
        let text = draft::text(std::slice::from_ref(&suggestion.draft));
        let parsed = Templates::parse([("s", &text)]).unwrap();
        assert!(parsed.iter().all(|t| t.verified().is_none() && t.conditions().sop_classes.is_some()));
        assert_eq!(Templates::lint([("s", &text)]), [], "{text}");
        let regions = &suggestion.draft.regions;
        let burnt = patients[0].burnt.iter().filter(|b| b.identifying);
        for [x, y, w, h] in burnt.map(|b| b.rect.map(i32::from)) {
            let covered =
                |u, v| regions.iter().any(|[a, b, c, d]| (*a..a + c).contains(&u) && (*b..b + d).contains(&v));
            // Where no dot is set, the rectangle may be wider than the letters.
            assert!((y..y + h).all(|v| (x..x + w).all(|u| covered(u, v))), "{regions:?} {:?}", [x, y, w, h]);
        }
        let verified = draft::as_verified(&text).unwrap();
        for next in &patients {
            let before = luma(&next.bytes, 1);
            let out = redacted(&next.bytes, &verified).unwrap();
            let columns = usize::from(parsed.iter().next().unwrap().conditions().columns);
            for frame in [1, 12] {
                let after = luma(&out, frame);
                for burnt in next.burnt.iter().filter(|b| b.identifying) {
                    let [x, y, w, h] = burnt.rect.map(usize::from);
                    let worst = (y..y + h).flat_map(|v| (x..x + w).map(move |u| (u, v)));
                    assert!(worst.clone().any(|(u, v)| before[v * columns + u] > 100), "nothing was burnt in");
                    assert!(worst.clone().all(|(u, v)| after[v * columns + u] <= 1), "{kind:?} frame {frame}");
                }
                // The picture is still there.
                assert!(after.iter().filter(|v| **v > 20).count() * 5 > after.len());
            }
        }
    }
}

#[test]
fn cines_of_several_patients_give_one_template_and_other_formats_are_refused() {
    let two = patients(Kind::VolusonCine, 5, 2);
    let suggestion = suggested(&[&two[0].bytes, &two[1].bytes], Wanted::default()).unwrap();
    assert!(suggestion.draft.source.contains("24 frames of 2 objects"), "{}", suggestion.draft.source);
    let other = patients(Kind::EpiqCine, 5, 1);
    let error = suggested(&[&two[0].bytes, &other[0].bytes], Wanted::default()).unwrap_err();
    assert!(format!("{error:#}").contains("of another format"), "{error:#}");
    // One still tells nothing.
    let still = patients(Kind::VolusonStill, 5, 1);
    assert!(format!("{:#}", suggested(&[&still[0].bytes], Wanted::default()).unwrap_err()).contains("frames"));
}

#[test]
fn a_patients_name_in_make_or_model_gets_into_no_template() {
    let cine = patients(Kind::VolusonCine, 2, 1).remove(0);
    let (_, parsed) = read_part10(&cine.bytes, &Limits::default()).unwrap();
    let name = parsed.data_set.str(tags::PATIENT_NAME).unwrap().replace('^', " ").trim().to_owned();
    for tag in [tags::MANUFACTURER, tags::MANUFACTURER_MODEL_NAME] {
        let mut ds = parsed.data_set.clone();
        ds.insert(Element::new(tag, VR::LO, name.as_str()));
        let bytes = {
            let (meta, again) = read_part10(&cine.bytes, &Limits::default()).unwrap();
            let meta = gift_deidentify::dataset::OutputMeta {
                transfer_syntax_uid: meta.transfer_syntax_uid,
                sop_class_uid: ds.str(tags::SOP_CLASS_UID).unwrap(),
                sop_instance_uid: "2.25.1".to_owned(),
            };
            let (mut out, none) = (Vec::new(), Vec::new());
            let sources = gift_deidentify::dataset::Sources { input: &again.body, scratch: &none };
            gift_deidentify::dataset::write(&ds, &meta, sources, &mut out).unwrap();
            out
        };
        let error = format!("{:#}", suggested(&[&bytes], Wanted::default()).unwrap_err());
        assert!(error.contains("vocabulary.toml") && !error.contains(&name), "{error}");
        // Not even when somebody vouches for it.
        let known = Wanted { known: vec![name.clone()], ..Wanted::default() };
        let error = format!("{:#}", suggested(&[&bytes], known).unwrap_err());
        assert!(error.contains("an identifier of the object") && !error.contains(&name), "{error}");
    }
    // A version that nobody knows is left out, and said to be.
    let suggestion = suggested(&[&cine.bytes], Wanted::default()).unwrap();
    assert_eq!(suggestion.draft.conditions.software_versions, None);
    assert!(suggestion.remarks.iter().any(|r| r.contains("Software Versions")));
    let known = Wanted { known: vec!["20.0.6.501".to_owned()], ..Wanted::default() };
    let suggestion = suggested(&[&cine.bytes], known).unwrap();
    assert_eq!(suggestion.draft.conditions.software_versions, Some(vec!["20.0.6.501".to_owned()]));
}

/// Noise in the middle, letters above and below it, a ruler on the right, `shift` px lower.
fn with_ruler(shift: usize, frames: u32) -> Vec<u8> {
    let (columns, rows) = (320, 240);
    let mut random = 1_u64;
    let drawn: Vec<Vec<u8>> = (0..frames)
        .map(|_| {
            let mut pixels = vec![0; columns * rows];
            for y in 60..220 {
                for x in 60..250 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    pixels[y * columns + x] = (random >> 33) as u8 % 200;
                }
            }
            let mut fill = |x0: usize, y0: usize, w: usize, h: usize| {
                (y0..y0 + h).for_each(|y| pixels[y * columns + x0..][..w].fill(230));
            };
            (0..9).for_each(|n| fill(20 + n * 9, 10, 3, 12));
            (0..9).for_each(|n| fill(20 + n * 9, 226, 3, 10));
            (0..9).for_each(|n| fill(280, 64 + shift + n * 18, 8, 2));
            pixels
        })
        .collect();
    part10(&grey("GE Healthcare", "V830", (320, 240), &drawn), NATIVE, &[], &Vec::new())
}

#[test]
fn a_ruler_is_left_and_becomes_an_anchor() {
    let object = with_ruler(0, 8);
    let suggestion = suggested(&[&object], Wanted::default()).unwrap();
    let text = draft::text(std::slice::from_ref(&suggestion.draft));
    assert_eq!(suggestion.draft.regions.len(), 2, "{text}");
    let [x, y, w, h] = suggestion.draft.regions[0];
    assert!(x <= 16 && y <= 6 && x + w >= 105 && y + h >= 26 && y + h < 40, "{text}");
    assert!(
        text.contains("kind = \"patch\"") && suggestion.remarks.iter().any(|r| r.contains("left as it is")),
        "{text}"
    );
    let verified = draft::as_verified(&text).unwrap();
    let out = luma(&redacted(&object, &verified).unwrap(), 1);
    assert!((10..22).all(|y| (20..104).all(|x| out[y * 320 + x] == 0)));
    assert_eq!(out[64 * 320 + 283], 230, "the ruler");
    // An update that moves the layout is noticed.
    assert!(matches!(redacted(&with_ruler(9, 8), &verified), Err(RedactError::Anchor { .. })));
}

#[test]
fn what_the_operator_names_is_left_and_looked_for() {
    let object = with_ruler(0, 8);
    let wanted = Wanted { keep: vec![[16, 222, 92, 18]], ..Wanted::default() };
    let suggestion = suggested(&[&object], wanted).unwrap();
    let text = draft::text(std::slice::from_ref(&suggestion.draft));
    assert_eq!((suggestion.draft.regions.len(), text.matches("\"patch\"").count()), (1, 2), "{text}");
    let out = luma(&redacted(&object, &draft::as_verified(&text).unwrap()).unwrap(), 1);
    assert_eq!((out[228 * 320 + 21], out[12 * 320 + 21]), (230, 0));
}

#[test]
fn what_does_not_move_gives_no_template() {
    let frames = vec![vec![7; 320 * 240]; 8];
    let object = part10(&grey("GE Healthcare", "V830", (320, 240), &frames), NATIVE, &[], &Vec::new());
    let error = format!("{:#}", suggested(&[&object], Wanted::default()).unwrap_err());
    assert!(error.contains("moves"), "{error}");
}
