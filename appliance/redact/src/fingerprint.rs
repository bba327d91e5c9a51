//! What may be said outside the hospital about the format of a held object, so that somebody can write a template for it.
//!
//! Every text of an object is the scanner's, and a name typed into Model would ride along. So a fingerprint holds numbers,
//! terms of closed lists, and of make, model and software version only what the vocabulary knows and nobody of the object is
//! called; anything else leaves as a keyed digest, equal for equal values and telling nothing more.

use crate::{
    Photometric, Templates,
    image::{single, text, unsigned},
    syntax,
    template::TemplateError,
};
use dicom_core::{Tag, dictionary::UidDictionary};
use dicom_dictionary_std::{StandardSopClassDictionary, tags};
use gift_deidentify::dataset::DataSet;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Makes, models and software versions that may be named.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    manufacturers: HashSet<String>,
    models: HashSet<String>,
    software_versions: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u16,
    manufacturers: HashSet<String>,
    models: HashSet<String>,
    software_versions: HashSet<String>,
}

impl Vocabulary {
    /// Reads the vocabulary and adds what `templates` state.
    ///
    /// # Errors
    /// Not the expected TOML, or another version.
    pub fn parse(name: &str, text: &str, templates: &Templates) -> Result<Self, TemplateError> {
        let file: File = toml::from_str(text).map_err(|e| TemplateError::toml(name, text, &e))?;
        if file.version != 1 {
            return Err(TemplateError::at(name, 1, "version is not 1"));
        }
        let mut this =
            Self { manufacturers: file.manufacturers, models: file.models, software_versions: file.software_versions };
        for conditions in templates.iter().map(|t| t.conditions()) {
            this.manufacturers.extend(conditions.manufacturer.clone());
            this.models.extend(conditions.model.clone());
            this.software_versions.extend(conditions.software_versions.iter().flatten().cloned());
        }
        Ok(this)
    }

    /// The makes, in no order.
    pub fn manufacturers(&self) -> impl Iterator<Item = &str> {
        self.manufacturers.iter().map(String::as_str)
    }

    /// The models, in no order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str)
    }
}

/// A keyed digest of a text: 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// From its 32 hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(|v| Self(v.to_be_bytes()))
    }
}

impl From<[u8; 16]> for Token {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text of the object, made safe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Term {
    /// No value.
    Absent,
    /// A value of the vocabulary, or of one of the standard's closed lists.
    Known(String),
    /// Any other value, by its keyed digest.
    Digest(Token),
}

/// The format of an object, without PHI. Equal formats of one site have equal fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fingerprint {
    /// SOP Class UID (0008,0016).
    pub sop_class: Term,
    /// Transfer Syntax UID.
    pub transfer_syntax: Term,
    /// Modality (0008,0060).
    pub modality: Term,
    /// Manufacturer (0008,0070).
    pub manufacturer: Term,
    /// Manufacturer's Model Name (0008,1090).
    pub model: Term,
    /// Software Versions (0018,1020).
    pub software_versions: Term,
    /// Photometric Interpretation (0028,0004).
    pub photometric: Term,
    /// Rows (0028,0010); `None` when absent or not one number.
    pub rows: Option<u16>,
    /// Columns (0028,0011).
    pub columns: Option<u16>,
    /// Samples per Pixel (0028,0002).
    pub samples: Option<u16>,
    /// Bits Allocated (0028,0100).
    pub bits_allocated: Option<u16>,
    /// Bits Stored (0028,0101).
    pub bits_stored: Option<u16>,
    /// More than one frame.
    pub multi_frame: bool,
    /// Rectangles of the US regions (0018,6011): left, top, right, bottom, px; the first [`MAX_REGIONS`].
    pub ultrasound_regions: Vec<[u32; 4]>,
}

/// Most US regions that a fingerprint names.
pub const MAX_REGIONS: usize = 16;

/// Modalities (PS3.3 C.7.3.1.1.1) that may be named.
const MODALITIES: &[&str] = &[
    "AU", "BI", "BMD", "CR", "CT", "DG", "DOC", "DX", "ECG", "EPS", "ES", "GM", "HC", "HD", "IO", "IVOCT", "IVUS",
    "KO", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OT", "PR", "PT", "PX", "REG", "RF", "RG",
    "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SC", "SEG", "SM", "SMR", "SR", "TG", "US", "VA",
    "XA", "XC",
];

impl Fingerprint {
    /// The fingerprint of an object. `suspect` is asked about make, model and software version even when they are known
    /// (the leak scan: does it hold an identifier of this object?); `digest` makes the keyed digest of a value, given what
    /// kind of value it is.
    ///
    /// # Errors
    /// Those of `digest`.
    pub fn of<E>(
        ds: &DataSet,
        transfer_syntax_uid: &str,
        vocabulary: &Vocabulary,
        suspect: impl Fn(&str) -> bool,
        mut digest: impl FnMut(&'static str, &str) -> Result<Token, E>,
    ) -> Result<Self, E> {
        let mut term = |kind: &'static str, value: Option<&str>, known: bool| match value {
            None | Some("") => Ok(Term::Absent),
            Some(value) if known => Ok(Term::Known(value.to_owned())),
            Some(value) => digest(kind, value).map(Term::Digest),
        };
        let value = |tag: Tag| text(ds, tag);
        // A value that is no text (not UTF-8, or too long to stand in memory) has a digest of nothing: still not absent.
        let free = |tag: Tag| value(tag).or(ds.contains(tag).then_some("\u{FFFD}"));
        let listed = |list: &HashSet<String>, v: Option<&str>| v.is_some_and(|v| list.contains(v) && !suspect(v));
        let sop_class = single(ds, tags::SOP_CLASS_UID);
        let modality = free(tags::MODALITY);
        let (make, model) = (free(tags::MANUFACTURER), free(tags::MANUFACTURER_MODEL_NAME));
        let versions = free(tags::SOFTWARE_VERSIONS);
        let photometric = free(tags::PHOTOMETRIC_INTERPRETATION);
        let number = |tag| unsigned(ds, tag).ok().flatten();
        Ok(Self {
            sop_class: term(
                "sop-class",
                sop_class,
                sop_class.is_some_and(|uid| StandardSopClassDictionary.by_uid(uid).is_some()),
            )?,
            transfer_syntax: term(
                "transfer-syntax",
                Some(transfer_syntax_uid),
                syntax::is_standard(transfer_syntax_uid),
            )?,
            modality: term("modality", modality, modality.is_some_and(|m| MODALITIES.contains(&m)))?,
            manufacturer: term("manufacturer", make, listed(&vocabulary.manufacturers, make))?,
            model: term("model", model, listed(&vocabulary.models, model))?,
            software_versions: term("software-versions", versions, listed(&vocabulary.software_versions, versions))?,
            photometric: term(
                "photometric-interpretation",
                photometric,
                photometric.is_some_and(|p| Photometric::from_term(p).is_some()),
            )?,
            rows: number(tags::ROWS),
            columns: number(tags::COLUMNS),
            samples: number(tags::SAMPLES_PER_PIXEL),
            bits_allocated: number(tags::BITS_ALLOCATED),
            bits_stored: number(tags::BITS_STORED),
            multi_frame: value(tags::NUMBER_OF_FRAMES).is_some_and(|n| !matches!(n, "" | "0" | "1")),
            ultrasound_regions: regions(ds),
        })
    }
}

fn regions(ds: &DataSet) -> Vec<[u32; 4]> {
    let corner = |item: &DataSet, tag| match item.get(tag).and_then(|e| e.value.bytes()) {
        // No image is wider than 65535: a larger number is not a coordinate.
        Some(&[a, b, c, d]) => u16::try_from(u32::from_le_bytes([a, b, c, d])).ok().map(u32::from),
        _ => None,
    };
    ds.items(tags::SEQUENCE_OF_ULTRASOUND_REGIONS)
        .iter()
        .take(MAX_REGIONS)
        .filter_map(|item| {
            Some([
                corner(item, tags::REGION_LOCATION_MIN_X0)?,
                corner(item, tags::REGION_LOCATION_MIN_Y0)?,
                corner(item, tags::REGION_LOCATION_MAX_X1)?,
                corner(item, tags::REGION_LOCATION_MAX_Y1)?,
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, text as element};
    use dicom_core::VR;
    use gift_deidentify::dataset::Element;

    fn vocabulary() -> Vocabulary {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/vocabulary.toml");
        Vocabulary::parse("vocabulary.toml", &std::fs::read_to_string(path).unwrap(), &Templates::default()).unwrap()
    }

    fn of(ds: &DataSet, syntax: &str) -> Fingerprint {
        let digest = |kind: &'static str, value: &str| {
            let mut bytes = [kind.len() as u8; 16];
            value.bytes().enumerate().for_each(|(i, b)| bytes[i % 16] = bytes[i % 16].rotate_left(3) ^ b);
            Ok::<_, ()>(Token::from(bytes))
        };
        Fingerprint::of(ds, syntax, &vocabulary(), |v| v == "Philips", digest).unwrap()
    }

    #[test]
    fn no_text_outside_the_closed_lists_is_in_a_fingerprint() {
        const NAME: &str = "DOE^JANE";
        let mut ds = Image::rgb(20, 30).data_set();
        for tag in [
            tags::MANUFACTURER,
            tags::MANUFACTURER_MODEL_NAME,
            tags::SOFTWARE_VERSIONS,
            tags::MODALITY,
            tags::PHOTOMETRIC_INTERPRETATION,
            tags::NUMBER_OF_FRAMES,
            tags::SOP_CLASS_UID,
            tags::ROWS,
            tags::COLUMNS,
            tags::IMAGE_TYPE,
        ] {
            ds.insert(element(tag, NAME));
        }
        let region: DataSet = [tags::REGION_LOCATION_MIN_X0, tags::REGION_LOCATION_MIN_Y0]
            .into_iter()
            .chain([tags::REGION_LOCATION_MAX_X1, tags::REGION_LOCATION_MAX_Y1])
            .map(|tag| Element::new(tag, VR::UL, *b"JANE"))
            .collect();
        ds.insert(Element::sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, vec![region]));
        let fingerprint = of(&ds, NAME);
        let json = serde_json::to_string(&fingerprint).unwrap();
        for part in ["DOE", "JANE"] {
            assert!(!json.contains(part) && !format!("{fingerprint:?}").contains(part), "{json}");
        }
        assert_eq!(json.matches("digest").count(), 7);
        assert!(fingerprint.ultrasound_regions.is_empty());
    }

    #[test]
    fn known_values_are_named_unless_suspect() {
        let mut image = Image::rgb(720, 960);
        (image.manufacturer, image.model) = ("GE Healthcare", "Voluson E10");
        let mut ds = image.data_set();
        ds.insert(element(tags::SOFTWARE_VERSIONS, "EC300"));
        let f = of(&ds, "1.2.840.10008.1.2.4.50");
        let known = |v: &str| Term::Known(v.into());
        assert_eq!(f.manufacturer, known("GE Healthcare"));
        assert_eq!(f.model, known("Voluson E10"));
        assert!(matches!(f.software_versions, Term::Digest(_)));
        assert_eq!((f.sop_class, f.transfer_syntax), (known(image.sop_class), known("1.2.840.10008.1.2.4.50")));
        assert_eq!((f.rows, f.columns, f.photometric), (Some(720), Some(960), known("RGB")));
        image.manufacturer = "Philips";
        assert!(matches!(of(&image.data_set(), "1.2.3").manufacturer, Term::Digest(_)));
        ds.remove(tags::MANUFACTURER);
        assert_eq!(of(&ds, "1.2.840.10008.1.2.4.50").manufacturer, Term::Absent);
    }

    #[test]
    fn uids_that_only_begin_like_the_standards_are_digests() {
        for uid in ["1.2.840.10008.1.2.4.9434765919", "1.2.840.10008.1.2.4.050", "1.2.840.10008.1.2.4.50.1", "1.2.840"]
        {
            assert!(!syntax::is_standard(uid), "{uid}");
        }
        for uid in ["1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.102.1", "1.2.840.10008.1.2.5"] {
            assert!(syntax::is_standard(uid), "{uid}");
        }
    }

    #[test]
    fn a_token_is_its_digits() {
        let token = Token::from_hex("00112233445566778899aabbccddeeff").unwrap();
        assert_eq!(token.to_string(), "00112233445566778899aabbccddeeff");
        assert!(Token::from_hex("+0112233445566778899aabbccddeeff").is_none());
        assert!(Token::from_hex("00").is_none());
    }
}
