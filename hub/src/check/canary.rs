//! The canary: a synthetic patient that a box sends through itself (`config/canary.toml`, which says what was planted in it). What
//! comes under its project must be one: none of what was planted is in the bytes, what was printed is black, and the rest of the picture is
//! as it was drawn. It has to pass the rules of every object besides.
//!
//! This is no proof against a box that wants to lie: it could make such a picture itself. It shows that an honest box does its job.

use std::{fs::File, io::Read as _, path::Path};

use dicom_core::Tag;
use memchr::memmem;
use serde::Deserialize;

use super::{Rule, Violation};
use crate::{
    error::HubError,
    object::{
        text::ascii,
        walk::{Event, Limits, Value, Visitor, WalkError, walk_file},
    },
};

/// Room for everything but the picture, bytes.
const MAX_REST: u64 = 64 << 10;

/// What is known of canaries; the rest of the file is the box's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Canary {
    secrets: Vec<String>,
    uid_prefix: String,
    picture: Picture,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Picture {
    columns: u16,
    rows: u16,
    x_factors: [u32; 3],
    y_factors: [u32; 3],
    offsets: [u32; 3],
    /// x, y, width, height.
    regions: Vec<[u16; 4]>,
}

impl Canary {
    /// The one that this hub was built with.
    ///
    /// # Errors
    /// A file that is none.
    pub(super) fn built_in() -> Result<Self, HubError> {
        let mut canary: Self = toml::from_str(include_str!("../../../config/canary.toml"))
            .map_err(|_| HubError::Setup("config/canary.toml is not one".to_owned()))?;
        canary.secrets.push(canary.uid_prefix.clone());
        for secret in &mut canary.secrets {
            secret.make_ascii_lowercase();
        }
        Ok(canary)
    }

    /// What is wrong with the object at `path`, for a canary.
    ///
    /// # Errors
    /// The file could not be read, or not walked.
    pub(super) fn check(&self, path: &Path) -> Result<Vec<Violation>, WalkError> {
        let most = self.picture.bytes() as u64 + MAX_REST;
        let mut file = File::open(path)?;
        if file.metadata()?.len() > most {
            return Ok(vec![Violation::of(Rule::CanaryPicture)]);
        }
        let mut bytes = Vec::new();
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        let mut found = Facts::default();
        walk_file(path, Limits::default(), &mut found)?;

        let mut violations = Vec::new();
        let pixels = found.pixels.and_then(|(offset, length)| bytes.get(offset..offset.checked_add(length)?));
        let (blank, same) = match pixels {
            Some(pixels) if self.picture.is_form_of(&found) => self.picture.compare(pixels),
            _ => (true, false),
        };
        if !blank {
            violations.push(Violation::of(Rule::CanaryPrint));
        }
        if !same {
            violations.push(Violation::of(Rule::CanaryPicture));
        }
        bytes.make_ascii_lowercase();
        if self.secrets.iter().any(|secret| memmem::find(&bytes, secret.as_bytes()).is_some()) {
            violations.push(Violation::of(Rule::CanaryPlanted));
        }
        Ok(violations)
    }
}

impl Picture {
    fn bytes(&self) -> usize {
        usize::from(self.columns) * usize::from(self.rows) * 3
    }

    fn is_form_of(&self, found: &Facts) -> bool {
        let [samples, planar, rows, columns, allocated, stored, high, signed] = found.numbers;
        // RGB by pixel (PS3.3 C.7.6.3.1.3), 8 bits without sign.
        found.photometric == "RGB"
            && (samples, planar) == (3, 0)
            && (rows, columns) == (self.rows, self.columns)
            && (allocated, stored, high, signed) == (8, 8, 7, 0)
    }

    /// Whether all regions are black, and whether all else is as it was drawn.
    fn compare(&self, pixels: &[u8]) -> (bool, bool) {
        if pixels.len() != self.bytes() {
            return (true, false);
        }
        let (mut blank, mut same) = (true, true);
        let line = usize::from(self.columns) * 3;
        for (y, row) in (0..self.rows).zip(pixels.chunks_exact(line)) {
            for (x, pixel) in (0..self.columns).zip(row.chunks_exact(3)) {
                if self.regions.iter().any(|region| is_within(*region, x, y)) {
                    blank &= pixel == [0, 0, 0];
                } else {
                    same &= pixel == self.drawn(x, y);
                }
            }
        }
        (blank, same)
    }

    /// The pixel as `config/canary.toml` has it.
    fn drawn(&self, x: u16, y: u16) -> [u8; 3] {
        let (x, y) = (u32::from(x), u32::from(y));
        [0, 1, 2].map(|c| {
            let sum = self.x_factors[c].wrapping_mul(x).wrapping_add(self.y_factors[c].wrapping_mul(y));
            sum.wrapping_add(self.offsets[c]).to_le_bytes()[0]
        })
    }
}

fn is_within([left, top, width, height]: [u16; 4], x: u16, y: u16) -> bool {
    x >= left && x - left < width && y >= top && y - top < height
}

/// What is seen of the picture on a walk: Samples per Pixel, Planar Configuration, Rows, Columns, Bits Allocated, Bits Stored, High Bit,
/// Pixel Representation; Photometric Interpretation; where native Pixel Data is.
#[derive(Debug, Default)]
struct Facts {
    numbers: [u16; 8],
    photometric: String,
    pixels: Option<(usize, usize)>,
}

/// The attributes of [`Facts::numbers`], group 0028.
const NUMBERS: [u16; 8] = [0x0002, 0x0006, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103];

impl Visitor for Facts {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        let Event::Element { tag, value, .. } = event else { return };
        match (depth, tag, value) {
            (0, Tag(0x7FE0, 0x0010), Value::Long { offset, length }) => {
                self.pixels = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
            }
            (0, Tag(0x0028, 0x0004), Value::Bytes(bytes)) => self.photometric = ascii(bytes),
            (0, Tag(0x0028, element), Value::Bytes(&[low, high])) => {
                if let Some(at) = NUMBERS.iter().position(|number| *number == element) {
                    self.numbers[at] = u16::from_le_bytes([low, high]);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
