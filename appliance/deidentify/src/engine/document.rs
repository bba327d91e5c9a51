//! Encapsulated documents (PS3.3 A.45, A.104, A.105): replaced by an empty one of their kind (Table E.1-1, D).

use dicom_core::{Tag, VR};

use crate::dataset::{DataSet, Element};

const DOCUMENT: Tag = Tag(0x0042, 0x0011);
const DOCUMENT_LENGTH: Tag = Tag(0x0042, 0x0015);
const ROOT: &str = "1.2.840.10008.5.1.4.1.1.104.";

const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
const CDA: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>";
const OBJ: &str = "# removed\n";

/// True for the SOP classes of encapsulated documents.
pub(super) fn is_document(sop_class_uid: &str) -> bool {
    sop_class_uid.starts_with(ROOT)
}

/// Puts the empty document in place of the dummy that the rules left.
pub(super) fn replace(ds: &mut DataSet, sop_class_uid: &str) {
    let document = match &sop_class_uid[ROOT.len()..] {
        "1" => PDF.as_bytes().to_vec(),
        "2" => CDA.as_bytes().to_vec(),
        // Binary STL: header of 80 bytes, then no triangles.
        "3" => vec![0; 84],
        _ => OBJ.as_bytes().to_vec(),
    };
    if ds.contains(DOCUMENT_LENGTH) {
        ds.insert(Element::new(DOCUMENT_LENGTH, VR::UL, (document.len() as u32).to_le_bytes()));
    }
    ds.insert(Element::new(DOCUMENT, VR::OB, document));
}
