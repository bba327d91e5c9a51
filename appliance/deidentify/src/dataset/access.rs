//! Reading values: text, integers and decimals.

use dicom_core::{Tag, VR};

use super::vr::{is_multi_valued, is_text};
use super::{CharacterSet, DataSet, Element};

impl Element {
    /// The values as text, decoded by `set`, padding trimmed; empty for values that are no text.
    pub fn strings(&self, set: CharacterSet) -> Vec<String> {
        let Some(bytes) = self.value.bytes().filter(|b| is_text(self.vr) && !b.is_empty()) else { return Vec::new() };
        let text = set.decode(bytes);
        let trim = |t: &str| t.trim_matches([' ', '\0']).to_owned();
        if is_multi_valued(self.vr) { text.split('\\').map(trim).collect() } else { vec![trim(&text)] }
    }

    /// The values as integers: binary integers, IS and AT; empty when one of them is none.
    pub fn ints(&self) -> Vec<i64> {
        let Some(bytes) = self.value.bytes() else { return Vec::new() };
        macro_rules! binary {
            ($type:ty) => {
                bytes
                    .chunks_exact(size_of::<$type>())
                    .filter_map(|c| Some(<$type>::from_le_bytes(c.try_into().ok()?)))
                    .filter_map(|n| i64::try_from(n).ok())
                    .collect()
            };
        }
        match self.vr {
            VR::US | VR::AT | VR::OW => binary!(u16),
            VR::SS => binary!(i16),
            VR::UL | VR::OL => binary!(u32),
            VR::SL => binary!(i32),
            VR::UV | VR::OV => binary!(u64),
            VR::SV => binary!(i64),
            VR::IS | VR::DS => {
                let values: Option<Vec<i64>> = self
                    .strings(CharacterSet::default())
                    .iter()
                    .map(|s| {
                        s.parse().ok().or_else(|| s.parse::<f64>().ok().filter(|f| f.fract() == 0.0).map(|f| f as i64))
                    })
                    .collect();
                values.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The values as decimals: DS, FL, FD and all that [`Self::ints`] reads.
    pub fn decimals(&self) -> Vec<f64> {
        let Some(bytes) = self.value.bytes() else { return Vec::new() };
        match self.vr {
            VR::DS => {
                let values: Result<Vec<f64>, _> =
                    self.strings(CharacterSet::default()).iter().map(|s| s.parse()).collect();
                values.unwrap_or_default()
            }
            VR::FL | VR::OF => {
                bytes.chunks_exact(4).filter_map(|c| Some(f64::from(f32::from_le_bytes(c.try_into().ok()?)))).collect()
            }
            VR::FD | VR::OD => {
                bytes.chunks_exact(8).filter_map(|c| Some(f64::from_le_bytes(c.try_into().ok()?))).collect()
            }
            _ => self.ints().into_iter().map(|n| n as f64).collect(),
        }
    }
}

impl DataSet {
    /// Character set of this data set, when nothing encloses it.
    pub fn character_set(&self) -> CharacterSet {
        CharacterSet::of(self, CharacterSet::default())
    }

    /// All values of a text attribute, decoded by this data set's own Specific Character Set, padding trimmed.
    pub fn strings(&self, tag: Tag) -> Vec<String> {
        self.get(tag).map(|e| e.strings(self.character_set())).unwrap_or_default()
    }

    /// The first value of a text attribute, when it is not empty.
    pub fn str(&self, tag: Tag) -> Option<String> {
        self.strings(tag).into_iter().next().filter(|s| !s.is_empty())
    }

    /// The first value as an integer.
    pub fn int(&self, tag: Tag) -> Option<i64> {
        self.get(tag)?.ints().first().copied()
    }

    /// The first value, when it is an integer of 16 bits without sign.
    pub fn u16(&self, tag: Tag) -> Option<u16> {
        self.int(tag)?.try_into().ok()
    }

    /// The first value, when it is an integer of 32 bits without sign.
    pub fn u32(&self, tag: Tag) -> Option<u32> {
        self.int(tag)?.try_into().ok()
    }

    /// The first value, when it is an integer of 32 bits.
    pub fn i32(&self, tag: Tag) -> Option<i32> {
        self.int(tag)?.try_into().ok()
    }

    /// The values as decimals.
    pub fn decimals(&self, tag: Tag) -> Vec<f64> {
        self.get(tag).map(Element::decimals).unwrap_or_default()
    }

    /// Replaces or adds a text element of one value.
    pub fn put_str(&mut self, tag: Tag, vr: VR, value: &str) {
        self.insert(Element::new(tag, vr, value));
    }

    /// Replaces or adds an element of 16-bit values without sign.
    pub fn put_u16(&mut self, tag: Tag, value: u16) {
        self.insert(Element::new(tag, VR::US, value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_what_they_are() {
        let mut ds = DataSet::new();
        ds.put_u16(Tag(0x28, 0x10), 65_535);
        ds.put_str(Tag(0x28, 0x08), VR::IS, "17 ");
        ds.put_str(Tag(0x20, 0x32), VR::DS, "1.5\\-2\\ 3e1");
        ds.put_str(Tag(0x08, 0x08), VR::CS, "ORIGINAL\\PRIMARY ");
        ds.put_str(Tag(0x08, 0x81), VR::ST, "a\\b");
        ds.insert(Element::new(Tag(0x28, 0x11), VR::SS, (-3_i16).to_le_bytes()));
        assert_eq!((ds.u16(Tag(0x28, 0x10)), ds.u32(Tag(0x28, 0x08))), (Some(65_535), Some(17)));
        assert_eq!((ds.i32(Tag(0x28, 0x11)), ds.u16(Tag(0x28, 0x11))), (Some(-3), None));
        assert_eq!(ds.decimals(Tag(0x20, 0x32)), [1.5, -2.0, 30.0]);
        assert_eq!(ds.strings(Tag(0x08, 0x08)), ["ORIGINAL", "PRIMARY"]);
        assert_eq!(ds.str(Tag(0x08, 0x81)).as_deref(), Some("a\\b"), "ST has one value");
        assert_eq!(ds.str(Tag(0x10, 0x10)), None);
    }
}
