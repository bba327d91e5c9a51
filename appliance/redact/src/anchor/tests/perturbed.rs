//! Images that are laid out otherwise than their template expects: moved, scaled, in another font, with more or fewer lines, darker,
//! without the banner, on one frame only. Whatever is done to them, nothing of the banner may be seen in one that is released.
//!
//! Counts as failure: a pixel that the banner drew, still light in a released image. Does not count: an image that is held though
//! its banner would have been blanked.

use crate::{
    Decision, NeverBurntIn, Photometric, Templates, apply, decide,
    testing::{Image, text},
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::Value;

const ROWS: usize = 200;
const COLUMNS: usize = 256;
const NATIVE_LE: &str = "1.2.840.10008.1.2.1";
/// Background noise is below this, everything that a scanner draws above.
const DARK: u8 = 6;
/// Upper left corner and size of the logo, px.
const LOGO: (i32, i32, i32, i32) = (8, 6, 30, 28);
/// Left edge and width of the text, px; top and height of each line.
const TEXT: (i32, i32) = (44, 190);
const LINES: [i32; 2] = [7, 22];
const LINE_HEIGHT: i32 = 11;
/// Frames of an image.
const FRAMES: usize = 2;

/// A small generator of numbers (xorshift), so that every run sees the same images.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn of(&mut self, range: std::ops::RangeInclusive<i32>) -> i32 {
        range.start() + ((self.next() >> 20) % (range.end() - range.start() + 1) as u64) as i32
    }
    fn one_in(&mut self, n: i32) -> bool {
        self.of(1..=n) == 1
    }
}

/// How one frame's banner is drawn.
#[derive(Debug, Clone)]
struct Drawn {
    logo: Option<(i32, i32)>,
    /// Of each line: how far it is from its place, px.
    lines: Vec<(i32, i32)>,
    /// Height of a line's glyphs in tenths of what is expected.
    scale: i32,
    /// Of ten dots of a glyph, so many are light.
    density: i32,
    /// Luma of text and logo.
    light: i32,
    /// Everything is moved, banner and ultrasound.
    whole: (i32, i32),
    /// Text is dark on a light band.
    inverted: bool,
}

impl Drawn {
    fn as_expected() -> Self {
        let lines = vec![(0, 0); 2];
        Self { logo: Some((0, 0)), lines, scale: 10, density: 5, light: 230, whole: (0, 0), inverted: false }
    }

    /// One perturbation, or several.
    fn perturbed(random: &mut Random) -> Self {
        let mut this = Self::as_expected();
        for _ in 0..if random.one_in(3) { 2 } else { 1 } {
            let by = |random: &mut Random| match random.of(0..=3) {
                0 => (0, random.of(-12..=12)),
                1 => (random.of(-12..=12), 0),
                2 => (random.of(-40..=40), random.of(-40..=160)),
                _ => (random.of(-2..=2), random.of(-2..=2)),
            };
            match random.of(0..=11) {
                // The banner as a whole, as when a menu line is added.
                0 | 1 => {
                    let (dx, dy) = by(random);
                    this.logo = this.logo.map(|(x, y)| (x + dx, y + dy));
                    this.lines.iter_mut().for_each(|line| *line = (line.0 + dx, line.1 + dy));
                }
                // The text, while the logo stays.
                2 | 3 => {
                    let (dx, dy) = by(random);
                    this.lines.iter_mut().for_each(|line| *line = (line.0 + dx, line.1 + dy));
                }
                // One of its lines.
                4 => {
                    let (which, by) = (random.of(0..=1) as usize, by(random));
                    if let Some(line) = this.lines.get_mut(which) {
                        *line = by;
                    }
                }
                5 => this.scale = random.of(4..=30),
                6 => this.density = random.of(2..=9),
                7 => this.light = random.of(12..=255),
                // More lines below, at the pitch of the others.
                8 => this.lines.extend((1..=random.of(1..=3)).map(|n| (0, 15 * n))),
                9 => match random.of(0..=3) {
                    0 => this.logo = None,
                    1 => this.lines.clear(),
                    2 => this.lines.truncate(1),
                    _ => this.inverted = true,
                },
                10 => this.whole = by(random),
                _ => this.scale = random.of(9..=11),
            }
        }
        this
    }

    /// The frame, and which of its pixels the banner drew.
    fn paint(&self, random: &mut Random) -> (Vec<u8>, Vec<usize>) {
        let mut pixels: Vec<u8> = (0..ROWS * COLUMNS / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        pixels.iter_mut().for_each(|p| *p %= DARK - 2);
        let inside = |x: i32, y: i32| {
            ((0..COLUMNS as i32).contains(&x) && (0..ROWS as i32).contains(&y))
                .then(|| y as usize * COLUMNS + x as usize)
        };
        let (wx, wy) = self.whole;
        for y in 60..190 {
            let half = (y - 50) * 2 / 3;
            for x in 128 - half..128 + half {
                if let Some(at) = inside(x + wx, y + wy) {
                    pixels[at] = (random.next() >> 24) as u8 / 2;
                }
            }
        }
        let mut drawn = Vec::new();
        let mut dot = |x: i32, y: i32, value: i32| {
            if let Some(at) = inside(x + wx, y + wy) {
                pixels[at] = value as u8;
                if value > i32::from(DARK) {
                    drawn.push(at);
                }
            }
        };
        if let Some((dx, dy)) = self.logo {
            let (x0, y0, width, height) = LOGO;
            for y in 0..height {
                for x in 0..width {
                    let (u, v) = (2 * x - width, 2 * y - height);
                    if u * u + v * v < 600 && !(u.abs() < 6 && v > -12) || (x / 4 + y / 9) % 5 == 0 {
                        dot(x0 + x + dx, y0 + y + dy, self.light);
                    }
                }
            }
        }
        let height = (LINE_HEIGHT * self.scale / 10).max(3);
        let size = (height / 7).max(1);
        for (number, (dx, dy)) in self.lines.iter().enumerate() {
            let (x0, y0) = (TEXT.0 + dx, LINES[number.min(1)] + dy);
            for x in 0..TEXT.1 {
                for y in 0..height {
                    // A new glyph every six dots, a gap after each.
                    let hash = ((x / size / 6 + 31) * 7919
                        + (x / size % 6) * 104_729
                        + (y / size) * 1_299_709
                        + number as i32)
                        .wrapping_mul(0x2C1B_3C6D);
                    let set = x / size % 6 < 5 && (hash >> 8 & 0xFF) % 10 < self.density;
                    if set != self.inverted {
                        dot(x0 + x, y0 + y, self.light);
                    }
                }
            }
        }
        (pixels, drawn)
    }
}

/// The logo in 14 × 15 cells, as whoever writes the template measures it.
fn logo_patch() -> String {
    let (pixels, _) = Drawn::as_expected().paint(&mut Random(1));
    let (x0, y0, width, height) = (LOGO.0 as usize, LOGO.1 as usize, LOGO.2 as usize, LOGO.3 as usize);
    let mean = |row: usize, column: usize| {
        let ys = y0 + row * height / 14..y0 + (row + 1) * height / 14;
        let xs = x0 + column * width / 15..x0 + (column + 1) * width / 15;
        let all: Vec<u32> =
            ys.flat_map(|y| xs.clone().map(move |x| y * COLUMNS + x)).map(|at| u32::from(pixels[at])).collect();
        (all.iter().sum::<u32>() / all.len() as u32).to_string()
    };
    let row = |row| format!("[{}]", (0..15).map(|c| mean(row, c)).collect::<Vec<_>>().join(", "));
    (0..14).map(row).collect::<Vec<_>>().join(", ")
}

/// Two templates, one that blanks the banner and one that keeps the fan; with anchors or, to see what these are worth, without.
fn templates(with_anchors: bool) -> Templates {
    let strip = |region: &str| {
        format!(
            "[[template.anchors]]\nkind = \"statistics\"\nregion = {region}\ndark = {{ below = {DARK}, share = [1, 1] }}\n"
        )
    };
    let line = |y: i32| {
        format!(
            "[[template.anchors]]\nkind = \"statistics\"\nregion = [{}, {y}, {}, {LINE_HEIGHT}]\ndeviation = [40, 127]\n\
             dark = {{ below = {DARK}, share = [0.4, 0.8] }}\n",
            TEXT.0, TEXT.1
        )
    };
    let patch = format!(
        "[[template.anchors]]\nkind = \"patch\"\nregion = [{}, {}, {}, {}]\nrows = [{}]\nmax-difference = 20\n",
        LOGO.0,
        LOGO.1,
        LOGO.2,
        LOGO.3,
        logo_patch()
    );
    // Around the banner nothing is drawn, and each of its lines is where it belongs.
    let strips = ["[0, 0, 256, 4]", "[0, 4, 4, 34]", "[240, 4, 16, 34]", "[0, 38, 256, 21]"].map(strip).concat();
    let anchors = if with_anchors { [patch, strips, line(LINES[0]), line(LINES[1])].concat() } else { String::new() };
    let template = |id: &str, what: &str| {
        format!(
            "[[template]]\nid = \"{id}\"\nsource = \"this test\"\n{what}\n{anchors}[template.match]\nmanufacturer = \"Acme\"\n\
             model = \"{id}\"\nrows = {ROWS}\ncolumns = {COLUMNS}\nsop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\n\
             photometric-interpretations = [\"MONOCHROME2\"]\ntransfer-syntaxes = [\"native\"]\n[template.verified]\n\
             by = \"t\"\non = \"2026-01-01\"\nevidence = \"t\"\n"
        )
    };
    let fan = "keep = [{ fan = { apex = [128, 45], radii = [15, 146], angles = [-34, 34] } }]";
    let files = format!("version = 1\n{}{}", template("blank", "regions = [[4, 4, 236, 34]]"), template("keep", fan));
    assert_eq!(Templates::lint([("t.toml", &files)]), []);
    Templates::parse([("t.toml", files)]).unwrap()
}

/// What becomes of an image whose frames are drawn so; `None`: held, else how many pixels of the banner can be seen.
fn released(frames: &[(Vec<u8>, Vec<usize>)], model: &str, templates: &Templates) -> Option<usize> {
    let mut image = Image::of(Photometric::Monochrome2, ROWS as u16, COLUMNS as u16, frames.len() as u32, 8, 8);
    image.pixels = frames.iter().flat_map(|(pixels, _)| pixels.iter().copied()).collect();
    let mut ds = image.data_set();
    ds.insert(text(tags::MANUFACTURER_MODEL_NAME, model));
    let Decision::Redact(plan) = decide(&ds, NATIVE_LE, templates, &NeverBurntIn::default()) else { panic!("no plan") };
    let mut scratch = Vec::new();
    match apply(&plan, &mut ds, &Vec::new(), &mut scratch) {
        Ok(_clearance) => {
            assert!(matches!(ds.get(tags::PIXEL_DATA).unwrap().value, Value::Span { offset: 0, .. }));
            let frame = |number: usize| &scratch[number * ROWS * COLUMNS..][..ROWS * COLUMNS];
            let seen = |(number, (_, drawn)): (usize, &(Vec<u8>, Vec<usize>))| {
                drawn.iter().filter(|at| frame(number)[**at] > DARK).count()
            };
            Some(frames.iter().enumerate().map(seen).sum())
        }
        Err(error) => {
            assert_eq!(error.hold(), Some("template-mismatch"), "{error}");
            None
        }
    }
}

fn campaign(images: u64) {
    let (templates, bare) = (templates(true), templates(false));
    let (mut let_go, mut leaks_without) = (0, 0);
    for seed in 1..=images {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let perturbed = Drawn::perturbed(&mut random);
        // On all frames, or on one.
        let only = random.of(0..=FRAMES as i32) as usize;
        let frames: Vec<_> = (0..FRAMES)
            .map(|n| if only == FRAMES || only == n { perturbed.clone() } else { Drawn::as_expected() })
            .map(|drawn| drawn.paint(&mut random))
            .collect();
        let model = if seed % 2 == 0 { "blank" } else { "keep" };
        if let Some(seen) = released(&frames, model, &templates) {
            assert_eq!(seen, 0, "image {seed}, {model}: {perturbed:?}");
            let_go += 1;
        }
        leaks_without += u64::from(released(&frames, model, &bare).unwrap() > 0);
    }
    println!(
        "{images} perturbed images: {let_go} released, 0 with a pixel of the banner; without anchors {leaks_without}"
    );
    // Neither everything nor nothing is held, and without anchors it would have gone wrong.
    assert!(let_go > images / 50 && let_go < images / 2, "{let_go}");
    assert!(leaks_without > images / 5, "{leaks_without}");
}

#[test]
fn a_thousand_perturbed_images_show_nothing_of_the_banner() {
    campaign(1000);
}

#[test]
#[ignore = "the campaign at full size; the one above is its first tenth"]
fn ten_thousand_perturbed_images_show_nothing_of_the_banner() {
    campaign(10_000);
}

#[test]
fn the_same_template_holds_an_image_whose_banner_moved_by_eight_pixels() {
    let (templates, bare) = (templates(true), templates(false));
    let painted = |drawn: &Drawn| vec![drawn.paint(&mut Random(7)), Drawn::as_expected().paint(&mut Random(8))];
    for model in ["blank", "keep"] {
        let expected = painted(&Drawn::as_expected());
        assert_eq!(released(&expected, model, &templates), Some(0));
        for (dx, dy) in [(0, 8), (0, -8), (8, 0), (-8, 0)] {
            let moved = Drawn { logo: Some((dx, dy)), lines: vec![(dx, dy); 2], ..Drawn::as_expected() };
            assert_eq!(released(&painted(&moved), model, &templates), None, "{model} {dx} {dy}");
            let text = Drawn { logo: Some((0, 0)), ..moved };
            assert_eq!(released(&painted(&text), model, &templates).unwrap_or(0), 0, "{model} {dx} {dy}");
        }
    }
    let moved = Drawn { logo: Some((0, 8)), lines: vec![(0, 8); 2], ..Drawn::as_expected() };
    assert!(released(&painted(&moved), "blank", &bare).unwrap() > 0, "the anchors are what holds it");
}
