//! The DICOM JSON model (PS3.18 Annex F), written while the object is walked: no tree is built.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use dicom_core::{Tag, VR};

use super::{
    text::{Charset, ascii},
    walk::{Event, Value, Visitor},
};

/// Specific Character Set.
const CHARSET: Tag = Tag(0x0008, 0x0005);

/// What to write.
#[derive(Debug, Default)]
pub struct Options {
    /// Only these attributes of the outermost level; all when absent.
    pub only: Option<&'static [Tag]>,
    /// Text to write instead of what stands in the object, outermost level only.
    pub instead: BTreeMap<Tag, String>,
    /// Where bulk data is found: the tag path is added. Without it, bulk data is left out.
    pub bulk_base: Option<String>,
}

/// Writes one data set as a JSON object.
#[derive(Debug)]
pub struct JsonWriter {
    options: Options,
    out: String,
    /// For each open JSON object or array: nothing written in it yet.
    fresh: Vec<bool>,
    charsets: Vec<Charset>,
    /// Tag path, as `ggggeeee` and item numbers from 0.
    path: Vec<(Tag, u32)>,
    /// Depth of the sequence that is being left out.
    skipping: Option<usize>,
}

impl JsonWriter {
    /// A writer that has opened its object.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            out: "{".to_owned(),
            fresh: vec![true],
            charsets: vec![Charset::default()],
            path: Vec::new(),
            skipping: None,
        }
    }

    /// The JSON object.
    pub fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn comma(&mut self) {
        if let Some(fresh) = self.fresh.last_mut()
            && !std::mem::take(fresh)
        {
            self.out.push(',');
        }
    }

    fn wanted(&self, depth: usize, tag: Tag) -> bool {
        let selected = depth > 0 || self.options.only.is_none_or(|only| only.contains(&tag));
        selected && tag.group() != 2 && tag.element() != 0
    }

    fn open(&mut self, tag: Tag, vr: VR) {
        self.comma();
        let _ = write!(self.out, "\"{:04X}{:04X}\":{{\"vr\":\"{}\"", tag.group(), tag.element(), vr.to_string());
    }

    fn element(&mut self, depth: usize, tag: Tag, vr: VR, value: Value<'_>) {
        if let (CHARSET, Value::Bytes(bytes)) = (tag, value)
            && let Some(current) = self.charsets.last_mut()
        {
            *current = Charset::from_value(bytes);
        }
        if !self.wanted(depth, tag) || matches!(value, Value::Fragments { .. }) {
            return;
        }
        match value {
            Value::Bytes(bytes) => {
                let instead = if depth == 0 { self.options.instead.get(&tag).cloned() } else { None };
                self.open(tag, vr);
                match instead {
                    Some(text) if vr == VR::PN => {
                        let _ = write!(self.out, ",\"Value\":[{}]", person_name(&text));
                    }
                    Some(text) => {
                        let _ = write!(self.out, ",\"Value\":[{}]", quoted(&text));
                    }
                    None if bytes.is_empty() => {}
                    None => self.value(tag, vr, bytes),
                }
                self.out.push('}');
            }
            Value::Long { .. } => {
                let Some(base) = &self.options.bulk_base else { return };
                let mut uri = format!("{base}/");
                for (sequence, item) in &self.path {
                    let _ = write!(uri, "{:04x}{:04x}.{item}.", sequence.group(), sequence.element());
                }
                let _ = write!(uri, "{:04x}{:04x}", tag.group(), tag.element());
                self.open(tag, vr);
                let _ = write!(self.out, ",\"BulkDataURI\":{}}}", quoted(&uri));
            }
            Value::Fragments { .. } => {}
        }
    }

    /// Writes `,"Value":[…]` or `,"InlineBinary":"…"`.
    fn value(&mut self, tag: Tag, vr: VR, bytes: &[u8]) {
        let charset = self.charsets.last().copied().unwrap_or_default();
        let values: Vec<String> = match vr {
            VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN => {
                let _ = write!(self.out, ",\"InlineBinary\":\"{}\"", STANDARD.encode(bytes));
                return;
            }
            VR::US => numbers::<2>(bytes, |b| u16::from_le_bytes(b).to_string()),
            VR::SS => numbers::<2>(bytes, |b| i16::from_le_bytes(b).to_string()),
            VR::UL => numbers::<4>(bytes, |b| u32::from_le_bytes(b).to_string()),
            VR::SL => numbers::<4>(bytes, |b| i32::from_le_bytes(b).to_string()),
            VR::UV => numbers::<8>(bytes, |b| u64::from_le_bytes(b).to_string()),
            VR::SV => numbers::<8>(bytes, |b| i64::from_le_bytes(b).to_string()),
            VR::FL => numbers::<4>(bytes, |b| float(f64::from(f32::from_le_bytes(b)))),
            VR::FD => numbers::<8>(bytes, |b| float(f64::from_le_bytes(b))),
            VR::AT => numbers::<4>(bytes, |b| {
                let half = |i: usize| u16::from_le_bytes([b[i], b[i + 1]]);
                format!("\"{:04X}{:04X}\"", half(0), half(2))
            }),
            VR::LT | VR::ST | VR::UT | VR::UR => vec![quoted(charset.decode(bytes).trim_end_matches([' ', '\0']))],
            VR::PN => parts(&charset.decode(bytes), person_name),
            VR::DS => parts(&ascii(bytes), |t| t.parse::<f64>().map_or_else(|_| quoted(t), float)),
            VR::IS => parts(&ascii(bytes), |t| t.parse::<i64>().map_or_else(|_| quoted(t), |n| n.to_string())),
            VR::LO | VR::SH | VR::UC => parts(&charset.decode(bytes), quoted),
            _ => parts(&ascii(bytes), quoted),
        };
        if values.is_empty() {
            return;
        }
        let _ = write!(self.out, ",\"Value\":[{}]", values.join(","));
        debug_assert_ne!(tag.group(), 2, "file meta information is never written");
    }
}

impl Visitor for JsonWriter {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        if let Some(from) = self.skipping {
            if event == Event::SequenceEnd && depth == from {
                self.skipping = None;
            }
            return;
        }
        match event {
            Event::Element { tag, vr, value } => self.element(depth, tag, vr, value),
            Event::SequenceStart(tag) if !self.wanted(depth, tag) => self.skipping = Some(depth),
            Event::SequenceStart(tag) => {
                self.open(tag, VR::SQ);
                self.out.push_str(",\"Value\":[");
                self.fresh.push(true);
                self.path.push((tag, 0));
            }
            Event::ItemStart => {
                self.comma();
                self.out.push('{');
                self.fresh.push(true);
                self.charsets.push(self.charsets.last().copied().unwrap_or_default());
            }
            Event::ItemEnd => {
                self.out.push('}');
                self.fresh.pop();
                self.charsets.pop();
                if let Some((_, item)) = self.path.last_mut() {
                    *item += 1;
                }
            }
            Event::SequenceEnd => {
                self.out.push_str("]}");
                self.fresh.pop();
                self.path.pop();
            }
        }
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The JSON object of a person name: its component groups (PS3.18 F.2.2).
fn person_name(text: &str) -> String {
    if text.is_empty() {
        return "null".to_owned();
    }
    let groups = text.splitn(3, '=').zip(["Alphabetic", "Ideographic", "Phonetic"]);
    let members: Vec<String> = groups
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, name)| format!("\"{name}\":{}", quoted(group.trim_matches([' ', '\0']))))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The backslash-separated values of `text`; an empty one becomes `null`.
fn parts(text: &str, write: impl Fn(&str) -> String) -> Vec<String> {
    let trimmed = text.trim_matches([' ', '\0']);
    if trimmed.is_empty() {
        return Vec::new();
    }
    let one = |part: &str| match part.trim_matches([' ', '\0']) {
        "" => "null".to_owned(),
        part => write(part),
    };
    trimmed.split('\\').map(one).collect()
}

fn numbers<const N: usize>(bytes: &[u8], write: impl Fn([u8; N]) -> String) -> Vec<String> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| write(*chunk)).collect()
}

/// A JSON number, or a string for what JSON has no number for.
fn float(value: f64) -> String {
    match serde_json::Number::from_f64(value) {
        Some(number) => number.to_string(),
        None if value.is_nan() => "\"NaN\"".to_owned(),
        None if value > 0.0 => "\"inf\"".to_owned(),
        None => "\"-inf\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;
    use crate::object::{
        samples::Sample,
        walk::{Limits, walk},
    };

    fn json(bytes: Vec<u8>, options: Options) -> serde_json::Value {
        let mut writer = JsonWriter::new(options);
        let limits = Limits { inline_bytes: 64, ..Limits::default() };
        let end = bytes.len() as u64;
        walk(BufReader::new(Cursor::new(bytes)), end, limits, &mut writer).unwrap();
        serde_json::from_str(&writer.finish()).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_written_as_annex_f_says() {
        let bytes = Sample::new()
            .element((0x0008, 0x0005), "CS", b"ISO_IR 100")
            .element((0x0008, 0x0008), "CS", b"ORIGINAL\\\\PRIMARY ")
            .element((0x0010, 0x0010), "PN", b"M\xfcller^A=X^Y")
            .element((0x0018, 0x0050), "DS", b"1.50\\+2 ")
            .element((0x0020, 0x0013), "IS", b"7 ")
            .element((0x0020, 0x4000), "LT", b"a\\b \"q\" ")
            .element((0x0028, 0x0010), "US", &3_u16.to_le_bytes())
            .element((0x0028, 0x0009), "AT", &[0x18, 0, 0x63, 0x10])
            .sequence((0x0040, 0x0275), &[Sample::data_set().element((0x0008, 0x0050), "SH", b"X ")])
            .element((0x0040, 0xA161), "FD", &f64::NAN.to_le_bytes())
            .sequence(
                (0x0054, 0x0016),
                &[Sample::data_set(), Sample::data_set().element((0x0018, 0x9999), "OB", &[0; 100])],
            )
            .element((0x7FE0, 0x0010), "OW", &[0; 80])
            .sorted()
            .file();
        let options = Options {
            instead: BTreeMap::from([(Tag(0x0010, 0x0010), "FETAL-00001".to_owned())]),
            bulk_base: Some("https://h/b".to_owned()),
            only: None,
        };
        let json = json(bytes, options);
        assert_eq!(json["00080008"]["Value"], serde_json::json!(["ORIGINAL", null, "PRIMARY"]));
        assert_eq!(json["00100010"]["Value"][0]["Alphabetic"], "FETAL-00001");
        assert_eq!(json["00180050"]["Value"], serde_json::json!([1.5, 2.0]));
        assert_eq!(json["00200013"]["Value"], serde_json::json!([7]));
        assert_eq!(json["00204000"]["Value"][0], "a\\b \"q\"");
        assert_eq!(json["00280009"]["Value"][0], "00181063");
        assert_eq!(json["0040A161"]["Value"][0], "NaN");
        assert_eq!(json["00400275"]["Value"][0]["00080050"]["Value"][0], "X");
        assert_eq!(json["00540016"]["Value"][1]["00189999"]["BulkDataURI"], "https://h/b/00540016.1.00189999");
        assert_eq!(json["7FE00010"]["BulkDataURI"], "https://h/b/7fe00010");
        assert!(json.get("00020010").is_none());
    }

    #[test]
    fn names_keep_their_groups_and_only_what_is_asked_for_is_written() {
        let bytes = Sample::new()
            .element((0x0008, 0x0005), "CS", b"ISO_IR 192")
            .element((0x0010, 0x0010), "PN", "Wang^X=王^小".as_bytes())
            .sequence((0x0040, 0x0275), &[Sample::data_set().element((0x0010, 0x0010), "PN", b"no")])
            .file();
        let json = json(bytes, Options { only: Some(&[Tag(0x0010, 0x0010)]), ..Options::default() });
        assert_eq!(
            json,
            serde_json::json!({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^X", "Ideographic": "王^小"}]}})
        );
    }
}
