//! What every attribute at every level may hold (the profile applies to nested data sets too, PS3.15 E.1.1).

use std::collections::BTreeMap;

use dicom_core::{
    Tag, VR,
    dictionary::{DataDictionary as _, DataDictionaryEntry as _},
};
use dicom_dictionary_std::StandardDataDictionary;

use super::{
    Rule, Violation,
    table::{Demand, ProfileRules},
};
use crate::object::{
    text::ascii,
    walk::{Event, Value},
};

/// Roots of UIDs that standards define, DICOM's and HL7's: SOP classes, well-known frames of reference, coding schemes.
const STANDARD_ROOTS: [&str; 2] = ["1.2.840.10008.", "2.16.840.1.113883."];
/// Attributes that name instances and nothing else: SOP, Study, Series Instance UID and Referenced SOP Instance UID.
const INSTANCE_UIDS: [Tag; 4] = [Tag(0x0008, 0x0018), Tag(0x0020, 0x000D), Tag(0x0020, 0x000E), Tag(0x0008, 0x1155)];
/// Digits of a keyed token that stands for a device or specimen.
const TOKEN_DIGITS: usize = 16;

/// What is remembered on the way.
pub(super) struct Values<'a> {
    dummies: &'a [String],
    subject: &'a str,
    /// Sequences around, outermost first: the rule that an item of it breaks, if it must have none.
    must_be_empty: Vec<(Tag, Option<Rule>)>,
    /// Private creators of each open data set: by group and block.
    creators: Vec<BTreeMap<(u16, u8), String>>,
}

impl<'a> Values<'a> {
    /// Before the first element.
    pub(super) fn new(dummies: &'a [String], subject: &'a str) -> Self {
        Self { dummies, subject, must_be_empty: Vec::new(), creators: vec![BTreeMap::new()] }
    }

    /// Looks at an event of the data set; the rule it breaks, if any.
    pub(super) fn visit(&mut self, rules: &ProfileRules, depth: usize, event: Event<'_>) -> Option<Violation> {
        match event {
            Event::Element { tag, vr, value } => {
                let rule = self.element(rules, depth, tag, vr, value)?;
                Some(Violation { rule, tag: Some(tag) })
            }
            Event::SequenceStart(tag) => {
                let broken_by_items = match rules.demand(tag) {
                    Some(Demand::Absent) => Some(Rule::Forbidden),
                    Some(Demand::Empty) => Some(Rule::Value),
                    _ => None,
                };
                self.must_be_empty.push((tag, broken_by_items));
                let rule = self.presence(rules, tag)?;
                Some(Violation { rule, tag: Some(tag) })
            }
            Event::SequenceEnd => {
                self.must_be_empty.pop();
                None
            }
            Event::ItemStart => {
                self.creators.push(BTreeMap::new());
                let &(tag, broken_by_items) = self.must_be_empty.last()?;
                Some(Violation { rule: broken_by_items?, tag: Some(tag) })
            }
            Event::ItemEnd => {
                self.creators.pop();
                None
            }
        }
    }

    /// Rules about an attribute's being there at all.
    fn presence(&self, rules: &ProfileRules, tag: Tag) -> Option<Rule> {
        match tag.group() {
            group if group % 2 == 1 => (!self.is_safe_private(rules, tag)).then_some(Rule::Private),
            0x5000..=0x50FF | 0x6000..=0x60FF if !rules.graphics_may_stay => Some(Rule::Graphics),
            _ => None,
        }
    }

    fn is_safe_private(&self, rules: &ProfileRules, tag: Tag) -> bool {
        let Some(safe) = &rules.safe_private else { return false };
        // A creator alone says nothing of a patient; it is there for the attributes of its block.
        let [block, _] = tag.element().to_be_bytes();
        if block == 0 {
            return tag.element() >= 0x10;
        }
        let creator = self.creators.last().and_then(|creators| creators.get(&(tag.group(), block)));
        creator.is_some_and(|creator| safe.allows(tag, creator))
    }

    fn element(&mut self, rules: &ProfileRules, depth: usize, tag: Tag, vr: VR, value: Value<'_>) -> Option<Rule> {
        if let (1, Value::Bytes(bytes)) = (tag.group() % 2, value)
            && let (Ok(block), Some(creators)) = (u8::try_from(tag.element()), self.creators.last_mut())
        {
            creators.insert((tag.group(), block), ascii(bytes));
        }
        if let Some(rule) = self.presence(rules, tag) {
            return Some(rule);
        }
        let empty = matches!(value, Value::Bytes(bytes) if bytes.iter().all(|&b| b == b' ' || b == 0) && is_text(vr))
            || value == Value::Bytes(&[]);
        // Patient's Name and Patient ID of the object itself carry the pseudonym; `object` looks at them.
        if empty || (depth == 0 && matches!(tag, Tag(0x0010, 0x0010 | 0x0020))) {
            return None;
        }
        let text = || match value {
            Value::Bytes(bytes) => Some(ascii(bytes)),
            _ => None,
        };
        let dummy = || text().is_some_and(|text| self.is_dummy(&text));
        match rules.demand(tag) {
            Some(Demand::Absent) => Some(Rule::Forbidden),
            Some(Demand::Empty) => Some(Rule::Value),
            Some(Demand::Dummy) if is_text(vr) && !dummy() => Some(Rule::Value),
            Some(Demand::Uid) => (!text().is_some_and(|text| are_uids_safe(tag, &text))).then_some(Rule::Uid),
            Some(Demand::Free | Demand::Dummy) => None,
            None => match vr {
                VR::PN if !dummy() => Some(Rule::Value),
                VR::UI if !rules.uids_may_stay && !text().is_some_and(|text| are_uids_safe(tag, &text)) => {
                    Some(Rule::Uid)
                }
                _ if tag.group().is_multiple_of(2) && !is_known(tag) => Some(Rule::Unknown),
                _ => None,
            },
        }
    }

    fn is_dummy(&self, text: &str) -> bool {
        let token = text.len() == TOKEN_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        token || text == self.subject || self.dummies.iter().any(|dummy| dummy == text)
    }
}

fn is_known(tag: Tag) -> bool {
    StandardDataDictionary.by_tag(tag).is_some_and(|entry| entry.alias() != "GenericGroupLength")
}

/// VRs whose values are text.
const fn is_text(vr: VR) -> bool {
    use VR::{AE, AS, CS, DA, DT, LO, LT, PN, SH, ST, TM, UC, UI, UR, UT};
    matches!(vr, AE | AS | CS | DA | DT | LO | LT | PN | SH | ST | TM | UC | UI | UR | UT)
}

/// A UID that a keyed pseudonym was made of: 2.25 and a number of up to 39 digits (PS3.5 B.2).
pub(super) fn is_pseudonymous(uid: &str) -> bool {
    uid.strip_prefix("2.25.")
        .is_some_and(|number| (1..=39).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Every value is pseudonymous, or one that a standard defines where that can be.
fn are_uids_safe(tag: Tag, text: &str) -> bool {
    let standard = |uid: &str| !INSTANCE_UIDS.contains(&tag) && STANDARD_ROOTS.iter().any(|root| uid.starts_with(root));
    text.split('\\').all(|uid| uid.is_empty() || is_pseudonymous(uid) || standard(uid))
}
