//! Short films with burnt-in text, coded by ffmpeg as scanners do, and what they decode to.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use font8x8::UnicodeFonts as _;

/// Where the text is burnt in, px: left, top, right, bottom.
pub(crate) const REGION: [usize; 4] = [40, 16, 360, 48];
/// What is kept black, for the template's anchor.
pub(crate) const DARK: [usize; 4] = [592, 416, 624, 448];
pub(crate) const COLUMNS: usize = 640;
pub(crate) const ROWS: usize = 480;

/// What a film shows.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) text: &'static str,
    pub(crate) frames: usize,
    /// Bits of a sample.
    pub(crate) bits: u32,
    /// The anchor's place is black.
    pub(crate) dark: bool,
    pub(crate) full_range: bool,
}

impl Scene {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, frames: 20, bits: 8, dark: true, full_range: false }
    }

    /// A sector that moves, speckle, and text in the region: YUV4MPEG2.
    pub(crate) fn y4m(&self) -> Vec<u8> {
        let range = if self.full_range { "FULL" } else { "LIMITED" };
        let term = if self.bits > 8 { "420p10 XYSCSS=420P10" } else { "420mpeg2 XYSCSS=420MPEG2" };
        let mut film = format!("YUV4MPEG2 W{COLUMNS} H{ROWS} F25:1 Ip A1:1 C{term} XCOLORRANGE={range}\n").into_bytes();
        let mut noise = 1_u32;
        for number in 0..self.frames {
            film.extend_from_slice(b"FRAME\n");
            let mut put = |value: u32| {
                let value = value << (self.bits - 8);
                film.extend_from_slice(&value.to_le_bytes()[..if self.bits > 8 { 2 } else { 1 }]);
            };
            for y in 0..ROWS {
                for x in 0..COLUMNS {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let speckle = (noise >> 24) / 16;
                    let across = x.abs_diff(200 + 8 * number).pow(2) + y.abs_diff(260).pow(2);
                    put(if inside(DARK, x, y) && self.dark {
                        16
                    } else if inside(REGION, x, y) {
                        if self.is_print(x - REGION[0], y - REGION[1]) { 230 } else { 60 }
                    } else if across < 150 * 150 {
                        90 + speckle + (x / 16 % 4) as u32 * 20
                    } else {
                        40 + speckle + (y / 4) as u32 / 2
                    });
                }
            }
            (0..ROWS / 2).for_each(|_| (0..COLUMNS / 2).for_each(|x| put(112 + (x / 20) as u32)));
            for y in 0..ROWS / 2 {
                (0..COLUMNS / 2).for_each(|_| put(120 + (y / 20) as u32));
            }
        }
        film
    }

    /// Letters of 16 px.
    fn is_print(&self, x: usize, y: usize) -> bool {
        let letter = self.text.chars().nth(x / 16).and_then(|letter| font8x8::BASIC_FONTS.get(letter));
        y / 2 < 8 && letter.is_some_and(|rows| rows[y / 2] >> (x / 2 % 8) & 1 == 1)
    }
}

fn inside([left, top, right, bottom]: [usize; 4], x: usize, y: usize) -> bool {
    (left..right).contains(&x) && (top..bottom).contains(&y)
}

/// ffmpeg with these arguments, its input from memory; what it wrote to `output`, or else to its standard output.
pub(crate) fn ffmpeg(input: &[u8], arguments: &[&str], output: Option<&Path>) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]).args(arguments);
    match output {
        Some(path) => command.arg(path),
        None => command.arg("pipe:1"),
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read everything.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let ended = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    match output {
        Some(path) => std::fs::read(path).unwrap(),
        None => ended.stdout,
    }
}

/// A film as ffmpeg, left to itself, decodes it: samples of one or two bytes.
pub(crate) fn decoded(stream: &[u8], bits: u32, place: &Path) -> Vec<u8> {
    let path = place.join("stream");
    std::fs::write(&path, stream).unwrap();
    let format = if bits > 8 { "yuv420p10le" } else { "yuv420p" };
    let path = path.to_str().unwrap();
    ffmpeg(b"", &["-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", format], None)
}

/// Codec, profile, level and field order of the one stream, as ffprobe tells them.
pub(crate) fn probed(stream: &[u8], place: &Path) -> String {
    let path = place.join("stream");
    std::fs::write(&path, stream).unwrap();
    let entries = "stream=codec_name,profile,level,field_order";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_entries", entries])
        .arg(&path)
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let [stream] = told["streams"].as_array().unwrap().as_slice() else { return told.to_string() };
    let words = ["codec_name", "profile", "level", "field_order"].map(|key| stream[key].to_string().replace('"', ""));
    words.join(",")
}

/// How a redacted film relates to the one it was made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Likeness {
    pub(crate) frames: usize,
    /// Largest deviation from black in the region, steps of 8 bit.
    pub(crate) worst_inside: u32,
    /// Least and mean ratio of signal to noise of luma outside, dB.
    pub(crate) least_db: f64,
    pub(crate) mean_db: f64,
}

/// Compares them; what is within 24 px of the region counts for neither side.
pub(crate) fn likeness(before: &[u8], after: &[u8], bits: u32) -> Likeness {
    let width = if bits > 8 { 2 } else { 1 };
    let pixels = COLUMNS * ROWS;
    let frame = pixels * 3 / 2 * width;
    assert!(
        before.len() == after.len() && before.len().is_multiple_of(frame),
        "{} and {} bytes",
        before.len(),
        after.len()
    );
    let sample = |film: &[u8], at: usize| {
        let at = at * width;
        if width == 2 { u32::from(film[at]) | u32::from(film[at + 1]) << 8 } else { u32::from(film[at]) }
    };
    let near = [REGION[0] - 24, 0, REGION[2] + 24, REGION[3] + 24];
    let (mut worst_inside, mut decibels) = (0, Vec::new());
    for (before, after) in before.chunks_exact(frame).zip(after.chunks_exact(frame)) {
        let (mut error, mut count) = (0_f64, 0_f64);
        for y in 0..ROWS {
            for x in 0..COLUMNS {
                let after = sample(after, y * COLUMNS + x);
                if inside(REGION, x, y) {
                    worst_inside = worst_inside.max(after.abs_diff(16 << (bits - 8)) >> (bits - 8));
                } else if !inside(near, x, y) {
                    error += f64::from(sample(before, y * COLUMNS + x).abs_diff(after)).powi(2);
                    count += 1.0;
                }
            }
        }
        for plane in [pixels, pixels + pixels / 4] {
            for y in REGION[1] / 2..REGION[3] / 2 {
                for x in REGION[0] / 2..REGION[2] / 2 {
                    let colour = sample(after, plane + y * COLUMNS / 2 + x).abs_diff(128 << (bits - 8)) >> (bits - 8);
                    worst_inside = worst_inside.max(colour);
                }
            }
        }
        let peak = f64::from((1_u32 << bits) - 1);
        decibels.push(10.0 * (peak * peak * count / error.max(1e-9)).log10());
    }
    let least_db = decibels.iter().copied().fold(f64::INFINITY, f64::min);
    let mean_db = decibels.iter().sum::<f64>() / decibels.len() as f64;
    Likeness { frames: decibels.len(), worst_inside, least_db, mean_db }
}
