//! Dummy values consistent with the VR (Table E.1-1a: D).

use dicom_core::VR;

use crate::dataset::Value;

/// The dummy text; fits every VR of text, CS included.
pub(super) const TEXT: &str = "REMOVED";
/// The dummy date: before any patient of today was born.
const DATE: &str = "19000101";

/// A dummy of the same VR and, for numbers, the same size. `None` when there is none and the attribute has to go.
pub(super) fn dummy(vr: VR, value: &Value) -> Option<Vec<u8>> {
    use VR::*;
    let text = |text: &str| Some(text.as_bytes().to_vec());
    match vr {
        AE | CS | LO | LT | PN | SH | ST | UC | UT => text(TEXT),
        DA => text(DATE),
        DT => text("19000101000000"),
        TM => text("000000"),
        AS => text("000Y"),
        DS | IS => text("0"),
        OB | OW | UN => Some(vec![0, 0]),
        AT | FD | FL | OD | OF | OL | OV | SL | SS | SV | UL | US | UV => Some(vec![0; value.bytes()?.len()]),
        UR => text("about:blank"),
        // A UID is never a dummy, it is replaced; a sequence is filled, not replaced.
        UI | SQ => None,
    }
}
