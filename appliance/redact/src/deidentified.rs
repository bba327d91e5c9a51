//! What alone may be deposited for release: an object whose metadata went through a profile, whose pixels are cleared, and
//! whose finished bytes were scanned.

use crate::{PixelClearance, image};
use dicom_dictionary_std::tags;
use gift_deidentify::{LeakFree, Profiled, dataset::DataSet};

/// A `T` (finished bytes, a file, a manifest) that was made of a de-identified object. There is no other way to one than
/// [`Deidentified::seal`], and no way to any of its three proofs but doing the work.
pub struct Deidentified<T> {
    value: T,
    pixels: PixelClearance,
    leak: LeakFree,
}

/// Without the value.
impl<T> std::fmt::Debug for Deidentified<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deidentified").field("pixels", &self.pixels).field("leak", &self.leak).finish_non_exhaustive()
    }
}

/// The proofs do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The pixel data of the de-identified data set are not those that were cleared.
    #[error("the pixels are not those that were cleared")]
    OtherPixels,
    /// Something that shows pixels is left beside Pixel Data: an icon, an overlay, a nested image.
    #[error("pixels are left beside the cleared ones")]
    MorePixels,
}

impl<T> Deidentified<T> {
    /// Seals `value`, which was made of `profiled`, whose pixels `pixels` cleared, and whose bytes `leak` is the scan of.
    ///
    /// # Errors
    /// [`SealError`] when `pixels` is not about this data set: a mistake of the caller, never of the object.
    pub fn seal(value: T, profiled: &Profiled, pixels: PixelClearance, leak: LeakFree) -> Result<Self, SealError> {
        let ds = profiled.data_set();
        if ds.get(tags::PIXEL_DATA).map(|e| &e.value) != pixels.cleared() {
            return Err(SealError::OtherPixels);
        }
        if shows_more(ds) {
            return Err(SealError::MorePixels);
        }
        Ok(Self { value, pixels, leak })
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, without its proofs: for the one who deposits it.
    pub fn into_value(self) -> T {
        self.value
    }

    /// On what ground the pixels are cleared.
    pub fn pixels(&self) -> &PixelClearance {
        &self.pixels
    }

    /// The leak scan.
    pub fn leak(&self) -> LeakFree {
        self.leak
    }
}

/// Overlay Data (60xx,3000) anywhere, or pixel data anywhere but in Pixel Data at the top.
fn shows_more(ds: &DataSet) -> bool {
    let overlay = |e: &gift_deidentify::dataset::Element| e.tag.0 & 0xFF00 == 0x6000 && e.tag.1 == 0x3000;
    let pixels = ds.walk().filter(|e| image::PIXEL_TAGS.contains(&e.tag)).count();
    ds.walk().any(overlay) || pixels > usize::from(ds.contains(tags::PIXEL_DATA))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Decision, NeverBurntIn, Templates, apply, decide,
        testing::{Image, text},
    };
    use dicom_core::VR;
    use gift_deidentify::{
        Identifiers, Kept,
        dataset::{Element, Sources},
        deidentify,
        profile::{Profile, Tables},
        pseudonym::{KeyedPseudonymiser, PseudonymKey},
    };

    fn config(path: &str) -> String {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        std::fs::read_to_string(root.join(path)).unwrap()
    }

    fn profile() -> Profile {
        let tables = Tables::parse(
            &config("ps3.15/table_E.1-1_2026c.csv"),
            &config("ps3.15/table_E.3.10-1_safe_private_2026c.csv"),
            &config("ps3.15/table_E.3.4-1_structured_content_2026c.csv"),
        );
        Profile::from_toml(&config("profiles/basic.toml"), &tables.unwrap(), &|_| None).unwrap()
    }

    fn ct(stored: u16) -> DataSet {
        let mut image = Image::of(crate::Photometric::Monochrome2, 8, 8, 1, 16, stored);
        (image.sop_class, image.modality, image.image_type) =
            ("1.2.840.10008.5.1.4.1.1.2", "CT", "ORIGINAL\\PRIMARY\\AXIAL");
        let mut ds = image.data_set();
        for (tag, uid) in [
            (tags::SOP_INSTANCE_UID, "1.2.3"),
            (tags::STUDY_INSTANCE_UID, "1.2.4"),
            (tags::SERIES_INSTANCE_UID, "1.2.5"),
        ] {
            ds.insert(Element::new(tag, VR::UI, uid));
        }
        ds.insert(text(tags::PATIENT_ID, "AB123456"));
        ds
    }

    const NATIVE: &str = "1.2.840.10008.1.2.1";

    fn clear(ds: &DataSet) -> PixelClearance {
        let list = NeverBurntIn::parse("n", &config("templates/never-burnt-in.toml")).unwrap();
        match decide(ds, NATIVE, &Templates::default(), &list) {
            Decision::Clear(clearance) => clearance,
            other => panic!("{other:?}"),
        }
    }

    fn profiled(ds: DataSet) -> (Profiled, Identifiers) {
        let identifiers = Identifiers::collect(&ds);
        let mut who = KeyedPseudonymiser::new(PseudonymKey::new(&[7; 32], 1));
        (deidentify(ds, NATIVE, &identifiers, &profile(), &mut who).unwrap(), identifiers)
    }

    fn scan(profiled: &Profiled, identifiers: &Identifiers) -> (Vec<u8>, LeakFree) {
        let mut out = Vec::new();
        profiled.write(Sources { input: &Vec::new(), scratch: &Vec::new() }, &mut out).unwrap();
        let leak = identifiers.scan(&out, Kept::by(&profile())).unwrap();
        (out, leak)
    }

    #[test]
    fn three_proofs_of_one_object_make_it_deidentified() {
        let ds = ct(16);
        let clearance = clear(&ds);
        let (profiled, identifiers) = profiled(ds);
        let (out, leak) = scan(&profiled, &identifiers);
        let sealed = Deidentified::seal(out, &profiled, clearance, leak).unwrap();
        assert!(sealed.value().len() > 128 && sealed.pixels().frames() == 1);
    }

    #[test]
    fn proofs_of_different_objects_do_not() {
        let (one, other) = (ct(16), {
            let mut ds = ct(16);
            ds.insert(Element::new(tags::PIXEL_DATA, VR::OW, vec![3; 128]));
            ds
        });
        let (of_one, identifiers) = profiled(one.clone());
        let (out, leak) = scan(&of_one, &identifiers);
        assert_eq!(Deidentified::seal(&out, &of_one, clear(&other), leak).unwrap_err(), SealError::OtherPixels);
        // A clearance of something without pixels does not clear pixels.
        let mut sr = DataSet::new();
        sr.insert(text(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.88.33"));
        assert_eq!(Deidentified::seal(&out, &of_one, clear(&sr), leak).unwrap_err(), SealError::OtherPixels);
    }

    #[test]
    fn a_plan_that_was_not_carried_out_does_not() {
        let mut ds = ct(12);
        let list = NeverBurntIn::parse("n", &config("templates/never-burnt-in.toml")).unwrap();
        let Decision::Redact(plan) = decide(&ds, NATIVE, &Templates::default(), &list) else { panic!() };
        let before = ds.clone();
        let clearance = apply(&plan, &mut ds, &Vec::new(), &mut Vec::new()).unwrap();
        let (as_received, identifiers) = profiled(before);
        let (out, leak) = scan(&as_received, &identifiers);
        assert_eq!(Deidentified::seal(out, &as_received, clearance, leak).unwrap_err(), SealError::OtherPixels);
    }

    #[test]
    fn overlays_icons_and_nested_images_are_seen() {
        let nested = Element::sequence(tags::ICON_IMAGE_SEQUENCE, vec![ct(16)]);
        for extra in [Element::new(dicom_core::Tag(0x6002, 0x3000), VR::OW, vec![1, 2]), nested] {
            let mut ds = ct(16);
            assert!(!shows_more(&ds));
            ds.insert(extra);
            assert!(shows_more(&ds));
        }
    }
}
