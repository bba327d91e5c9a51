//! Each thing the linter says, and where; what is as it should be passes.

use super::*;

const GOOD: &str = r#"version = 1

[[template]]
id = "acme-scan-1-200x100-rgb"
source = "test"
regions = [[0, 0, 200, 10], [0, -8, 60, 8]]

[template.match]
manufacturer = "Acme Ultrasound"
model = "Scan 1"
sop-classes = ["1.2.840.10008.5.1.4.1.1.6.1"]
rows = 100
columns = 200
photometric-interpretations = ["RGB"]
transfer-syntaxes = ["native"]
"#;

fn found(text: &str) -> Vec<(usize, String)> {
    Templates::lint([("t.toml", text)]).into_iter().map(|e| (e.line, e.what)).collect()
}

/// The one thing found when `from` is replaced.
fn only(from: &str, to: &str) -> (usize, String) {
    assert!(GOOD.contains(from), "{from}");
    let mut found = found(&GOOD.replace(from, to));
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    found.remove(0)
}

#[test]
fn what_is_as_it_should_be_passes() {
    assert_eq!(found(GOOD), []);
}

#[test]
fn geometry() {
    let regions = "[[0, 0, 200, 10], [0, -8, 60, 8]]";
    for (to, line, what) in [
        ("[[0, 0, 200, 10],\n  [5, 2, 60, 8]]", 7, "region 2 is wholly inside region 1"),
        ("[[0, 0, 200, 10],\n  [0, 0, 200, 10]]", 7, "region 2 is wholly inside region 1"),
        ("[[0, 0, 4, 4]]", 4, "less than 0.1 %"),
        ("[[0, 0, 200, 96]]", 4, "more than 95 %"),
        ("[[0, 0, 201, 5]]", 6, "outside the image"),
        ("[]\nkeep = [{ rectangle = [0, 0, 200, 100] }]", 4, "less than 0.1 %"),
        ("[]\nkeep = [{ rectangle = [0, 0, 9, 100] }]", 4, "more than 95 %"),
        ("[[0, 0, 9, 9]]\nkeep = [{ rectangle = [10, 10, 150, 80] }]", 6, "region 1 is outside of what is kept"),
        (
            "[]\nkeep = [{ rectangle = [10, 10, 150, 80] },\n{ polygon = [[1, 1], [9, 9], [5, 5]] }]",
            8,
            "holds no whole pixel",
        ),
        (
            "[]\nkeep = [{ rectangle = [10, 10, 150, 80] },\n{ fan = { apex = [0, -90], radii = [1, 50], angles = [-9, 9] } }]",
            8,
            "holds no whole pixel",
        ),
    ] {
        let (at, said) = only(regions, to);
        assert!(at == line && said.contains(what), "{to}: {at} {said}");
    }
    assert_eq!(found(&GOOD.replace(regions, "[[20, 20, 9, 9]]\nkeep = [{ rectangle = [10, 10, 150, 80] }]")), []);
}

#[test]
fn anchors_that_hold_for_anything() {
    let region = "region = [0, 0, 20, 10]";
    for (anchor, passes) in [
        ("kind = \"statistics\"\nmean = [0, 255]", false),
        ("kind = \"statistics\"\nmean = [0, 255]\ndeviation = [0, 128]\ndark = { below = 9, share = [0, 1] }", false),
        ("kind = \"statistics\"\nmean = [0, 20]", true),
        ("kind = \"patch\"\nrows = [[9, 9], [9, 9]]\nmax-difference = 2", false),
        ("kind = \"patch\"\nrows = [[90, 0], [0, 90]]\nmax-difference = 45", false),
        ("kind = \"patch\"\nrows = [[90, 0], [0, 90]]\nmax-difference = 40", true),
    ] {
        let text =
            GOOD.replace("[template.match]", &format!("[[template.anchors]]\n{region}\n{anchor}\n[template.match]"));
        let found = found(&text);
        assert_eq!(found.is_empty(), passes, "{anchor}: {found:?}");
        assert!(passes || found[0].0 == 8 && found[0].1.contains("without the layout"), "{found:?}");
    }
}

#[test]
fn names_against_what_they_name() {
    let other = "\n[[template]]\nid = \"b\"\nsource = \"test\"\nregions = [[0, 0, 200, 10]]\n[template.match]\n\
                 manufacturer = \"Philips\"\nmodel = \"iU22\"\nrows = 100\ncolumns = 200\n";
    let id = "acme-scan-1-200x100-rgb";
    for (to, what) in [
        ("acme-scan-1-960x720", "id says 960x720, the conditions 200x100"),
        ("acme-scan-1-100x200", "id says 100x200"),
        ("acme-scan-1-ybr-full-422", "id says YBR_FULL_422"),
        ("acme-monochrome2", "id says MONOCHROME2"),
        ("acme-jpeg", "id says jpeg, the transfer syntaxes something else"),
        ("philips-scan-1", "id says philips, the manufacturer is Acme Ultrasound"),
    ] {
        let found = found(&GOOD.replace(id, to).replace("version = 1\n", &format!("version = 1\n{other}")));
        assert_eq!(found.len(), 1, "{to} {found:?}");
        assert!(found[0].1.starts_with(what), "{found:?}");
    }
    for good in ["acme-2x2", "acme-native", "ultrasound-scan", "scan-1", "a0x1f"] {
        assert_eq!(found(&GOOD.replace(id, good)), [], "{good}");
    }
    let by_file = Templates::lint([("v830-960x720.toml", GOOD)]);
    assert!(by_file[0].what.starts_with("name of the file says 960x720"), "{by_file:?}");
}

#[test]
fn conditions_that_cannot_hold() {
    let syntaxes = "transfer-syntaxes = [\"native\"]";
    for (from, to, line, what) in [
        ("1.1.6.1\"]", "1.1.6.1\", \"1.2.840.10008.1.1\"]", 11, "1.2.840.10008.1.1 is no storage SOP class"),
        ("1.1.6.1\"]", "1.1.6.1\", \"1.2.840.10008.1.20.1\"]", 11, "no storage"),
        ("\"native\"]", "\"native\", \"1.2.840.10008.1.2.4.106\"]", 15, "cannot be redacted"),
        (syntaxes, "transfer-syntaxes = [\"1.2.840.10008.1.2.4.50\"]\nsamples = 1", 4, "contradict"),
        (syntaxes, "transfer-syntaxes = [\"native\"]\nsamples = 4", 4, "contradict"),
        ("[\"RGB\"]", "[\"RGB\", \"YBR_RCT\"]", 14, "YBR_RCT goes with none of the transfer syntaxes"),
    ] {
        let (at, said) = only(from, to);
        assert!(at == line && said.contains(what), "{to}: {at} {said}");
    }
    let palette = GOOD.replace("-rgb", "").replace("RGB", "PALETTE COLOR");
    let jpeg = palette.replace("\"native\"", "\"native\", \"1.2.840.10008.1.2.4.50\"");
    assert_eq!(found(&palette), []);
    assert!(found(&jpeg)[0].1.contains("4.50 goes with none of the photometric interpretations"));
}

#[test]
fn templates_that_others_leave_no_image() {
    let entry = |id: &str, conditions: &str| {
        format!(
            "[[template]]\nid = \"{id}\"\nsource = \"t\"\nregions = [[0, 0, 200, 10]]\n[template.match]\nmodel = \"M\"\n\
             rows = 100\ncolumns = 200\n{conditions}\n"
        )
    };
    let run = |entries: &[String]| {
        let text = format!("version = 1\n{}", entries.concat());
        let found = Templates::lint([("t.toml", text)]);
        found.iter().map(|e| (e.line, e.what.contains("leave no image"))).collect::<Vec<_>>()
    };
    let open = entry("open", "");
    let rgb = entry("rgb", "photometric-interpretations = [\"RGB\"]");
    assert_eq!(run(&[open.clone(), rgb.clone()]), []);
    // Three samples and one sample are all there is.
    let three = entry("three", "samples = 3");
    assert_eq!(run(&[open.clone(), three.clone()]), []);
    assert_eq!(run(&[open.clone(), three, entry("one", "samples = 1")]), [(3, true)]);
    // RGB has three samples: what states both is wider than what states one of two makers.
    let both = entry("both", "samples = 3\nphotometric-interpretations = [\"RGB\", \"YBR_FULL\"]");
    assert_eq!(run(&[rgb.clone(), both]), [(3, true)]);
    // Alternatives count one by one; one that is left is enough.
    let two = entry("two", "sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\", \"1.2.840.10008.5.1.4.1.1.3.1\"]");
    let class = |id: &str, uid: &str| {
        entry(id, &format!("sop-classes = [\"1.2.840.10008.5.1.4.1.1.{uid}\"]\nsamples = 3"))
            + &entry(&format!("{id}-grey"), &format!("sop-classes = [\"1.2.840.10008.5.1.4.1.1.{uid}\"]\nsamples = 1"))
    };
    assert_eq!(run(&[two.clone(), class("a", "6.1")]), []);
    assert_eq!(run(&[two, class("a", "6.1"), class("b", "3.1")]), [(3, true)]);
    // Native is four transfer syntaxes.
    let native = entry("native", "transfer-syntaxes = [\"native\"]");
    let each = |uids: &[&str]| {
        entry("each", &format!("samples = 3\ntransfer-syntaxes = {uids:?}"))
            + &entry("grey", &format!("samples = 1\ntransfer-syntaxes = {uids:?}"))
    };
    let all = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"];
    assert_eq!(run(&[native.clone(), each(&all[..3])]), []);
    assert_eq!(run(&[native, each(&all)]), [(3, true)]);
    let regions = "ultrasound-regions = [{ location = [0, 10, 200, 100], spatial-format = 1, data-type = 1 }]";
    assert_eq!(run(&[open, entry("regions", regions)]), []);
    assert_eq!(run(&[entry("regions", regions), entry("strict", &format!("{regions}\nsamples = 3"))]), []);
}

#[test]
fn every_file_is_judged_and_a_set_as_a_whole() {
    let found = Templates::lint([("a.toml", GOOD), ("b.toml", "version = 2"), ("c.toml", GOOD)]);
    let at: Vec<_> = found.iter().map(|e| (e.file.as_str(), e.line)).collect();
    assert_eq!(at, [("b.toml", 1), ("c.toml", 4)], "{found:?}");
}
