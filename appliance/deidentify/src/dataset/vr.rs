//! What the standard dictionary and a VR say about an element's encoding (PS3.5 §6.2, §7.1, §7.3; PS3.6).

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// Pixel Data (7FE0,0010).
pub(crate) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// VR of `tag` by the standard dictionary; `None` for private and unknown attributes. `signed`: Pixel Representation
/// (0028,0103) of the data set is 1, which decides between US and SS.
pub fn dictionary_vr(tag: Tag, signed: bool) -> Option<VR> {
    if tag.0 % 2 == 1 {
        return is_private_creator(tag).then_some(VR::LO);
    }
    match StandardDataDictionary.by_tag(tag)?.vr() {
        VirtualVr::Xs if signed => Some(VR::SS),
        other => Some(other.relaxed()),
    }
}

/// True when `vr` is one that the standard allows for `tag` (several may be).
pub fn is_allowed_vr(tag: Tag, vr: VR) -> bool {
    let Some(entry) = StandardDataDictionary.by_tag(tag) else { return false };
    match entry.vr() {
        VirtualVr::Exact(exact) => exact == vr,
        VirtualVr::Xs => matches!(vr, VR::US | VR::SS),
        VirtualVr::Ox | VirtualVr::Px => matches!(vr, VR::OB | VR::OW),
        VirtualVr::Lt => matches!(vr, VR::US | VR::SS | VR::OW),
        _ => false,
    }
}

/// True for (gggg,0010-00FF) with an odd group (PS3.5 §7.8.1).
pub fn is_private_creator(tag: Tag) -> bool {
    tag.0 % 2 == 1 && (0x0010..=0x00FF).contains(&tag.1)
}

/// True for VRs whose explicit header has two reserved bytes and a 32-bit length (PS3.5 Table 7.1-1).
pub(super) fn is_long_form(vr: VR) -> bool {
    use VR::*;
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

/// Width of the words that byte order concerns; 1 for text and bytes.
pub(super) fn word_width(vr: VR) -> u64 {
    use VR::*;
    match vr {
        US | SS | OW | AT => 2,
        UL | SL | FL | OF | OL => 4,
        FD | OD | SV | UV | OV => 8,
        _ => 1,
    }
}

/// True for VRs of characters; their values are always held in memory.
pub fn is_text(vr: VR) -> bool {
    use VR::*;
    matches!(vr, AE | AS | CS | DA | DS | DT | IS | LO | LT | PN | SH | ST | TM | UC | UI | UR | UT)
}

/// True for text VRs that Specific Character Set governs (PS3.5 §6.1.2.3).
pub fn uses_character_set(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}

/// True for text VRs in which a backslash separates values (PS3.5 §6.4).
pub fn is_multi_valued(vr: VR) -> bool {
    is_text(vr) && !matches!(vr, VR::LT | VR::ST | VR::UR | VR::UT)
}
