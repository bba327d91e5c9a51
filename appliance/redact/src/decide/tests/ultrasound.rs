//! Ultrasound regions (0018,6011): as a condition of a template, and as what narrows what it keeps.

use super::*;
use crate::testing::{Image, us};
use dicom_core::{Tag, VR};
use gift_deidentify::dataset::Element;

const NATIVE_LE: &str = "1.2.840.10008.1.2.1";
const CORNERS: [Tag; 4] = [
    tags::REGION_LOCATION_MIN_X0,
    tags::REGION_LOCATION_MIN_Y0,
    tags::REGION_LOCATION_MAX_X1,
    tags::REGION_LOCATION_MAX_Y1,
];

fn region(location: [u32; 4], spatial_format: u16, data_type: u16) -> DataSet {
    let corners = CORNERS.iter().zip(location).map(|(tag, v)| Element::new(*tag, VR::UL, v.to_le_bytes().to_vec()));
    let kind = [us(tags::REGION_SPATIAL_FORMAT, &[spatial_format]), us(tags::REGION_DATA_TYPE, &[data_type])];
    corners.chain(kind).collect()
}

fn object(regions: Vec<DataSet>) -> DataSet {
    let mut ds = Image::rgb(20, 30).data_set();
    ds.insert(Element::sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, regions));
    ds
}

fn template(id: &str, what: &str, condition: &str) -> String {
    format!(
        "[[template]]\nid = \"{id}\"\nsource = \"t\"\n{what}\n[template.match]\nmanufacturer = \"Acme\"\n\
         model = \"Scan 1\"\nrows = 20\ncolumns = 30\nsop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\n\
         photometric-interpretations = [\"RGB\"]\ntransfer-syntaxes = [\"native\"]\n{condition}\n\
         [template.verified]\nby = \"t\"\non = \"2026-01-01\"\nevidence = \"e\"\n"
    )
}

fn parse(templates: &[String]) -> Result<Templates, crate::TemplateError> {
    Templates::parse([("t.toml", format!("version = 1\n{}", templates.concat()))])
}

fn run(ds: &DataSet, templates: &[String]) -> Result<(String, Vec<Rect>), &'static str> {
    match decide(ds, NATIVE_LE, &parse(templates).unwrap(), &NeverBurntIn::default()) {
        Decision::Redact(plan) => Ok((plan.template().unwrap().to_owned(), plan.regions().to_vec())),
        Decision::Hold(hold) => Err(hold.as_str()),
        Decision::Clear(_) => panic!("cleared"),
    }
}

const TWO: &str = "ultrasound-regions = [\
                   { location = [2, 6, 14, 19], spatial-format = 1, data-type = 1 }, \
                   { location = [16, 6, 29, 19], spatial-format = 3, data-type = 3 }]";

#[test]
fn a_template_holds_for_exactly_its_regions_in_any_order() {
    let (loose, strict) =
        (template("loose", "regions = [[0, 0, 30, 5]]", ""), template("strict", "regions = [[0, 0, 30, 3]]", TWO));
    let both = [loose, strict];
    let (a, b) = (region([2, 6, 14, 19], 1, 1), region([16, 6, 29, 19], 3, 3));
    let wins = |regions: Vec<DataSet>| run(&object(regions), &both).unwrap().0;
    assert_eq!(wins(vec![a.clone(), b.clone()]), "strict");
    assert_eq!(wins(vec![b.clone(), a.clone()]), "strict");
    for other in [
        vec![],
        vec![a.clone()],
        vec![a.clone(), a.clone()],
        vec![a.clone(), b.clone(), b.clone()],
        vec![a.clone(), region([16, 6, 29, 18], 3, 3)],
        vec![a.clone(), region([16, 6, 29, 19], 2, 3)],
        vec![a.clone(), region([16, 6, 29, 19], 3, 4)],
        vec![a.clone(), b.clone(), DataSet::new()],
    ] {
        assert_eq!(wins(other.clone()), "loose", "{other:?}");
    }
}

#[test]
fn what_could_tie_by_its_regions_is_refused_when_read() {
    let of = |id: &str, condition: &str| template(id, "regions = [[0, 0, 30, 5]]", condition);
    let turned = "ultrasound-regions = [\
                  { location = [16, 6, 29, 19], spatial-format = 3, data-type = 3 }, \
                  { location = [2, 6, 14, 19], spatial-format = 1, data-type = 1 }]";
    assert!(parse(&[of("a", TWO), of("b", turned)]).unwrap_err().what.contains("same images as a"));
    assert!(parse(&[of("a", TWO), of("b", "samples = 3")]).unwrap_err().what.contains("same images as a"));
    assert_eq!(parse(&[of("a", TWO), of("b", &turned.replace("19", "18"))]).unwrap().len(), 2);
    for wrong in
        ["[]", "[{ location = [2, 6, 31, 19], spatial-format = 1, data-type = 1 }]", "[{ location = [2, 6, 3, 19] }]"]
    {
        assert!(parse(&[of("a", &format!("ultrasound-regions = {wrong}"))]).is_err(), "{wrong}");
    }
}

#[test]
fn the_objects_regions_narrow_what_is_kept_and_never_widen_it() {
    let narrowed = [template("t", "regions = [[0, 0, 30, 5]]\nkeep-inside-ultrasound-regions = true", "")];
    // Rows 5 to 18 of columns 4 to 19 are left: X1 and Y1 are not.
    let (_, rects) = run(&object(vec![region([4, 0, 20, 19], 1, 1)]), &narrowed).unwrap();
    let mut kept = 0;
    for y in 0..20 {
        for x in 0..30 {
            let blank = rects.iter().any(|r| (r.x0..r.x1).contains(&x) && (r.y0..r.y1).contains(&y));
            assert_eq!(!blank, (4..20).contains(&x) && (5..19).contains(&y), "{x} {y}");
            kept += u32::from(!blank);
        }
    }
    assert_eq!(kept, 16 * 14);
    // A region that spans the frame, as many scanners write, changes nothing.
    let (_, rects) = run(&object(vec![region([0, 0, 30, 20], 1, 1)]), &narrowed).unwrap();
    assert_eq!(rects, [Rect { x0: 0, y0: 0, x1: 30, y1: 5 }]);
}

#[test]
fn without_regions_that_can_be_believed_nothing_is_released() {
    let narrowed = [template("t", "regions = [[0, 0, 30, 5]]\nkeep-inside-ultrasound-regions = true", "")];
    let good = region([4, 6, 20, 19], 1, 1);
    assert!(run(&object(vec![good.clone()]), &narrowed).is_ok());
    assert_eq!(run(&Image::rgb(20, 30).data_set(), &narrowed), Err("template-mismatch"));
    let mut bad: Vec<Vec<DataSet>> = vec![vec![]];
    for location in [[4, 6, 31, 19], [4, 6, 20, 21], [20, 6, 4, 19], [4, 19, 20, 6], [4, 6, 4, 19], [0, 0, u32::MAX, 9]]
    {
        bad.push(vec![good.clone(), region(location, 1, 1)]);
    }
    for tag in CORNERS.into_iter().chain([tags::REGION_SPATIAL_FORMAT, tags::REGION_DATA_TYPE]) {
        let mut item = good.clone();
        item.remove(tag);
        bad.push(vec![item.clone()]);
        item.insert(Element::new(tag, VR::UL, vec![0; 8]));
        bad.push(vec![item]);
    }
    for regions in bad {
        assert_eq!(run(&object(regions.clone()), &narrowed), Err("template-mismatch"), "{regions:?}");
    }
    let mut no_sequence = object(vec![]);
    no_sequence.insert(Element::new(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, VR::UN, vec![1, 2]));
    assert_eq!(run(&no_sequence, &narrowed), Err("template-mismatch"));
}

#[test]
fn the_objects_regions_are_no_rule_alone() {
    let error = parse(&[template("t", "keep-inside-ultrasound-regions = true", "")]).unwrap_err();
    assert!(error.what.contains("no rule alone") && error.line == 5, "{error}");
    // Nor is a shape that keeps everything.
    let everything = [template("t", "keep = [{ rectangle = [0, 0, 30, 20] }]", "")];
    assert_eq!(run(&Image::rgb(20, 30).data_set(), &everything), Err("template-mismatch"));
}

#[test]
fn a_kept_shape_is_what_is_left_in_every_format_the_mask_goes_to() {
    let keep =
        [template("t", "regions = [[8, 4, 3, 3]]\nkeep = [{ polygon = [[4, 2], [24, 2], [24, 18], [4, 18]] }]", "")];
    let image = Image::rgb(20, 30);
    let mut ds = image.data_set();
    let Decision::Redact(plan) = decide(&ds, NATIVE_LE, &parse(&keep).unwrap(), &NeverBurntIn::default()) else {
        panic!()
    };
    let mut scratch = Vec::new();
    let clearance = crate::apply(&plan, &mut ds, &Vec::new(), &mut scratch).unwrap();
    assert_eq!(clearance.regions(), plan.regions());
    for (i, (before, after)) in image.pixels.chunks(3).zip(scratch.chunks(3)).enumerate() {
        let (x, y) = (i % 30, i / 30);
        let kept = (4..24).contains(&x) && (2..18).contains(&y) && !((8..11).contains(&x) && (4..7).contains(&y));
        let listed = clearance
            .regions()
            .iter()
            .any(|r| (r.x0..r.x1).contains(&(x as u32)) && (r.y0..r.y1).contains(&(y as u32)));
        assert_eq!(after, if kept { before } else { &[0; 3] }, "{x} {y}");
        assert_eq!(kept, !listed);
    }
}
