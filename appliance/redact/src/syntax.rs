//! Transfer syntaxes, as far as pixel data go (PS3.5 §8.2, Annex A).

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
    /// Encapsulated, and not one of the above.
    Other,
}

impl Syntax {
    /// By UID; unknown ones are [`Syntax::Other`].
    pub fn of(uid: &str) -> Self {
        match uid {
            "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" | "1.2.840.10008.1.2.1.99" | BIG_ENDIAN => {
                Self::Native
            }
            "1.2.840.10008.1.2.4.50" => Self::JpegBaseline,
            "1.2.840.10008.1.2.4.51" => Self::JpegExtended,
            _ => Self::Other,
        }
    }
}
