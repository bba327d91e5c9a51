//! The transfer syntaxes of video (PS3.5 8.2.5 to 8.2.11): what each allows, and what is written for it.

use crate::image::PixelLayout;
use serde::{Deserialize, Serialize};

/// Profile and level of a transfer syntax that is decoded and encoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standard {
    /// MPEG-2 Main Profile, Main Level (8.2.5).
    Mpeg2Main,
    /// MPEG-2 Main Profile, High Level (8.2.6).
    Mpeg2High,
    /// H.264 High Profile, Level 4.1 (8.2.7).
    Avc41,
    /// H.264 High Profile, Level 4.2, not stereo (8.2.8).
    Avc42,
    /// HEVC Main Profile, Level 5.1 (8.2.10).
    HevcMain,
    /// HEVC Main 10 Profile, Level 5.1 (8.2.11).
    HevcMain10,
}

/// Compatible with Blu-ray Disc, which binds more than the profile.
const BLU_RAY: [&str; 2] = ["1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.103.1"];

impl Standard {
    /// Of a transfer syntax; `None` for what is no video, and for stereo video (.105, .106), whose second view would be lost.
    pub fn of(transfer_syntax_uid: &str) -> Option<Self> {
        let number = transfer_syntax_uid.strip_prefix("1.2.840.10008.1.2.4.")?;
        Some(match number {
            "100" | "100.1" => Self::Mpeg2Main,
            "101" | "101.1" => Self::Mpeg2High,
            "102" | "102.1" | "103" | "103.1" => Self::Avc41,
            "104" | "104.1" => Self::Avc42,
            "107" => Self::HevcMain,
            "108" => Self::HevcMain10,
            _ => return None,
        })
    }

    /// Transfer syntax of what is written for an object in `transfer_syntax_uid`: the same; of the Blu-ray compatible ones that without,
    /// since nothing here vouches for more than profile and level.
    pub fn written(transfer_syntax_uid: &str) -> &str {
        match BLU_RAY.iter().position(|uid| *uid == transfer_syntax_uid) {
            Some(0) => "1.2.840.10008.1.2.4.102",
            Some(_) => "1.2.840.10008.1.2.4.102.1",
            None => transfer_syntax_uid,
        }
    }

    /// Lossy Image Compression Method (0028,2114), PS3.3 C.7.6.1.1.5.1.
    pub fn method_term(self) -> &'static str {
        match self {
            Self::Mpeg2Main | Self::Mpeg2High => "ISO_13818_2",
            Self::Avc41 | Self::Avc42 => "ISO_14496_10",
            Self::HevcMain | Self::HevcMain10 => "ISO_23008_2",
        }
    }

    /// Bits of a sample.
    pub fn bits(self) -> u16 {
        if self == Self::HevcMain10 { 10 } else { 8 }
    }

    /// True when the coder has a way to code fields.
    pub(crate) fn may_interlace(self) -> bool {
        !matches!(self, Self::HevcMain | Self::HevcMain10)
    }

    /// True when an image of this layout can be coded so: the form that the standard asks for, even sides, and no more pixels than the
    /// level has.
    pub(crate) fn is_supported(self, layout: &PixelLayout) -> bool {
        let (rows, columns) = (u32::from(layout.rows), u32::from(layout.columns));
        let pixels = rows * columns;
        let blocks = rows.div_ceil(16) * columns.div_ceil(16);
        let fits = match self {
            Self::Mpeg2Main => columns <= 720 && rows <= 576,
            Self::Mpeg2High => columns <= 1920 && rows <= 1152,
            Self::Avc41 => blocks <= 8_192,
            Self::Avc42 => blocks <= 8_704,
            Self::HevcMain | Self::HevcMain10 => pixels <= 8_912_896 && rows.max(columns) <= 8_444,
        };
        let bits = self.bits();
        fits && layout.bits_stored == bits
            && layout.bits_allocated == bits.next_multiple_of(8)
            && layout.high_bit + 1 == bits
            && !layout.planar
            && rows.is_multiple_of(2)
            && columns.is_multiple_of(2)
            && pixels >= 32 * 32
    }

    /// Most pixels in a second that the level has (ISO/IEC 13818-2 table 8-13, 14496-10 table A-1, 23008-2 table A.9).
    pub(crate) fn most_pixels_a_second(self) -> u64 {
        match self {
            Self::Mpeg2Main => 10_368_000,
            Self::Mpeg2High => 62_668_800,
            Self::Avc41 => 245_760 * 256,
            Self::Avc42 => 522_240 * 256,
            Self::HevcMain | Self::HevcMain10 => 534_773_760,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_is_not_coded_and_blu_ray_is_written_without_its_promise() {
        let uid = |number: &str| format!("1.2.840.10008.1.2.4.{number}");
        for number in ["105", "105.1", "106", "106.1", "107.1", "109", "50", "1021"] {
            assert_eq!(Standard::of(&uid(number)), None, "{number}");
        }
        for (number, written) in
            [("100", "100"), ("103", "102"), ("103.1", "102.1"), ("104.1", "104.1"), ("108", "108")]
        {
            assert!(Standard::of(&uid(number)).is_some());
            assert_eq!(Standard::written(&uid(number)), uid(written));
        }
    }
}
