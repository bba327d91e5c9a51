//! What the archive keeps of an object so that QIDO-RS and the pages need not open it: the attributes of PS3.18 Tables 10.6.3-3
//! to -5 (study, series, instance), as DICOM JSON, and the few that are searched for.

use std::collections::BTreeMap;

use dicom_core::Tag;

use super::{
    json::{JsonWriter, Options},
    text::{Charset, ascii},
    walk::{Event, Value, Visitor},
};

/// Study-level attributes.
const STUDY: &[Tag] = &[
    Tag(0x0008, 0x0005), // Specific Character Set
    Tag(0x0008, 0x0020), // Study Date
    Tag(0x0008, 0x0030), // Study Time
    Tag(0x0008, 0x0050), // Accession Number
    Tag(0x0008, 0x0090), // Referring Physician's Name
    Tag(0x0008, 0x0201), // Timezone Offset From UTC
    Tag(0x0008, 0x1030), // Study Description
    Tag(0x0010, 0x0010), // Patient's Name
    Tag(0x0010, 0x0020), // Patient ID
    Tag(0x0010, 0x0030), // Patient's Birth Date
    Tag(0x0010, 0x0040), // Patient's Sex
    Tag(0x0010, 0x1010), // Patient's Age
    Tag(0x0012, 0x0062), // Patient Identity Removed
    Tag(0x0020, 0x000D), // Study Instance UID
    Tag(0x0020, 0x0010), // Study ID
];

/// Series-level attributes.
const SERIES: &[Tag] = &[
    Tag(0x0008, 0x0005), // Specific Character Set
    Tag(0x0008, 0x0021), // Series Date
    Tag(0x0008, 0x0031), // Series Time
    Tag(0x0008, 0x0060), // Modality
    Tag(0x0008, 0x0070), // Manufacturer
    Tag(0x0008, 0x103E), // Series Description
    Tag(0x0008, 0x1090), // Manufacturer's Model Name
    Tag(0x0018, 0x0015), // Body Part Examined
    Tag(0x0020, 0x000E), // Series Instance UID
    Tag(0x0020, 0x0011), // Series Number
    Tag(0x0020, 0x0052), // Frame of Reference UID
    Tag(0x0020, 0x0060), // Laterality
    Tag(0x0040, 0x0244), // Performed Procedure Step Start Date
    Tag(0x0040, 0x0245), // Performed Procedure Step Start Time
];

/// Instance-level attributes.
const INSTANCE: &[Tag] = &[
    Tag(0x0008, 0x0005), // Specific Character Set
    Tag(0x0008, 0x0008), // Image Type
    Tag(0x0008, 0x0016), // SOP Class UID
    Tag(0x0008, 0x0018), // SOP Instance UID
    Tag(0x0008, 0x0023), // Content Date
    Tag(0x0020, 0x0012), // Acquisition Number
    Tag(0x0020, 0x0013), // Instance Number
    Tag(0x0028, 0x0002), // Samples per Pixel
    Tag(0x0028, 0x0004), // Photometric Interpretation
    Tag(0x0028, 0x0008), // Number of Frames
    Tag(0x0028, 0x0010), // Rows
    Tag(0x0028, 0x0011), // Columns
    Tag(0x0028, 0x0100), // Bits Allocated
    Tag(0x0028, 0x0301), // Burned In Annotation
];

/// The indexed attributes of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// DICOM JSON of the study-level attributes.
    pub study: String,
    /// DICOM JSON of the series-level attributes.
    pub series: String,
    /// DICOM JSON of the instance-level attributes.
    pub instance: String,
    /// Study Date, as it stands.
    pub study_date: String,
    /// Accession Number.
    pub accession: String,
    /// Study Description.
    pub study_description: String,
    /// Modality.
    pub modality: String,
    /// Series Number.
    pub series_number: String,
    /// Series Description.
    pub series_description: String,
    /// Instance Number.
    pub instance_number: String,
}

/// Builds an [`Index`] on the walk.
#[derive(Debug)]
pub struct Indexer {
    levels: [JsonWriter; 3],
    charset: Charset,
    values: BTreeMap<Tag, String>,
}

impl Default for Indexer {
    fn default() -> Self {
        let level = |only| JsonWriter::new(Options { only: Some(only), ..Options::default() });
        Self {
            levels: [level(STUDY), level(SERIES), level(INSTANCE)],
            charset: Charset::default(),
            values: BTreeMap::new(),
        }
    }
}

impl Indexer {
    /// The index.
    pub fn finish(mut self) -> Index {
        let mut take = |group, element| self.values.remove(&Tag(group, element)).unwrap_or_default();
        let (study_date, accession) = (take(0x0008, 0x0020), take(0x0008, 0x0050));
        let (study_description, modality) = (take(0x0008, 0x1030), take(0x0008, 0x0060));
        let (series_number, series_description) = (take(0x0020, 0x0011), take(0x0008, 0x103E));
        let instance_number = take(0x0020, 0x0013);
        let [study, series, instance] = self.levels.map(JsonWriter::finish);
        Index {
            study,
            series,
            instance,
            study_date,
            accession,
            study_description,
            modality,
            series_number,
            series_description,
            instance_number,
        }
    }
}

impl Visitor for Indexer {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        for level in &mut self.levels {
            level.visit(depth, event);
        }
        if let (0, Event::Element { tag, value: Value::Bytes(bytes), .. }) = (depth, event) {
            match (tag.group(), tag.element()) {
                (0x0008, 0x0005) => self.charset = Charset::from_value(bytes),
                (0x0008, 0x0020 | 0x0060) | (0x0020, 0x0011 | 0x0013) => {
                    self.values.insert(tag, ascii(bytes));
                }
                (0x0008, 0x0050 | 0x1030 | 0x103E) => {
                    let text = self.charset.decode(bytes);
                    self.values.insert(tag, text.trim_matches([' ', '\0']).to_owned());
                }
                _ => {}
            }
        }
    }
}
