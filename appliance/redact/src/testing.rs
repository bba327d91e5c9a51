//! Objects for tests.

use crate::Photometric;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Element, Value};

/// A US element.
pub(crate) fn us(tag: Tag, values: &[u16]) -> Element {
    Element::new(tag, VR::US, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A text element.
pub(crate) fn text(tag: Tag, value: &str) -> Element {
    Element::new(tag, VR::LO, value)
}

/// An image to be made into a data set.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) frames: u32,
    pub(crate) photometric: Photometric,
    pub(crate) allocated: u16,
    pub(crate) stored: u16,
    pub(crate) high: u16,
    pub(crate) signed: bool,
    pub(crate) planar: bool,
    pub(crate) sop_class: &'static str,
    pub(crate) modality: &'static str,
    pub(crate) image_type: &'static str,
    pub(crate) manufacturer: &'static str,
    pub(crate) model: &'static str,
    pub(crate) pixels: Vec<u8>,
}

impl Image {
    /// A single RGB ultrasound frame.
    pub(crate) fn rgb(rows: u16, columns: u16) -> Self {
        Self::of(Photometric::Rgb, rows, columns, 1, 8, 8)
    }

    /// Pixels are a pattern that differs everywhere.
    pub(crate) fn of(
        photometric: Photometric,
        rows: u16,
        columns: u16,
        frames: u32,
        allocated: u16,
        stored: u16,
    ) -> Self {
        let mut this = Self {
            rows,
            columns,
            frames,
            photometric,
            allocated,
            stored,
            high: stored - 1,
            signed: false,
            planar: false,
            sop_class: "1.2.840.10008.5.1.4.1.1.6.1",
            modality: "US",
            image_type: "ORIGINAL\\PRIMARY",
            manufacturer: "Acme",
            model: "Scan 1",
            pixels: Vec::new(),
        };
        let samples = if photometric == Photometric::YbrFull422 { 2 } else { usize::from(photometric.samples()) };
        let length = usize::from(rows) * usize::from(columns) * samples * frames as usize * usize::from(allocated / 8);
        this.pixels = (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
        this
    }

    pub(crate) fn data_set(&self) -> DataSet {
        let mut ds: DataSet = [
            text(tags::SOP_CLASS_UID, self.sop_class),
            text(tags::MODALITY, self.modality),
            text(tags::IMAGE_TYPE, self.image_type),
            text(tags::MANUFACTURER, self.manufacturer),
            text(tags::MANUFACTURER_MODEL_NAME, self.model),
            text(tags::PHOTOMETRIC_INTERPRETATION, self.photometric.as_str()),
            text(tags::NUMBER_OF_FRAMES, &self.frames.to_string()),
            us(tags::ROWS, &[self.rows]),
            us(tags::COLUMNS, &[self.columns]),
            us(tags::SAMPLES_PER_PIXEL, &[self.photometric.samples()]),
            us(tags::BITS_ALLOCATED, &[self.allocated]),
            us(tags::BITS_STORED, &[self.stored]),
            us(tags::HIGH_BIT, &[self.high]),
            us(tags::PIXEL_REPRESENTATION, &[u16::from(self.signed)]),
            us(tags::PLANAR_CONFIGURATION, &[u16::from(self.planar)]),
        ]
        .into_iter()
        .collect();
        let mut pixels = self.pixels.clone();
        if !pixels.len().is_multiple_of(2) {
            pixels.push(0x77);
        }
        ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value: Value::Bytes(pixels) });
        ds
    }
}
