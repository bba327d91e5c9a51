//! A data set under construction that remembers every identifier planted in it.

use dicom_core::{
    DataElement, Length, PrimitiveValue, Tag, VR,
    value::{DataSetSequence, PixelFragmentSequence},
};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use super::{
    key::{Class, Planted},
    repertoire::Repertoire,
};

/// A piece of free text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    /// Harmless.
    Say(&'a str),
    /// An identifier.
    Plant(Class, &'a str),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Draft {
    object: InMemDicomObject,
    repertoire: Repertoire,
    planted: Vec<Planted>,
}

impl Draft {
    /// An empty data set, with its Specific Character Set.
    pub(super) fn new(repertoire: Repertoire) -> Self {
        let mut draft = Self::item(repertoire);
        if let Some(term) = repertoire.term() {
            draft.put(tags::SPECIFIC_CHARACTER_SET, VR::CS, term);
        }
        draft
    }

    /// An empty item of a sequence.
    fn item(repertoire: Repertoire) -> Self {
        Self { object: InMemDicomObject::new_empty(), repertoire, planted: Vec::new() }
    }

    /// Puts a value in ASCII; values of one element are separated by backslashes.
    pub(super) fn put(&mut self, tag: Tag, vr: VR, value: &str) {
        self.object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    }

    /// Puts an element without value.
    pub(super) fn empty(&mut self, tag: Tag, vr: VR) {
        if vr == VR::SQ {
            self.sequence(tag, 0, |_, _| ());
        } else {
            self.object.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
        }
    }

    /// Puts numbers of VR US.
    pub(super) fn us(&mut self, tag: Tag, value: u16) {
        self.object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }

    /// Puts a value that is given in Rust's own terms.
    pub(super) fn primitive(&mut self, tag: Tag, vr: VR, value: PrimitiveValue) {
        self.object.put(DataElement::new(tag, vr, value));
    }

    /// Puts an identifier and notes it.
    pub(super) fn plant(&mut self, tag: Tag, vr: VR, class: Class, value: &str) {
        self.prose(tag, vr, &[Piece::Plant(class, value)]);
    }

    /// Puts free text and notes the identifiers in it.
    pub(super) fn prose(&mut self, tag: Tag, vr: VR, pieces: &[Piece<'_>]) {
        let value = self.encode(pieces, vr);
        self.object.put(DataElement::new(tag, vr, value));
    }

    /// Puts free text into a private element of `creator` and notes the identifiers in it.
    pub(super) fn private(&mut self, group: u16, creator: &str, element: u8, vr: VR, pieces: &[Piece<'_>]) {
        let tag = self.private_tag(group, creator, element);
        self.prose(tag, vr, pieces);
    }

    /// Puts a private sequence of `creator` with one item.
    pub(super) fn private_sequence(
        &mut self,
        group: u16,
        creator: &str,
        element: u8,
        mut build: impl FnMut(&mut Self),
    ) {
        let tag = self.private_tag(group, creator, element);
        self.sequence(tag, 1, |_, item| build(item));
    }

    /// The tag of a private element, its creator put if this is its first (PS3.5 7.8.1).
    fn private_tag(&mut self, group: u16, creator: &str, element: u8) -> Tag {
        let mut block = 0x10;
        while let Some(there) = self.object.get(Tag(group, block)) {
            if there.to_str().is_ok_and(|name| name == creator) {
                break;
            }
            block += 1;
        }
        self.put(Tag(group, block), VR::LO, creator);
        Tag(group, block << 8 | u16::from(element))
    }

    /// Puts a sequence of `count` items; `build` gets the ordinal of each.
    pub(super) fn sequence(&mut self, tag: Tag, count: usize, build: impl FnMut(usize, &mut Self)) {
        let items = self.built(count, build);
        self.object.put(DataElement::new(tag, VR::SQ, items));
    }

    /// Puts native pixel data of 8 bits.
    pub(super) fn bytes(&mut self, tag: Tag, vr: VR, mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        self.object.put(DataElement::new(tag, vr, PrimitiveValue::U8(bytes.into())));
    }

    /// Puts native pixel data of 16 bits.
    pub(super) fn words(&mut self, words: Vec<u16>) {
        self.object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words.into())));
    }

    /// Puts encapsulated pixel data: one fragment for each frame, and a basic offset table (PS3.5 A.4).
    pub(super) fn fragments(&mut self, frames: Vec<Vec<u8>>) {
        let mut at = 0;
        let mut offsets = Vec::with_capacity(frames.len());
        let mut fragments = Vec::with_capacity(frames.len());
        for mut frame in frames {
            if frame.len() % 2 == 1 {
                frame.push(0);
            }
            offsets.push(at);
            at += frame.len() as u32 + 8;
            fragments.push(frame);
        }
        let value = PixelFragmentSequence::<Vec<u8>>::new(offsets, fragments);
        self.object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, value));
    }

    /// Notes an identifier that stands in the data set by other means (inside a document, for instance).
    pub(super) fn note(&mut self, class: Class, value: &str, raw: Vec<u8>) {
        let planted = Planted { class, value: value.to_owned(), raw };
        if !planted.raw.is_empty() && !self.planted.contains(&planted) {
            self.planted.push(planted);
        }
    }

    /// Writes it as Part 10 (PS3.10 7) and gives the bytes with what was planted in them.
    pub(super) fn finish(self, transfer_syntax: &str, sop_class: &str, sop_instance: &str) -> (Vec<u8>, Vec<Planted>) {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(transfer_syntax)
            .media_storage_sop_class_uid(sop_class)
            .media_storage_sop_instance_uid(sop_instance);
        let mut bytes = Vec::new();
        // Unwrap safety: everything written was built above, and writing into memory does not fail.
        self.object
            .with_meta(meta)
            .expect("complete meta information")
            .write_all(&mut bytes)
            .expect("writing into memory");
        (bytes, self.planted)
    }

    /// Text in ASCII is left to dicom-object; other text is given to it as bytes, padded to even length (PS3.5 6.2).
    fn encode(&mut self, pieces: &[Piece<'_>], vr: VR) -> PrimitiveValue {
        let mut text = String::new();
        let mut bytes = Vec::new();
        for &piece in pieces {
            let (Piece::Say(said) | Piece::Plant(_, said)) = piece;
            let raw = self.repertoire.encode(said);
            text += said;
            bytes.extend_from_slice(&raw);
            if let Piece::Plant(class, value) = piece {
                self.note(class, value, raw);
            }
        }
        if text.is_ascii() && vr != VR::OB {
            return PrimitiveValue::from(text);
        }
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == VR::OB { 0 } else { b' ' });
        }
        PrimitiveValue::U8(bytes.into())
    }

    fn built(&mut self, count: usize, mut build: impl FnMut(usize, &mut Self)) -> DataSetSequence<InMemDicomObject> {
        let mut items = Vec::with_capacity(count);
        for ordinal in 0..count {
            let mut item = Self::item(self.repertoire);
            build(ordinal, &mut item);
            for planted in item.planted {
                self.note(planted.class, &planted.value, planted.raw);
            }
            items.push(item.object);
        }
        DataSetSequence::new(items, Length::UNDEFINED)
    }
}
