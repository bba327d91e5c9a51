//! The picture: regions are red at exactly their borders, and the rest is the image; what is said of templates.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::{config, luma};
use gift_e2e::generator::{Generator, Kind};

const TOOL: &str = env!("CARGO_BIN_EXE_gift-template");

#[test]
fn regions_are_red_at_their_borders_and_the_rest_is_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (kind, template, size, regions) in [
        (Kind::VolusonStill, "ge-voluson-e10.toml", (960, 720), vec![[76, 3, 430, 28], [76, 36, 430, 26]]),
        (Kind::EpiqCine, "philips-epiq-7c.toml", (800, 600), vec![[0, 0, 800, 49]]),
    ] {
        let object = Generator::new(4).one(kind);
        std::fs::write(at("object.dcm"), &object.bytes).unwrap();
        let show = |more: &[&str], out: &str| {
            let mut command = Command::new(TOOL);
            command.arg("--policy").arg(config()).args(["show", "-o"]).arg(at(out)).arg(at("object.dcm")).args(more);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let said = show(&["--plain"], "plain.png");
        assert!(said.contains("matches; verified") && said.contains("a box redacts by demo-"), "{said}");
        let picture = image::open(at("plain.png")).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), size);
        let want = luma(&object.bytes, 1);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let border = regions.iter().any(|&[a, b, w, h]| {
                let inside = (a..a + w).contains(&x) && (b..b + h).contains(&y);
                inside && (x == a || y == b || x == a + w - 1 || y == b + h - 1)
            });
            let grey = want[(y * size.0 + x) as usize] as u8;
            assert_eq!(pixel.0, if border { [255, 0, 0] } else { [grey; 3] }, "{x},{y}");
        }
        // With coordinates there is something besides.
        let path = config().join("templates/demo").join(template);
        show(&["--template", path.to_str().unwrap()], "labelled.png");
        assert_ne!(image::open(at("labelled.png")).unwrap().into_rgb8(), picture);
        // Of another scanner's templates it says what differs, and no value of the object.
        let path = config().join("templates/demo/ge-v830.toml");
        let said = show(&["--template", path.to_str().unwrap()], "other.png");
        assert!(said.contains("rows, columns") && said.contains("model") && said.contains("no-template"), "{said}");
    }
}

#[test]
fn kept_areas_are_green_and_anchors_blue() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let object = common::grey("GE Healthcare", "V830", (64, 48), &[vec![9; 64 * 48]]);
    std::fs::write(at("object.dcm"), common::part10(&object, common::NATIVE, &[], &Vec::new())).unwrap();
    let template = "version = 1\n[[template]]\nid = \"k\"\nsource = \"test\"\nkeep = [{ rectangle = [10, 8, 20, 16] }]\n\
                    [[template.anchors]]\nkind = \"statistics\"\nregion = [40, 30, 10, 8]\nmean = [MEAN]\n[template.match]\n\
                    manufacturer = \"GE Healthcare\"\nmodel = \"V830\"\nrows = 48\ncolumns = 64\n\
                    sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nphotometric-interpretations = [\"MONOCHROME2\"]\n\
                    transfer-syntaxes = [\"native\"]\n";
    for (mean, anchors) in [("8, 10", "every anchor holds"), ("20, 30", "anchor 1 fails on frame 1")] {
        std::fs::write(at("k.toml"), template.replace("MEAN", mean)).unwrap();
        let output = Command::new(TOOL)
            .arg("--policy")
            .arg(config())
            .args(["show", "--plain", "-o"])
            .arg(at("k.png"))
            .arg("--template")
            .arg(at("k.toml"))
            .arg(at("object.dcm"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("not verified") && said.contains("unverified-template"), "{said}");
        assert!(said.contains("kept: 320 of 3072") && said.contains(anchors), "{said}");
        let picture = image::open(at("k.png")).unwrap().into_rgb8();
        let colour = |x, y| picture.get_pixel(x, y).0;
        assert_eq!(colour(10, 8), [0, 255, 0]);
        assert_eq!(colour(29, 15), [0, 255, 0]);
        assert_eq!(colour(9, 15), [255, 0, 0]);
        assert_eq!(colour(40, 30), [64, 128, 255]);
        assert_eq!((colour(20, 16), colour(3, 3)), ([9; 3], [9; 3]));
    }
}

#[test]
fn what_is_no_object_or_has_no_such_frame_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.dcm");
    let run = |frame: &str| {
        let out = directory.path().join("x.png");
        let mut command = Command::new(TOOL);
        command.arg("--policy").arg(config()).args(["show", "--frame", frame, "-o"]).arg(&out).arg(&path);
        let output = command.output().unwrap();
        assert!(!output.status.success() && !out.exists());
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(&path, b"nothing").unwrap();
    assert!(run("1").starts_with("error: "));
    std::fs::write(&path, Generator::new(4).one(Kind::V830Still).bytes).unwrap();
    assert!(run("2").contains("frames 1 to 1"));
    std::fs::write(&path, Generator::new(4).one(Kind::EncapsulatedPdf).bytes).unwrap();
    assert!(run("1").contains("not decoded"));
}
