//! Every element of every item meets its fate.

use dicom_core::{Tag, VR};

use crate::dataset::{CharacterSet, DataSet, Element, Value, is_multi_valued, is_text, uses_character_set};
use crate::date;
use crate::identifiers::{Cleaner, Identifiers, Kept};
use crate::profile::Profile;
use crate::profile::rule::{Fate, basic_fate, fate};

use super::asks::{Answers, is_instance_uid};
use super::journal::Journal;
use super::{Counts, ISSUER_OF_PATIENT_ID, PATIENT_ID, PATIENT_NAME, SPECIFIC_CHARACTER_SET, content, dummy, private};

/// Content Sequence (0040,A730): content items even where the profile does not clean them.
const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);
/// Body Part Examined.
const BODY_PART_EXAMINED: Tag = Tag(0x0018, 0x0015);
/// Graphic Layer and Content Label: codes that people make up, and without which their object is invalid.
const LABELS: [Tag; 2] = [Tag(0x0070, 0x0002), Tag(0x0070, 0x0080)];
/// Coding Scheme Designator, and what a dummy code has there (PS3.16 §8: local schemes begin with 99).
const CODING_SCHEME: Tag = Tag(0x0008, 0x0102);
const DUMMY_SCHEME: &str = "99GIFT";

/// Where an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// At the root.
    Root,
    /// In an item.
    Item,
    /// In a content item, whose text was already judged by its concept.
    Content,
    /// In an item of a sequence that is to be a dummy (D): what would be kept becomes a dummy too.
    Dummy,
}

impl Mode {
    fn inside(self) -> Self {
        if self == Self::Dummy { Self::Dummy } else { Self::Item }
    }
}

/// One object under way.
pub(crate) struct Apply<'a> {
    pub(super) profile: &'a Profile,
    pub(super) identifiers: &'a Identifiers,
    pub(super) answers: &'a Answers,
    pub(super) cleaner: Cleaner,
    pub(super) counts: Counts,
    /// Some text is beyond ASCII: it was made UTF-8.
    beyond_ascii: bool,
    pub(super) journal: Journal,
}

impl<'a> Apply<'a> {
    pub(super) fn new(profile: &'a Profile, identifiers: &'a Identifiers, answers: &'a Answers) -> Self {
        let cleaner = Cleaner::new(identifiers, Kept::by(profile));
        Self {
            profile,
            identifiers,
            answers,
            cleaner,
            counts: Counts::default(),
            beyond_ascii: false,
            journal: Journal::default(),
        }
    }

    /// De-identifies one data set or item, in `enclosing`'s character set unless it states its own.
    pub(super) fn level(&mut self, ds: &mut DataSet, enclosing: CharacterSet, mode: Mode) {
        let set = CharacterSet::of(ds, enclosing);
        let safe = private::safe_attributes(ds, self.profile);
        ds.retain_mut(|element| {
            if element.tag == SPECIFIC_CHARACTER_SET {
                return mode == Mode::Root; // Settled at the end; an item's own is not needed after transcoding.
            }
            let note = self.journal.before(self.profile, element, self.counts);
            let stays = match safe.get(&element.tag) {
                Some(vr) => self.private(element, *vr, set, mode),
                None => self.element(element, set, mode),
            };
            self.journal.after(note, stays, self.counts);
            stays
        });
    }

    fn private(&mut self, element: &mut Element, vr: VR, set: CharacterSet, mode: Mode) -> bool {
        match private::fate(element, vr) {
            // Safe as to its meaning; still text of this object.
            Some(fate) => self.meet(element, fate, set, mode),
            None => self.remove(),
        }
    }

    fn element(&mut self, element: &mut Element, set: CharacterSet, mode: Mode) -> bool {
        let mut fate = fate(self.profile, element);
        let is_label = mode == Mode::Root && matches!(element.tag, PATIENT_ID | PATIENT_NAME | ISSUER_OF_PATIENT_ID);
        if is_label && fate != Fate::Remove {
            fate = Fate::Empty; // The pseudonym is put in at the end.
        }
        if mode == Mode::Content && element.tag == content::TEXT_VALUE {
            fate = Fate::Clean;
        }
        if mode == Mode::Dummy {
            fate = dummied(fate, element);
        }
        self.meet(element, fate, set, mode)
    }

    fn remove(&mut self) -> bool {
        self.counts.x += 1;
        false
    }

    fn empty(&mut self, element: &mut Element) -> bool {
        self.counts.z += 1;
        element.value = match element.value {
            Value::Sequence(_) => Value::Sequence(Vec::new()),
            _ => Value::Bytes(Vec::new()),
        };
        true
    }

    /// Carries the fate out; false when the element goes.
    fn meet(&mut self, element: &mut Element, fate: Fate, set: CharacterSet, mode: Mode) -> bool {
        match fate {
            Fate::Remove => return self.remove(),
            Fate::Empty => return self.empty(element),
            _ => {}
        }
        if let Value::Sequence(items) = &mut element.value {
            if element.tag == CONTENT_SEQUENCE || fate == Fate::Content {
                self.counts.c += 1;
                content::items(self, element.tag, items, set, fate == Fate::Content);
                return !items.is_empty() || element.tag != CONTENT_SEQUENCE;
            }
            let inside = match fate {
                Fate::Dummy => {
                    self.counts.d += 1;
                    Mode::Dummy
                }
                _ => {
                    self.counts.k += 1;
                    mode.inside()
                }
            };
            for (n, item) in items.iter_mut().enumerate() {
                self.journal.enter(element.tag, n + 1);
                self.level(item, set, inside);
                self.journal.leave();
            }
            return true;
        }
        match fate {
            Fate::Dummy => self.dummy(element, set),
            Fate::Uid => self.uid(element, set),
            Fate::Shift => self.shift(element, set),
            Fate::Keep => self.keep(element, set, false),
            _ => self.keep(element, set, true),
        }
    }

    fn dummy(&mut self, element: &mut Element, set: CharacterSet) -> bool {
        if element.vr == VR::UI {
            return self.uid(element, set);
        }
        let token = element.strings(set).first().and_then(|value| self.answers.token(element.tag, value));
        let bytes = match token {
            Some(token) => Some(token.as_bytes().to_vec()),
            None if element.tag == CODING_SCHEME => Some(DUMMY_SCHEME.as_bytes().to_vec()),
            None => dummy::dummy(element.vr, &element.value),
        };
        let Some(bytes) = bytes else { return self.remove() };
        self.counts.d += 1;
        element.value = Value::Bytes(bytes);
        true
    }

    fn uid(&mut self, element: &mut Element, set: CharacterSet) -> bool {
        let mut replaced = false;
        let mut new = Vec::new();
        for old in element.strings(set) {
            if !is_instance_uid(element.tag, &old) {
                new.push(old);
            } else if let Some(uid) = self.answers.uid(&old) {
                replaced = true;
                new.push(uid.to_owned());
            } else {
                return self.remove();
            }
        }
        if replaced {
            self.counts.u += 1;
            element.value = Value::Bytes(new.join("\\").into_bytes());
        } else {
            self.counts.k += 1;
        }
        true
    }

    /// C of the longitudinal option: each date moves by the subject's shift; times and the offset from UTC stay.
    fn shift(&mut self, element: &mut Element, set: CharacterSet) -> bool {
        if element.value.is_empty() {
            self.counts.k += 1;
            return true;
        }
        let days = self.answers.shift_days;
        let mut new = Vec::new();
        for text in element.strings(set) {
            let birth = date::day_of(&text).is_some_and(|day| self.identifiers.is_birth_date(day));
            let moved = match element.vr {
                _ if text.is_empty() => Some(String::new()),
                VR::DA if !birth => date::shift_da(&text, days),
                VR::DT if !birth => date::shift_dt(&text, days),
                VR::TM if date::is_tm(&text) => Some(text),
                VR::SH if date::is_offset(&text) => Some(text),
                _ => None,
            };
            match moved {
                Some(text) => new.push(text),
                None => return self.by_basic_profile(element, set),
            }
        }
        self.counts.c += 1;
        element.value = Value::Bytes(new.join("\\").into_bytes());
        true
    }

    /// What the Basic Profile alone does: for values that are not what an option is made for.
    fn by_basic_profile(&mut self, element: &mut Element, set: CharacterSet) -> bool {
        match basic_fate(self.profile, element) {
            Fate::Remove => self.remove(),
            Fate::Dummy => self.dummy(element, set),
            _ => self.empty(element),
        }
    }

    /// Keeps a value: text without this object's identifiers, dates without the birth date, numbers that are numbers.
    fn keep(&mut self, element: &mut Element, set: CharacterSet, patterns: bool) -> bool {
        let Some(bytes) = element.value.bytes().filter(|b| is_text(element.vr) && !b.is_empty()) else {
            self.counts.k += 1;
            return true;
        };
        if !is_form_of(element.vr, bytes) {
            return self.by_form(element, set);
        }
        match element.vr {
            VR::DA | VR::DT => {
                let birth = |t: &String| date::day_of(t).is_some_and(|day| self.identifiers.is_birth_date(day));
                if element.strings(set).iter().any(birth) {
                    return self.by_basic_profile(element, set);
                }
                self.counts.k += 1;
                true
            }
            vr if uses_character_set(vr) => self.text(element, set, patterns),
            // Codes are enumerated; these are typed by people. In others, what identifies is for the leak scan to hold.
            VR::CS if element.tag == BODY_PART_EXAMINED => self.text(element, set, false),
            VR::CS if LABELS.contains(&element.tag) => self.text(element, set, true),
            _ => {
                self.counts.k += 1;
                true
            }
        }
    }

    /// A value whose characters its VR does not allow: text of unknown meaning in the place of a number, date or code.
    fn by_form(&mut self, element: &mut Element, set: CharacterSet) -> bool {
        match element.vr {
            VR::DA | VR::DT | VR::TM => self.by_basic_profile(element, set),
            _ => self.empty(element),
        }
    }

    fn text(&mut self, element: &mut Element, set: CharacterSet, patterns: bool) -> bool {
        let Some(bytes) = element.value.bytes() else { return true };
        let text = set.decode(bytes);
        let cleaned = if is_multi_valued(element.vr) {
            let values: Vec<Option<String>> = text.split('\\').map(|v| self.cleaner.clean(v, patterns)).collect();
            values.iter().any(Option::is_some).then(|| {
                let whole = text.split('\\').zip(values).map(|(old, new)| new.unwrap_or_else(|| old.to_owned()));
                whole.collect::<Vec<_>>().join("\\")
            })
        } else {
            self.cleaner.clean(&text, patterns)
        };
        match cleaned {
            Some(text) if text.trim_matches(['\\', ' ']).is_empty() => match element.vr {
                VR::CS if !LABELS.contains(&element.tag) => self.empty(element), // A dummy would be no defined term.
                _ => self.by_basic_profile(element, set),
            },
            Some(text) => {
                self.counts.c += 1;
                self.put(element, text);
                true
            }
            None => {
                self.counts.k += 1;
                if !bytes.is_ascii() || bytes.contains(&0x1B) {
                    let text = text.into_owned();
                    self.put(element, text);
                }
                true
            }
        }
    }

    fn put(&mut self, element: &mut Element, text: String) {
        self.beyond_ascii |= !text.is_ascii();
        element.value = Value::Bytes(text.into_bytes());
    }

    /// States the character set of what is left: UTF-8 when some text needs it, else the original one if it is a defined term.
    pub(super) fn settle_character_set(&self, ds: &mut DataSet) {
        if self.beyond_ascii {
            ds.put_str(SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
            return;
        }
        let value = ds.get(SPECIFIC_CHARACTER_SET).map(|e| e.value.bytes().map(CharacterSet::is_defined_term));
        if value.is_some_and(|known| known != Some(true)) {
            ds.remove(SPECIFIC_CHARACTER_SET);
        }
    }
}

/// In a dummy sequence, what would be kept becomes a dummy: text, codes and coordinates; enumerated values and counts stay, so
/// that the item keeps its shape.
fn dummied(fate: Fate, element: &Element) -> Fate {
    match fate {
        Fate::Keep | Fate::Clean | Fate::Content => match element.vr {
            VR::SQ => Fate::Dummy,
            VR::OB | VR::OW | VR::OF | VR::OD | VR::OL | VR::OV | VR::UN => Fate::Remove,
            VR::FL | VR::FD => Fate::Dummy,
            vr if uses_character_set(vr) && !element.value.is_empty() => Fate::Dummy,
            _ => fate,
        },
        other => other,
    }
}

/// True when every character of the value is one that its VR allows (PS3.5 Table 6.2-1), for VRs that cannot hold free text.
fn is_form_of(vr: VR, bytes: &[u8]) -> bool {
    let all = |allowed: fn(u8) -> bool| bytes.iter().all(|b| allowed(*b) || matches!(b, b' ' | b'\\' | 0));
    match vr {
        VR::DS => all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')),
        VR::IS => all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.')),
        VR::AS => all(|b| b.is_ascii_digit() || matches!(b, b'D' | b'W' | b'M' | b'Y')),
        VR::DA => all(|b| b.is_ascii_digit() || b == b'.'),
        VR::DT => all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-')),
        VR::TM => all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':')),
        VR::UI => all(|b| b.is_ascii_digit() || b == b'.'),
        VR::CS => bytes.is_ascii(),
        _ => true,
    }
}
