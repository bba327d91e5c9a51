//! What the attributes say about an image: the facts that templates match on, and the layout of its pixels.

use crate::{
    mask::Rect,
    syntax::Syntax,
    ultrasound::{self, UltrasoundRegion},
};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Value};
use serde::Serialize;

/// An attribute that cannot be used: wrong multiplicity, not a number, or at odds with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("attributes of the image contradict each other")]
pub struct Inconsistent;

/// The text of an element, without padding; `None` when absent, not in memory, or not UTF-8. Several values stay joined.
pub(crate) fn text(ds: &DataSet, tag: Tag) -> Option<&str> {
    let bytes = ds.get(tag)?.value.bytes()?;
    std::str::from_utf8(bytes).ok().map(|s| s.trim_matches([' ', '\0']))
}

/// Text of VM 1: not empty, no backslash.
pub(crate) fn single(ds: &DataSet, tag: Tag) -> Option<&str> {
    text(ds, tag).filter(|s| !s.is_empty() && !s.contains('\\'))
}

/// A US value of VM 1; `None` when absent or empty.
pub(crate) fn unsigned(ds: &DataSet, tag: Tag) -> Result<Option<u16>, Inconsistent> {
    let Some(element) = ds.get(tag) else { return Ok(None) };
    match element.value.bytes().ok_or(Inconsistent)? {
        [] => Ok(None),
        [a, b] => Ok(Some(u16::from_le_bytes([*a, *b]))),
        _ => Err(Inconsistent),
    }
}

/// Facts that decide what happens with an object. Texts are the scanner's: never log them.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) syntax: Syntax,
    pub(crate) transfer_syntax_uid: &'a str,
    pub(crate) sop_class: &'a str,
    pub(crate) modality: Option<&'a str>,
    pub(crate) manufacturer: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    pub(crate) software_versions: Option<&'a str>,
    pub(crate) image_type: Vec<&'a str>,
    /// The scanner says that there is burnt-in text; only YES is believed.
    pub(crate) says_burnt_in: bool,
    pub(crate) conversion_type: bool,
    /// Sequence of Ultrasound Regions (0018,6011); empty without it.
    pub(crate) ultrasound_regions: Result<Vec<UltrasoundRegion>, Inconsistent>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(ds: &'a DataSet, transfer_syntax_uid: &'a str) -> Result<Self, Inconsistent> {
        Ok(Self {
            syntax: Syntax::of(transfer_syntax_uid),
            transfer_syntax_uid,
            sop_class: single(ds, tags::SOP_CLASS_UID).ok_or(Inconsistent)?,
            modality: single(ds, tags::MODALITY),
            manufacturer: single(ds, tags::MANUFACTURER),
            model: single(ds, tags::MANUFACTURER_MODEL_NAME),
            software_versions: text(ds, tags::SOFTWARE_VERSIONS).filter(|s| !s.is_empty()),
            image_type: text(ds, tags::IMAGE_TYPE).map_or(Vec::new(), |s| s.split('\\').map(str::trim).collect()),
            says_burnt_in: ds.contains(tags::BURNED_IN_ANNOTATION)
                && text(ds, tags::BURNED_IN_ANNOTATION).is_none_or(|s| !matches!(s, "" | "NO")),
            conversion_type: ds.contains(tags::CONVERSION_TYPE),
            ultrasound_regions: ultrasound::regions(ds),
        })
    }
}

/// Photometric Interpretation (0028,0004), PS3.3 C.7.6.3.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Photometric {
    /// MONOCHROME1: least is white.
    #[serde(rename = "MONOCHROME1")]
    Monochrome1,
    /// MONOCHROME2: least is black.
    #[serde(rename = "MONOCHROME2")]
    Monochrome2,
    /// PALETTE COLOR.
    #[serde(rename = "PALETTE COLOR")]
    Palette,
    /// RGB.
    #[serde(rename = "RGB")]
    Rgb,
    /// YBR_FULL.
    #[serde(rename = "YBR_FULL")]
    YbrFull,
    /// YBR_FULL_422.
    #[serde(rename = "YBR_FULL_422")]
    YbrFull422,
    /// YBR_PARTIAL_420 (video).
    #[serde(rename = "YBR_PARTIAL_420")]
    YbrPartial420,
    /// YBR_RCT (JPEG 2000 lossless).
    #[serde(rename = "YBR_RCT")]
    YbrRct,
    /// YBR_ICT (JPEG 2000 lossy).
    #[serde(rename = "YBR_ICT")]
    YbrIct,
    /// XYB (JPEG XL).
    #[serde(rename = "XYB")]
    Xyb,
}

impl Photometric {
    /// All that are handled.
    pub const ALL: [Self; 10] = [
        Self::Monochrome1,
        Self::Monochrome2,
        Self::Palette,
        Self::Rgb,
        Self::YbrFull,
        Self::YbrFull422,
        Self::YbrPartial420,
        Self::YbrRct,
        Self::YbrIct,
        Self::Xyb,
    ];

    /// By its term; `None` for terms that are not handled (YBR_PARTIAL_422, retired ones).
    pub fn from_term(term: &str) -> Option<Self> {
        Some(match term {
            "MONOCHROME1" => Self::Monochrome1,
            "MONOCHROME2" => Self::Monochrome2,
            "PALETTE COLOR" => Self::Palette,
            "RGB" => Self::Rgb,
            "YBR_FULL" => Self::YbrFull,
            "YBR_FULL_422" => Self::YbrFull422,
            "YBR_PARTIAL_420" => Self::YbrPartial420,
            "YBR_RCT" => Self::YbrRct,
            "YBR_ICT" => Self::YbrIct,
            "XYB" => Self::Xyb,
            _ => return None,
        })
    }

    /// The standard's term.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monochrome1 => "MONOCHROME1",
            Self::Monochrome2 => "MONOCHROME2",
            Self::Palette => "PALETTE COLOR",
            Self::Rgb => "RGB",
            Self::YbrFull => "YBR_FULL",
            Self::YbrFull422 => "YBR_FULL_422",
            Self::YbrPartial420 => "YBR_PARTIAL_420",
            Self::YbrRct => "YBR_RCT",
            Self::YbrIct => "YBR_ICT",
            Self::Xyb => "XYB",
        }
    }

    /// Samples per Pixel that go with it.
    pub fn samples(self) -> u16 {
        match self {
            Self::Monochrome1 | Self::Monochrome2 | Self::Palette => 1,
            _ => 3,
        }
    }
}

/// The Image Pixel module (PS3.3 C.7.6.3), checked against itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelLayout {
    /// Rows, > 0.
    pub rows: u16,
    /// Columns, > 0.
    pub columns: u16,
    /// Number of Frames, > 0.
    pub frames: u32,
    /// Samples per Pixel, 1 or 3.
    pub samples: u16,
    /// Photometric Interpretation.
    pub photometric: Photometric,
    /// Bits Allocated: 1, 8, 16, 32 or 64.
    pub bits_allocated: u16,
    /// Bits Stored, 1…Bits Allocated.
    pub bits_stored: u16,
    /// High Bit.
    pub high_bit: u16,
    /// Pixel Representation: two's complement.
    pub signed: bool,
    /// Planar Configuration 1: planes, not pixels, follow each other.
    pub planar: bool,
}

impl PixelLayout {
    /// Reads and checks the module.
    ///
    /// # Errors
    /// An attribute is missing, has several values, or contradicts another.
    pub fn of(ds: &DataSet) -> Result<Self, Inconsistent> {
        let need = |tag| unsigned(ds, tag)?.ok_or(Inconsistent);
        let photometric = single(ds, tags::PHOTOMETRIC_INTERPRETATION).and_then(Photometric::from_term);
        let frames = match text(ds, tags::NUMBER_OF_FRAMES) {
            None if ds.contains(tags::NUMBER_OF_FRAMES) => return Err(Inconsistent),
            None | Some("") => 1,
            Some(number) => number.trim_start_matches('+').parse().map_err(|_| Inconsistent)?,
        };
        let this = Self {
            rows: need(tags::ROWS)?,
            columns: need(tags::COLUMNS)?,
            frames,
            samples: need(tags::SAMPLES_PER_PIXEL)?,
            photometric: photometric.ok_or(Inconsistent)?,
            bits_allocated: need(tags::BITS_ALLOCATED)?,
            bits_stored: need(tags::BITS_STORED)?,
            high_bit: need(tags::HIGH_BIT)?,
            signed: match unsigned(ds, tags::PIXEL_REPRESENTATION)? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(Inconsistent),
            },
            planar: match unsigned(ds, tags::PLANAR_CONFIGURATION)? {
                None | Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(Inconsistent),
            },
        };
        let plausible = this.rows > 0
            && this.columns > 0
            && this.frames > 0
            && this.samples == this.photometric.samples()
            && [1, 8, 16, 32, 64].contains(&this.bits_allocated)
            && (1..=this.bits_allocated).contains(&this.bits_stored)
            && this.high_bit < this.bits_allocated
            && this.high_bit + 1 >= this.bits_stored
            && !(this.samples == 3 && this.signed);
        if plausible { Ok(this) } else { Err(Inconsistent) }
    }

    /// Length of the native pixel data of all frames, bytes, before padding to even; `None` past 2^64 bits.
    pub fn native_length(&self) -> Option<u64> {
        let samples = if self.photometric == Photometric::YbrFull422 { 2 } else { u64::from(self.samples) };
        let bits = u64::from(self.rows) * u64::from(self.columns) * samples * u64::from(self.bits_allocated);
        bits.checked_mul(u64::from(self.frames)).map(|bits| bits.div_ceil(8))
    }

    /// The whole image.
    pub(crate) fn rect(&self) -> Rect {
        Rect { x0: 0, y0: 0, x1: self.columns.into(), y1: self.rows.into() }
    }

    /// True when bits of a sample are outside Bits Stored, where an overlay could hide (PS3.5 8.1.1).
    pub fn has_unused_bits(&self) -> bool {
        self.bits_stored < self.bits_allocated
    }
}

/// Attributes that hold pixels: Pixel Data, Float and Double Float Pixel Data.
pub(crate) const PIXEL_TAGS: [Tag; 3] = [tags::PIXEL_DATA, tags::FLOAT_PIXEL_DATA, tags::DOUBLE_FLOAT_PIXEL_DATA];

/// Where pixel data stand in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PixelData {
    None,
    Present,
    /// Float or double float (7FE0,0008/0009).
    Float,
}

/// Looks for pixel data. Icons (0088,0200) and private sequences do not count: the profile removes both.
pub(crate) fn pixel_data(ds: &DataSet) -> Result<PixelData, Inconsistent> {
    let nested = |ds: &DataSet| {
        ds.iter().filter(|e| e.tag.0 % 2 == 0 && e.tag != tags::ICON_IMAGE_SEQUENCE).any(|e| match &e.value {
            Value::Sequence(items) => items.iter().any(holds_pixels),
            _ => false,
        })
    };
    if nested(ds) {
        return Err(Inconsistent);
    }
    let float = ds.contains(tags::FLOAT_PIXEL_DATA) || ds.contains(tags::DOUBLE_FLOAT_PIXEL_DATA);
    match (ds.contains(tags::PIXEL_DATA), float) {
        (true, true) => Err(Inconsistent),
        (true, false) => Ok(PixelData::Present),
        (false, true) => Ok(PixelData::Float),
        (false, false) => Ok(PixelData::None),
    }
}

fn holds_pixels(ds: &DataSet) -> bool {
    ds.iter().any(|e| match &e.value {
        Value::Sequence(items) => {
            e.tag.0 % 2 == 0 && e.tag != tags::ICON_IMAGE_SEQUENCE && items.iter().any(holds_pixels)
        }
        _ => PIXEL_TAGS.contains(&e.tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, us};
    use dicom_core::VR;
    use gift_deidentify::dataset::Element;

    #[test]
    fn a_module_at_odds_with_itself_is_inconsistent() {
        let good = Image::rgb(4, 6).data_set();
        let layout = PixelLayout::of(&good).unwrap();
        assert_eq!(layout.native_length(), Some(4 * 6 * 3));
        for (tag, value) in [
            (tags::ROWS, 0),
            (tags::COLUMNS, 0),
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::SAMPLES_PER_PIXEL, 4),
            (tags::BITS_ALLOCATED, 12),
            (tags::BITS_STORED, 9),
            (tags::BITS_STORED, 0),
            (tags::HIGH_BIT, 8),
            (tags::HIGH_BIT, 6),
            (tags::PIXEL_REPRESENTATION, 1),
            (tags::PLANAR_CONFIGURATION, 2),
        ] {
            let mut ds = good.clone();
            ds.insert(us(tag, &[value]));
            assert!(PixelLayout::of(&ds).is_err(), "{tag} = {value}");
        }
        let mut ds = good.clone();
        ds.insert(us(tags::ROWS, &[4, 4]));
        assert!(PixelLayout::of(&ds).is_err());
        for frames in ["0", "-1", "2\\3", "x", "99999999999"] {
            let mut ds = good.clone();
            ds.insert(Element::new(tags::NUMBER_OF_FRAMES, VR::IS, frames));
            assert!(PixelLayout::of(&ds).is_err(), "{frames}");
        }
    }

    #[test]
    fn pixels_in_a_sequence_are_found_unless_an_icon() {
        let inner: DataSet = [Element::new(tags::PIXEL_DATA, VR::OB, vec![1, 2])].into_iter().collect();
        for (tag, found) in
            [(tags::ICON_IMAGE_SEQUENCE, false), (tags::REFERENCED_IMAGE_SEQUENCE, true), (Tag(0x200D, 0x300F), false)]
        {
            let mut ds = Image::rgb(4, 6).data_set();
            ds.insert(Element::sequence(tag, vec![DataSet::new(), inner.clone()]));
            assert_eq!(pixel_data(&ds).is_err(), found);
        }
    }

    #[test]
    fn only_yes_is_believed() {
        for (value, says) in [("YES", true), ("NO ", false), ("", false), ("MAYBE", true)] {
            let mut ds = Image::rgb(4, 6).data_set();
            ds.insert(Element::new(tags::BURNED_IN_ANNOTATION, VR::CS, value));
            assert_eq!(Facts::of(&ds, "1.2.840.10008.1.2.1").unwrap().says_burnt_in, says);
        }
    }
}
