//! Transfer syntaxes, as far as pixel data go (PS3.5 §8.2, Annex A).

use crate::video::Standard;

/// Explicit VR Big Endian (retired).
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What encodes the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Not encapsulated: implicit, explicit, big endian, deflated.
    Native,
    /// JPEG baseline (process 1).
    JpegBaseline,
    /// JPEG extended (processes 2 and 4).
    JpegExtended,
    /// JPEG with spectral selection or full progression, Huffman coded (processes 6, 8, 10 and 12; retired).
    JpegProgressive,
    /// JPEG lossless (processes 14 and 14 SV1).
    JpegLossless,
    /// JPEG-LS, lossless and near-lossless.
    JpegLs,
    /// RLE lossless.
    Rle,
    /// Deflated frames.
    Deflated,
    /// JPEG 2000 and HTJ2K that must be lossless.
    Jpeg2000Lossless,
    /// JPEG 2000 and HTJ2K that may be lossy.
    Jpeg2000,
    /// JPEG XL that must be lossless.
    JpegXlLossless,
    /// JPEG XL that may be lossy, recompressed JPEG among it.
    JpegXl,
    /// Video: MPEG-2, H.264 or HEVC.
    Video(Standard),
    /// Encapsulated, and not one of the above.
    Other,
}

impl Syntax {
    /// What redaction has a codec for (for video: a coder, where one is set up), as templates state it: UIDs, and `native` for all that do not encapsulate.
    pub const REDACTED: &[&str] = &[
        "native",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.100",
        "1.2.840.10008.1.2.4.100.1",
        "1.2.840.10008.1.2.4.101",
        "1.2.840.10008.1.2.4.101.1",
        "1.2.840.10008.1.2.4.102",
        "1.2.840.10008.1.2.4.102.1",
        "1.2.840.10008.1.2.4.103",
        "1.2.840.10008.1.2.4.103.1",
        "1.2.840.10008.1.2.4.104",
        "1.2.840.10008.1.2.4.104.1",
        "1.2.840.10008.1.2.4.107",
        "1.2.840.10008.1.2.4.108",
        "1.2.840.10008.1.2.4.110",
        "1.2.840.10008.1.2.4.111",
        "1.2.840.10008.1.2.4.112",
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.4.203",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.8.1",
    ];

    /// Those that do not encapsulate.
    pub(crate) const NATIVE_UIDS: [&str; 4] =
        ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", BIG_ENDIAN];

    /// JPEG-LS lossless, which shares its codec with the near-lossless one.
    pub(crate) const JPEG_LS_LOSSLESS: &str = "1.2.840.10008.1.2.4.80";

    /// By UID; unknown ones are [`Syntax::Other`].
    pub fn of(uid: &str) -> Self {
        match uid {
            uid if Self::NATIVE_UIDS.contains(&uid) => Self::Native,
            "1.2.840.10008.1.2.4.50" => Self::JpegBaseline,
            "1.2.840.10008.1.2.4.51" => Self::JpegExtended,
            "1.2.840.10008.1.2.4.53" | "1.2.840.10008.1.2.4.55" => Self::JpegProgressive,
            "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => Self::JpegLossless,
            "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => Self::JpegLs,
            "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" => Self::Jpeg2000Lossless,
            "1.2.840.10008.1.2.4.91" | "1.2.840.10008.1.2.4.203" => Self::Jpeg2000,
            "1.2.840.10008.1.2.4.110" => Self::JpegXlLossless,
            "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => Self::JpegXl,
            "1.2.840.10008.1.2.8.1" => Self::Deflated,
            "1.2.840.10008.1.2.5" => Self::Rle,
            other => Standard::of(other).map_or(Self::Other, Self::Video),
        }
    }
}

/// Transfer syntaxes of the standard (PS3.6 table A-1): a UID that is none of these is nothing to name in a report.
const STANDARD: &[&str] = &[
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.98",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.6.1",
    "1.2.840.10008.1.2.6.2",
    "1.2.840.10008.1.2.7.1",
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
    "1.2.840.10008.1.2.8.1",
];

/// True for a transfer syntax of the standard.
pub(crate) fn is_standard(uid: &str) -> bool {
    if STANDARD.contains(&uid) {
        return true;
    }
    // 1.2.840.10008.1.2.4.x: 50…66, 70, 80, 81, 90…95, 100…108 (and .1 of them), 110…112, 201…205.
    let Some(rest) = uid.strip_prefix("1.2.840.10008.1.2.4.") else { return false };
    let (number, fragmentable) = match rest.strip_suffix(".1") {
        Some(number) => (number, true),
        None => (rest, false),
    };
    match number.parse::<u16>() {
        Ok(n) if n.to_string() != number => false,
        Ok(n) if fragmentable => (100..=106).contains(&n),
        Ok(n) => matches!(n, 50..=66 | 70 | 80 | 81 | 90..=95 | 100..=108 | 110..=112 | 201..=205),
        Err(_) => false,
    }
}
