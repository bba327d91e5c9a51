//! Parsing, the linter, matching, and what is shipped in `config/templates`.

use super::*;
use crate::{
    Photometric,
    testing::{Image, text},
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::DataSet;

const NATIVE_LE: &str = "1.2.840.10008.1.2.1";

fn file(body: &str) -> String {
    format!("version = 1\n\n{body}")
}

fn template(id: &str, conditions: &str, more: &str) -> String {
    format!(
        "[[template]]\nid = \"{id}\"\nsource = \"test\"\nregions = [[0, 0, 10, 5]]\n{more}\n[template.match]\nmodel = \"Scan 1\"\nrows = 20\ncolumns = 30\n{conditions}\n"
    )
}

fn parse(bodies: &[&str]) -> Result<Templates, TemplateError> {
    Templates::parse(bodies.iter().enumerate().map(|(i, b)| (format!("{i}.toml"), file(b))))
}

fn found<'t>(templates: &'t Templates, ds: &DataSet) -> Match<'t> {
    let facts = Facts::of(ds, NATIVE_LE).unwrap();
    templates.find(&facts, &PixelLayout::of(ds).unwrap())
}

fn id_of(found: Match<'_>) -> Option<&str> {
    match found {
        Match::One(t) => Some(t.id()),
        _ => None,
    }
}

#[test]
fn errors_name_the_file_and_the_line() {
    let good = template("a", "", "");
    for (bad, line, what) in [
        (good.replace("[0, 0, 10, 5]", "[0, 0, 31, 5]"), 6, "region reaches outside the image"),
        (good.replace("[0, 0, 10, 5]", "[0, 0, 0, 5]"), 6, "region is empty"),
        (good.replace("[[0, 0, 10, 5]]", "[]"), 4, "no region"),
        (good.replace("id = \"a\"", "id = \"A b\""), 4, "an id is"),
        (good.replace("source = \"test\"", "source = \" \""), 4, "no source"),
        (good.replace("rows = 20", "rows = 20\nrowz = 20"), 11, "unknown field"),
        (good.replace("model = \"Scan 1\"", "model = \"Scan 1 \""), 4, "never matches"),
        (good.replace("model = \"Scan 1\"", "samples = 3"), 4, "neither manufacturer nor model"),
        (template("a", "sop-classes = []", ""), 4, "never matches"),
        (template("a", "samples = 1\nphotometric-interpretations = [\"RGB\"]", ""), 4, "contradict"),
        (template("a", "photometric-interpretations = [\"ARGB\"]", ""), 4, "unknown photometric"),
        (template("a", "[template.verified]\nby = \"x\"\non = \"2026-01-01\"\nevidence = \"y\"", ""), 4, "must state"),
    ] {
        let error = parse(&[&good.replace("\"a\"", "\"z\"").replace("Scan 1", "Other"), &bad]).unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("1.toml", line), "{error}\n{bad}");
        assert!(error.what.contains(what), "{error}");
    }
    assert!(parse(&[""]).is_err());
    assert!(Templates::parse([("a", "version = 2\n[[template]]\n")]).is_err());
}

#[test]
fn what_could_tie_is_refused_when_read() {
    let a = template("a", "samples = 3", "");
    assert!(parse(&[&a, &a]).unwrap_err().what.contains("twice"));
    let overlap = template("b", "photometric-interpretations = [\"RGB\"]", "");
    assert!(parse(&[&a, &overlap]).unwrap_err().what.contains("same images as a"));
    let native = template("c", "transfer-syntaxes = [\"native\"]", "");
    let uid = template("d", "transfer-syntaxes = [\"1.2.840.10008.1.2\"]", "");
    assert!(parse(&[&native, &uid]).is_err());
    let apart = template("d", "transfer-syntaxes = [\"1.2.840.10008.1.2.4.50\"]", "");
    assert_eq!(parse(&[&native, &apart]).unwrap().len(), 2);
}

#[test]
fn the_most_specific_match_wins_and_everything_stated_must_hold() {
    let templates = parse(&[
        &template("loose", "", ""),
        &template("middle", "photometric-interpretations = [\"RGB\"]", ""),
        &template("strict", "photometric-interpretations = [\"RGB\"]\nsoftware-versions = [\"1.0\", \"A\\\\B\"]", ""),
    ])
    .unwrap();
    let ds = Image::rgb(20, 30).data_set();
    assert_eq!(id_of(found(&templates, &ds)), Some("middle"));
    let mut versioned = ds.clone();
    versioned.insert(text(tags::SOFTWARE_VERSIONS, "1.0 "));
    assert_eq!(id_of(found(&templates, &versioned)), Some("strict"));
    versioned.insert(text(tags::SOFTWARE_VERSIONS, "A\\B"));
    assert_eq!(id_of(found(&templates, &versioned)), Some("strict"));
    versioned.insert(text(tags::SOFTWARE_VERSIONS, "1.0.1"));
    assert_eq!(id_of(found(&templates, &versioned)), Some("middle"));
    for model in ["Scan 1\\Scan 1", "scan 1", "Scan 10", "Scan", ""] {
        let mut other = ds.clone();
        other.insert(text(tags::MANUFACTURER_MODEL_NAME, model));
        assert_eq!(found(&templates, &other), Match::None, "{model}");
    }
    assert_eq!(found(&templates, &Image::rgb(20, 31).data_set()), Match::None);
    assert_eq!(found(&templates, &Image::rgb(21, 30).data_set()), Match::None);
}

#[test]
fn a_tie_that_only_the_object_shows_is_a_tie() {
    // Neither is refused when read alone; `parse` refuses the pair, so build it by hand.
    let mut templates = parse(&[&template("a", "samples = 3", "")]).unwrap();
    templates.templates.extend(parse(&[&template("b", "manufacturer = \"Acme\"", "")]).unwrap().templates);
    templates.templates.extend(parse(&[&template("c", "", "")]).unwrap().templates);
    let ds = Image::rgb(20, 30).data_set();
    assert_eq!(found(&templates, &ds), Match::Tie);
    let clear = template("d", "samples = 3\nmanufacturer = \"Acme\"", "");
    templates.templates.extend(parse(&[&clear]).unwrap().templates);
    assert_eq!(id_of(found(&templates, &ds)), Some("d"));
}

/// Every template file under `config/templates/<folder>`.
fn shipped(folder: &str) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates").join(folder);
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    std::fs::read_dir(folder).unwrap().map(|e| read(e.unwrap().path())).collect()
}

#[test]
fn demo_templates_are_verified_and_match_their_scanners() {
    let templates = Templates::parse(shipped("demo")).unwrap();
    assert!(templates.iter().all(|t| t.verified().is_some_and(|v| v.by == "demo")));
    let mut image = Image::rgb(720, 960);
    (image.manufacturer, image.model) = ("GE Healthcare", "Voluson E10");
    let id = |image: &Image, ts| {
        let ds = image.data_set();
        let facts = Facts::of(&ds, ts).unwrap();
        id_of(templates.find(&facts, &PixelLayout::of(&ds).unwrap())).map(str::to_owned)
    };
    assert_eq!(id(&image, NATIVE_LE).as_deref(), Some("demo-ge-voluson-e10-960x720-rgb"));
    assert_eq!(id(&image, "1.2.840.10008.1.2.5"), None);
    let mut image = Image::of(Photometric::YbrFull422, 600, 800, 1, 8, 8);
    (image.manufacturer, image.model) = ("Philips Medical Systems", "EPIQ 7C");
    assert_eq!(id(&image, "1.2.840.10008.1.2.4.50").as_deref(), Some("demo-philips-epiq-7c-800x600-jpeg"));
    assert_eq!(id(&image, NATIVE_LE), None);
    let mut image = Image::of(Photometric::Monochrome2, 852, 1136, 1, 8, 8);
    (image.manufacturer, image.model) = ("GE Healthcare Austria GmbH & Co OG", "V830");
    assert_eq!(id(&image, "1.2.840.10008.1.2").as_deref(), Some("demo-ge-v830-1136x852"));
}

#[test]
fn the_library_has_its_sources_and_none_of_it_releases_an_image() {
    let mut files = shipped("demo");
    files.extend(shipped("library"));
    Templates::parse(files).unwrap();
    let templates = Templates::parse(shipped("library")).unwrap();
    let library: Vec<_> = templates.iter().collect();
    let c = |t: &&Template| t.conditions().clone();
    let formats = library.iter().map(|t| (c(t).manufacturer, c(t).model, c(t).rows, c(t).columns));
    let formats: std::collections::HashSet<_> = formats.collect();
    assert!(formats.len() >= 200, "{}", formats.len());
    for template in library {
        assert!(template.verified().is_none() && template.source().len() > 3 && template.conditions().model.is_some());
        let stated = template.conditions();
        let mut image = Image::rgb(1, 1);
        let photometric = stated.photometric_interpretations.as_ref().map_or("RGB", |p| p[0].as_str());
        image.photometric = Photometric::from_term(photometric).unwrap();
        (image.rows, image.columns) = (stated.rows, stated.columns);
        let mut ds = image.data_set();
        ds.insert(text(tags::MANUFACTURER, stated.manufacturer.as_deref().unwrap_or("Any")));
        ds.insert(text(tags::MANUFACTURER_MODEL_NAME, stated.model.as_deref().unwrap()));
        ds.insert(text(
            tags::SOP_CLASS_UID,
            stated.sop_classes.as_ref().map_or("1.2.840.10008.5.1.4.1.1.6.2", |s| &s[0]),
        ));
        let decision = crate::decide(&ds, NATIVE_LE, &templates, &crate::NeverBurntIn::default());
        let crate::Decision::Hold(crate::Hold::UnverifiedTemplate { template: id }) = decision else {
            panic!("{} does not hold: {decision:?}", template.id())
        };
        assert_eq!(id, template.id());
    }
}

#[test]
fn what_is_shipped_passes_the_linter() {
    let found = Templates::lint(["library", "demo"].into_iter().flat_map(shipped));
    assert!(found.is_empty(), "{}", found.iter().map(|e| format!("{e}\n")).collect::<String>());
}

#[test]
fn the_examples_of_the_language_are_in_it() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    let [base, regions, keep, narrow, anchors] = blocks[..] else { panic!("{} examples", blocks.len()) };
    let whole = base.replace("[template.match]\n", &format!("{keep}{narrow}{anchors}[template.match]\n{regions}"));
    let templates = Templates::parse([("README.md", whole)]).unwrap();
    let [template] = &templates.templates[..] else { panic!() };
    assert_eq!((template.keep().len(), template.anchors(), template.regions().len()), (3, 4, 2));
    assert!(template.keeps_inside_ultrasound_regions() && template.verified().is_some());
    assert_eq!(template.conditions().ultrasound_regions.as_ref().unwrap().len(), 2);
    assert_eq!(Templates::lint([("README.md", base)]), []);
}
