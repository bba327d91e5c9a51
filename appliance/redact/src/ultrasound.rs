//! Sequence of Ultrasound Regions (0018,6011), PS3.3 C.8.5.5: where a scanner says that there is ultrasound, and of what kind.
//!
//! The scanner's word is a condition that a template may state, and may narrow what a template keeps. It never widens it.

use crate::{
    image::{Inconsistent, unsigned},
    mask::Rect,
};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Value};
use serde::Deserialize;

/// One region, as an item of the sequence states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UltrasoundRegion {
    /// Region Location Min X0, Min Y0, Max X1, Max Y1 (0018,6018, 601A, 601C, 601E), px; PS3.3 C.8.5.5.1.
    pub location: [u32; 4],
    /// Region Spatial Format (0018,6012), PS3.3 C.8.5.5.1.1: 1 is 2D, 2 M-mode, 3 spectral, 4 wave form, 5 graphics.
    pub spatial_format: u16,
    /// Region Data Type (0018,6014), PS3.3 C.8.5.5.1.2: 1 is tissue, 2 colour flow, …
    pub data_type: u16,
}

impl UltrasoundRegion {
    /// The pixels that are surely inside, on an image of `rows` × `columns`. Scanners disagree whether X1 and Y1 are the last pixel
    /// or the one behind it, so these are left out.
    ///
    /// # Errors
    /// Empty, or reaching outside the image by either reading.
    pub(crate) fn inside(&self, rows: u16, columns: u16) -> Result<Rect, Inconsistent> {
        let [x0, y0, x1, y1] = self.location;
        let fits = x0 < x1 && y0 < y1 && x1 <= u32::from(columns) && y1 <= u32::from(rows);
        if fits { Ok(Rect { x0, y0, x1, y1 }) } else { Err(Inconsistent) }
    }
}

/// The regions of an object in ascending order; none when it states none.
///
/// # Errors
/// The attribute is no sequence, or an item lacks a value or has several.
pub(crate) fn regions(ds: &DataSet) -> Result<Vec<UltrasoundRegion>, Inconsistent> {
    let items = match ds.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).map(|e| &e.value) {
        None => return Ok(Vec::new()),
        Some(Value::Sequence(items)) => items,
        // Empty, and written without a VR.
        Some(value) if value.bytes().is_some_and(<[u8]>::is_empty) => return Ok(Vec::new()),
        Some(_) => return Err(Inconsistent),
    };
    let corner = |item: &DataSet, tag: Tag| match item.get(tag).and_then(|e| e.value.bytes()) {
        Some(&[a, b, c, d]) => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(Inconsistent),
    };
    let mut regions = items
        .iter()
        .map(|item| {
            Ok(UltrasoundRegion {
                location: [
                    corner(item, tags::REGION_LOCATION_MIN_X0)?,
                    corner(item, tags::REGION_LOCATION_MIN_Y0)?,
                    corner(item, tags::REGION_LOCATION_MAX_X1)?,
                    corner(item, tags::REGION_LOCATION_MAX_Y1)?,
                ],
                spatial_format: unsigned(item, tags::REGION_SPATIAL_FORMAT)?.ok_or(Inconsistent)?,
                data_type: unsigned(item, tags::REGION_DATA_TYPE)?.ok_or(Inconsistent)?,
            })
        })
        .collect::<Result<Vec<_>, Inconsistent>>()?;
    regions.sort_unstable();
    Ok(regions)
}
