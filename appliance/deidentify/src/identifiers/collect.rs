//! Collecting the identifiers of an object as received.

use dicom_core::{Tag, VR};

use super::{Entry, Identifiers, Kind};
use crate::dataset::{CharacterSet, DataSet, Element, Value, dictionary_vr, is_text};
use crate::date;
use crate::text::{joined, words};

/// Most UIDs that are looked for in the output; an object may refer to tens of thousands.
const MAX_UIDS: usize = 256;
/// Most other values of each kind; an object that has more is held.
const MAX_ENTRIES: usize = 2_000;
/// Values of a kind that are collected before they are sorted and those that came twice are dropped.
const MOST_AT_ONCE: usize = 4 * MAX_ENTRIES;
/// Most bytes of all values together: what is looked for is held in memory in every encoding.
const MAX_BYTES: usize = 256 << 10;
/// Most bytes of all pairs of words of the names, each pair with [`PAIR_BYTES`] of its own. A name whose words are paired with each
/// other costs the square of their number; an object that names more is held.
const MAX_PAIRED_BYTES: usize = 256 << 10;
/// What a pair costs besides its letters, bytes.
const PAIR_BYTES: usize = 24;
/// SOP, Study, Series Instance UID, Frame of Reference UID.
const OWN_UIDS: [Tag; 4] = [Tag(0x0008, 0x0018), Tag(0x0020, 0x000D), Tag(0x0020, 0x000E), Tag(0x0020, 0x0052)];
/// UIDs of the standard itself.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// Shortest UID that is looked for, characters.
const MIN_UID: usize = 10;

/// Attributes whose values identify, with what they identify. Person names need no list: their VR tells.
const LISTED: &[(u16, u16, Kind)] = &[
    (0x0008, 0x0050, Kind::Number),      // Accession Number
    (0x0010, 0x0020, Kind::Number),      // Patient ID
    (0x0010, 0x1000, Kind::Number),      // Other Patient IDs
    (0x0010, 0x1050, Kind::Number),      // Insurance Plan Identification
    (0x0010, 0x1090, Kind::Number),      // Medical Record Locator
    (0x0012, 0x0040, Kind::Number),      // Clinical Trial Subject ID
    (0x0012, 0x0042, Kind::Number),      // Clinical Trial Subject Reading ID
    (0x0020, 0x0010, Kind::Number),      // Study ID
    (0x0038, 0x0010, Kind::Number),      // Admission ID
    (0x0038, 0x0060, Kind::Number),      // Service Episode ID
    (0x0040, 0x0009, Kind::Number),      // Scheduled Procedure Step ID
    (0x0040, 0x0253, Kind::Number),      // Performed Procedure Step ID
    (0x0040, 0x050A, Kind::Number),      // Specimen Accession Number
    (0x0040, 0x0512, Kind::Number),      // Container Identifier
    (0x0040, 0x0551, Kind::Number),      // Specimen Identifier
    (0x0040, 0x1001, Kind::Number),      // Requested Procedure ID
    (0x0040, 0x2016, Kind::Number),      // Placer Order Number
    (0x0040, 0x2017, Kind::Number),      // Filler Order Number
    (0x4008, 0x0040, Kind::Number),      // Results ID
    (0x4008, 0x0200, Kind::Number),      // Interpretation ID
    (0x0008, 0x0092, Kind::Address),     // Referring Physician's Address
    (0x0010, 0x1040, Kind::Address),     // Patient's Address
    (0x0040, 0x1102, Kind::Address),     // Person's Address
    (0x0040, 0xA353, Kind::Address),     // Address (Trial)
    (0x0038, 0x0400, Kind::Address),     // Patient's Institution Residence
    (0x0008, 0x0094, Kind::Contact),     // Referring Physician's Telephone Numbers
    (0x0010, 0x2154, Kind::Contact),     // Patient's Telephone Numbers
    (0x0010, 0x2155, Kind::Contact),     // Patient's Telecom Information
    (0x0040, 0x1103, Kind::Contact),     // Person's Telephone Numbers
    (0x0040, 0x1104, Kind::Contact),     // Person's Telecom Information
    (0x0040, 0x2010, Kind::Contact),     // Order Callback Phone Number
    (0x0040, 0xA354, Kind::Contact),     // Telephone Number (Trial)
    (0x0008, 0x0080, Kind::Institution), // Institution Name
    (0x0008, 0x0081, Kind::Institution), // Institution Address
    (0x0008, 0x1040, Kind::Institution), // Institutional Department Name
    (0x0012, 0x0031, Kind::Institution), // Clinical Trial Site Name
    (0x0012, 0x0060, Kind::Institution), // Clinical Trial Coordinating Center Name
    (0x0010, 0x2299, Kind::Institution), // Responsible Organization
    (0x0040, 0x4036, Kind::Institution), // Human Performer's Organization
    (0x0040, 0xA027, Kind::Institution), // Verifying Organization
    (0x0008, 0x1010, Kind::Device),      // Station Name
    (0x0018, 0x1000, Kind::Device),      // Device Serial Number
    (0x0018, 0x1004, Kind::Device),      // Plate ID
    (0x0018, 0x1005, Kind::Device),      // Generator ID
    (0x0018, 0x1007, Kind::Device),      // Cassette ID
    (0x0018, 0x1008, Kind::Device),      // Gantry ID
    (0x0018, 0x1010, Kind::Device),      // Secondary Capture Device ID
    (0x0018, 0x700A, Kind::Device),      // Detector ID
    (0x0040, 0x0010, Kind::Device),      // Scheduled Station Name
    (0x0040, 0x0242, Kind::Device),      // Performed Station Name
];

/// Numbers that are often words, of the procedure or the body part (`THYROID`): without a digit they identify nothing. Study ID,
/// Scheduled and Performed Procedure Step ID, Requested Procedure ID.
const CODES: [Tag; 4] = [Tag(0x0020, 0x0010), Tag(0x0040, 0x0009), Tag(0x0040, 0x0253), Tag(0x0040, 0x1001)];
/// Manufacturer, Manufacturer's Model Name: a station of the same name is no secret.
const MAKE: [Tag; 2] = [Tag(0x0008, 0x0070), Tag(0x0008, 0x1090)];

/// Device UID, Manufacturer's Device Class UID.
const DEVICE_UIDS: [Tag; 2] = [Tag(0x0018, 0x1002), Tag(0x0018, 0x100B)];
const BIRTH_DATE: Tag = Tag(0x0010, 0x0030);

impl Identifiers {
    /// Collects the identifiers of `original`, at every depth.
    pub fn collect(original: &DataSet) -> Self {
        let mut found = Self::default();
        // The root's own UIDs first: an object may refer to more than are looked for.
        for tag in OWN_UIDS {
            if let Some(element) = original.get(tag) {
                found.element(element, CharacterSet::of(original, CharacterSet::default()));
            }
        }
        found.level(original, CharacterSet::default());
        found.forget_make(original);
        found.tidy();
        for uids in [&mut found.uids, &mut found.device_uids] {
            uids.sort_unstable();
            uids.dedup();
        }
        found
    }

    /// True when the object names more persons, numbers or dates, or longer ones, than can be looked for: nothing can be said of its
    /// output.
    pub fn too_many(&self) -> bool {
        self.too_many
    }

    fn level(&mut self, ds: &DataSet, enclosing: CharacterSet) {
        let set = CharacterSet::of(ds, enclosing);
        for element in ds {
            if let Value::Sequence(items) = &element.value {
                items.iter().for_each(|item| self.level(item, set));
            } else {
                self.element(element, set);
            }
        }
    }

    /// Drops the stations that are called what the make or model is, all of it or one of its words.
    fn forget_make(&mut self, original: &DataSet) {
        let make: Vec<String> = MAKE.iter().filter_map(|tag| original.str(*tag)).collect();
        let is_make = |name: &str| {
            make.iter().any(|make| joined(make) == name || words(make).iter().any(|word| word.folded == name))
        };
        self.entries.retain(|entry| entry.kind != Kind::Device || !is_make(&joined(&entry.text)));
    }

    /// What the attribute is decides what its value identifies: the dictionary's VR counts beside the stated one, so that a name
    /// that a scanner calls LO, or UN, is still a name.
    fn element(&mut self, element: &Element, set: CharacterSet) {
        let stated = Some(element.vr).filter(|vr| is_text(*vr));
        let known = dictionary_vr(element.tag, false).filter(|vr| is_text(*vr));
        let texts = match (stated, known, element.value.bytes()) {
            (Some(_), _, _) => element.strings(set),
            (None, Some(known), Some(bytes)) => Element::new(element.tag, known, bytes).strings(set),
            _ => return,
        };
        let is = |vr| stated == Some(vr) || known == Some(vr);
        if is(VR::PN) {
            texts.iter().for_each(|name| self.person(name));
        }
        if is(VR::UI) {
            let uids = if DEVICE_UIDS.contains(&element.tag) { &mut self.device_uids } else { &mut self.uids };
            for uid in &texts {
                if uid.len() >= MIN_UID && !uid.starts_with(DICOM_ROOT) && uids.len() < MAX_UIDS {
                    uids.push(uid.clone());
                }
            }
        }
        if is(VR::DA) || is(VR::DT) {
            let dates = if element.tag == BIRTH_DATE { &mut self.birth_dates } else { &mut self.dates };
            dates.extend(texts.iter().filter_map(|text| date::day_of(text)));
        }
        if let Some((_, _, kind)) = LISTED.iter().find(|(g, e, _)| Tag(*g, *e) == element.tag) {
            let is_word = |text: &str| CODES.contains(&element.tag) && !text.chars().any(char::is_numeric);
            let texts = texts.into_iter().filter(|text| !text.is_empty() && !is_word(text));
            self.entries.extend(texts.map(|text| Entry { kind: *kind, text }));
        }
        if self.entries.len().max(self.persons.len()).max(self.dates.len()) > MOST_AT_ONCE {
            self.tidy();
        }
    }

    /// Sorts, and drops what was collected twice; notes when there is more than can be looked for.
    fn tidy(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.persons.sort_unstable();
        self.persons.dedup();
        for dates in [&mut self.birth_dates, &mut self.dates] {
            dates.sort_unstable();
            dates.dedup();
        }
        let most = self.entries.len().max(self.persons.len()).max(self.dates.len()).max(self.birth_dates.len());
        if most > MAX_ENTRIES {
            self.too_many = true;
            self.entries.truncate(MAX_ENTRIES);
            self.persons.truncate(MAX_ENTRIES);
            self.dates.truncate(MAX_ENTRIES);
            self.birth_dates.truncate(MAX_ENTRIES);
        }
        self.bound();
    }

    /// Drops what is past the bounds on lengths, and notes it.
    fn bound(&mut self) {
        let (mut bytes, mut paired) = (0_usize, 0_usize);
        let mut fits = |length: usize| {
            bytes = bytes.saturating_add(length);
            bytes <= MAX_BYTES
        };
        let before = (self.entries.len(), self.persons.len(), self.uids.len(), self.device_uids.len());
        self.entries.retain(|entry| fits(entry.text.len()));
        self.uids.retain(|uid| fits(uid.len()));
        self.device_uids.retain(|uid| fits(uid.len()));
        self.persons.retain(|words| {
            paired = paired.saturating_add(paired_bytes(words));
            paired <= MAX_PAIRED_BYTES && fits(words.iter().map(String::len).sum())
        });
        self.too_many |= before != (self.entries.len(), self.persons.len(), self.uids.len(), self.device_uids.len());
    }

    /// A person name: its component groups (alphabetic, ideographic, phonetic) are names of their own. A part with a digit is
    /// no name but a number (`QIN-HEAD-01`), and counts as a whole.
    fn person(&mut self, name: &str) {
        for group in name.split('=') {
            let parts = group.split(|c: char| c.is_whitespace() || matches!(c, '^' | ',' | ';'));
            let (numbers, names): (Vec<&str>, Vec<&str>) = parts.partition(|p| p.bytes().any(|b| b.is_ascii_digit()));
            self.entries.extend(numbers.iter().map(|n| Entry { kind: Kind::Number, text: (*n).to_owned() }));
            let cut =
                |part: &&str| words(part).into_iter().map(|w| part[w.start..w.end].to_owned()).collect::<Vec<_>>();
            let words: Vec<String> = names.iter().flat_map(cut).collect();
            if !words.is_empty() {
                self.persons.push(words);
            }
        }
    }
}

/// Bytes of all pairs that the words of a name make.
fn paired_bytes(words: &[String]) -> usize {
    let others = words.len().saturating_sub(1);
    let letters: usize = words.iter().map(String::len).sum();
    (words.len() * others / 2 * PAIR_BYTES).saturating_add(letters.saturating_mul(others))
}
