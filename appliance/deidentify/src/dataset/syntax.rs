//! Transfer syntaxes, as far as the encoding of the data set goes (PS3.5 annex A).

/// Implicit VR Little Endian.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Deflated Explicit VR Little Endian.
pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Explicit VR Big Endian (retired).
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// JPIP Referenced Deflate and JPIP HTJ2K Referenced Deflate: deflated data sets without pixels.
const DEFLATED_REFERENCED: [&str; 2] = ["1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"];

/// How elements are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) explicit: bool,
    pub(super) big_endian: bool,
}

pub(super) const IMPLICIT: Encoding = Encoding { explicit: false, big_endian: false };
pub(super) const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };
pub(super) const EXPLICIT_BIG: Encoding = Encoding { explicit: true, big_endian: true };

/// Encoding of the data set, and whether it is deflated. Whatever is not known is explicit VR little endian, as the
/// standard asks of every encapsulated transfer syntax (PS3.5 A.4) and as DCMTK takes private ones.
pub(super) fn encoding_of(transfer_syntax_uid: &str) -> (Encoding, bool) {
    match transfer_syntax_uid {
        IMPLICIT_VR_LITTLE_ENDIAN => (IMPLICIT, false),
        EXPLICIT_VR_BIG_ENDIAN => (EXPLICIT_BIG, false),
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => (EXPLICIT, true),
        uid if DEFLATED_REFERENCED.contains(&uid) => (EXPLICIT, true),
        _ => (EXPLICIT, false),
    }
}

/// True for transfer syntaxes whose pixel data are native (not encapsulated).
pub fn is_native(transfer_syntax_uid: &str) -> bool {
    [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]
        .contains(&transfer_syntax_uid)
}
