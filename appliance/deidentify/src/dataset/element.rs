//! The tree itself: data sets of elements, in ascending order of tag.

use dicom_core::{Tag, VR};

/// Which source a [`Value::Span`] points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The object as received: the [`super::Body`] that came with the data set.
    Input,
    /// What redaction wrote, frame by frame.
    Scratch,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The value's bytes in the byte order of Explicit VR Little Endian, as they stood (padding included).
    Bytes(Vec<u8>),
    /// `length` bytes at `offset` of a source, little endian; a long value left where it is.
    Span {
        /// Which source.
        origin: Origin,
        /// Offset in the source, bytes.
        offset: u64,
        /// Length, bytes.
        length: u64,
    },
    /// A sequence of items.
    Sequence(Vec<DataSet>),
    /// Encapsulated pixel data (PS3.5 A.4): the basic offset table's bytes, then the fragments.
    Fragments {
        /// Basic Offset Table, bytes as they stood (may be empty).
        offsets: Vec<u8>,
        /// Each a `Bytes` or `Span`.
        fragments: Vec<Value>,
    },
}

impl Value {
    /// True for a value of zero length and a sequence without items.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Span { length, .. } => *length == 0,
            Self::Sequence(items) => items.is_empty(),
            Self::Fragments { fragments, .. } => fragments.is_empty(),
        }
    }

    /// The bytes, when they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Tag.
    pub tag: Tag,
    /// VR as it stood, or from the dictionary for implicit VR; UN when unknown.
    pub vr: VR,
    /// Value.
    pub value: Value,
}

impl Element {
    /// An element of bytes. Odd lengths are padded when written (PS3.5 §6.2).
    pub fn new(tag: Tag, vr: VR, bytes: impl Into<Vec<u8>>) -> Self {
        Self { tag, vr, value: Value::Bytes(bytes.into()) }
    }

    /// A sequence.
    pub fn sequence(tag: Tag, items: Vec<DataSet>) -> Self {
        Self { tag, vr: VR::SQ, value: Value::Sequence(items) }
    }

    /// The items; none when this is not a sequence.
    pub fn items(&self) -> &[DataSet] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }
}

/// Elements in ascending order of tag, each tag once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSet {
    elements: Vec<Element>,
}

impl DataSet {
    /// No elements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of elements at this level.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    fn position(&self, tag: Tag) -> Result<usize, usize> {
        self.elements.binary_search_by_key(&tag, |e| e.tag)
    }

    /// The element with this tag.
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.position(tag).ok().map(|i| &self.elements[i])
    }

    /// The value of the element with this tag. (The element itself is replaced by [`Self::insert`], so that tags stay
    /// in order.)
    pub fn get_mut(&mut self, tag: Tag) -> Option<&mut Value> {
        self.position(tag).ok().map(|i| &mut self.elements[i].value)
    }

    /// True when there is an element with this tag.
    pub fn contains(&self, tag: Tag) -> bool {
        self.position(tag).is_ok()
    }

    /// Puts an element in its place; returns what stood there.
    pub fn insert(&mut self, element: Element) -> Option<Element> {
        match self.position(element.tag) {
            Ok(i) => Some(std::mem::replace(&mut self.elements[i], element)),
            Err(i) => {
                self.elements.insert(i, element);
                None
            }
        }
    }

    /// Takes the element with this tag out.
    pub fn remove(&mut self, tag: Tag) -> Option<Element> {
        self.position(tag).ok().map(|i| self.elements.remove(i))
    }

    /// Elements in ascending order.
    pub fn iter(&self) -> std::slice::Iter<'_, Element> {
        self.elements.iter()
    }

    /// Keeps, changes or drops each element in turn. `keep` must not change the tag: a changed one is put back in order.
    pub fn retain_mut(&mut self, keep: impl FnMut(&mut Element) -> bool) {
        self.elements.retain_mut(keep);
        if !self.elements.is_sorted_by_key(|e| e.tag) {
            self.elements.sort_by_key(|e| e.tag);
        }
    }

    /// The items of the sequence with this tag; none when it is absent or no sequence.
    pub fn items(&self, tag: Tag) -> &[DataSet] {
        self.get(tag).map_or(&[], Element::items)
    }

    /// The item reached by following `path`: sequence and ordinal of its item, from the outside in.
    pub fn at(&self, path: &[(Tag, usize)]) -> Option<&DataSet> {
        path.iter().try_fold(self, |ds, (tag, index)| ds.items(*tag).get(*index))
    }

    /// Every element at every depth, each before the elements of its items.
    pub fn walk(&self) -> Walk<'_> {
        Walk { stack: vec![self.elements.iter()], items: Vec::new() }
    }

    /// From elements in any order. `Err` holds the first tag that occurs twice with different elements; equal ones become
    /// one.
    pub(super) fn from_elements(mut elements: Vec<Element>) -> Result<Self, Tag> {
        if !elements.is_sorted_by(|a, b| a.tag < b.tag) {
            elements.sort_by_key(|e| e.tag);
            if let Some(pair) = elements.windows(2).find(|w| w[0].tag == w[1].tag && w[0] != w[1]) {
                return Err(pair[0].tag);
            }
            elements.dedup_by_key(|e| e.tag);
        }
        Ok(Self { elements })
    }
}

impl<'a> IntoIterator for &'a DataSet {
    type Item = &'a Element;
    type IntoIter = std::slice::Iter<'a, Element>;
    fn into_iter(self) -> Self::IntoIter {
        self.elements.iter()
    }
}

impl IntoIterator for DataSet {
    type Item = Element;
    type IntoIter = std::vec::IntoIter<Element>;
    fn into_iter(self) -> Self::IntoIter {
        self.elements.into_iter()
    }
}

/// For data sets that are known to be well formed; equal tags: the last one wins.
impl FromIterator<Element> for DataSet {
    fn from_iter<I: IntoIterator<Item = Element>>(iter: I) -> Self {
        let mut ds = Self::default();
        for element in iter {
            ds.insert(element);
        }
        ds
    }
}

/// Iterator of [`DataSet::walk`]; keeps its own stack.
#[derive(Debug)]
pub struct Walk<'a> {
    stack: Vec<std::slice::Iter<'a, Element>>,
    /// Per level above the current one: items still to visit.
    items: Vec<std::slice::Iter<'a, DataSet>>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Element;

    fn next(&mut self) -> Option<&'a Element> {
        loop {
            if let Some(element) = self.stack.last_mut()?.next() {
                if let Value::Sequence(items) = &element.value {
                    let mut items = items.iter();
                    self.stack.push(items.next().map_or([].iter(), |ds| ds.elements.iter()));
                    self.items.push(items);
                }
                return Some(element);
            }
            self.stack.pop();
            match self.items.last_mut() {
                Some(items) => match items.next() {
                    Some(ds) => self.stack.push(ds.elements.iter()),
                    None => {
                        self.items.pop();
                    }
                },
                None => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tag: Tag, value: &str) -> Element {
        Element::new(tag, VR::LO, value)
    }

    #[test]
    fn walk_visits_every_element_of_every_item_once() {
        let inner: DataSet = [text(Tag(8, 1), "a"), text(Tag(8, 2), "b")].into_iter().collect();
        let empty = DataSet::new();
        let middle: DataSet = [Element::sequence(Tag(8, 3), vec![inner.clone(), empty, inner])].into_iter().collect();
        let root: DataSet = [
            Element::sequence(Tag(8, 4), vec![middle.clone(), middle]),
            Element::sequence(Tag(8, 5), vec![]),
            text(Tag(8, 6), "c"),
        ]
        .into_iter()
        .collect();
        let tags: Vec<u16> = root.walk().map(|e| e.tag.1).collect();
        assert_eq!(tags, [4, 3, 1, 2, 1, 2, 3, 1, 2, 1, 2, 5, 6]);
    }

    #[test]
    fn equal_duplicates_become_one_and_different_ones_are_an_error() {
        let twice = vec![text(Tag(8, 2), "x"), text(Tag(8, 1), "a"), text(Tag(8, 2), "x")];
        assert_eq!(DataSet::from_elements(twice).unwrap().len(), 2);
        let other = vec![text(Tag(8, 2), "x"), text(Tag(8, 2), "y")];
        assert_eq!(DataSet::from_elements(other), Err(Tag(8, 2)));
    }

    #[test]
    fn insertion_keeps_the_order_of_tags() {
        let mut ds = DataSet::new();
        for n in [5, 1, 3, 1] {
            ds.insert(text(Tag(8, n), "v"));
        }
        assert_eq!(ds.iter().map(|e| e.tag.1).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(ds.remove(Tag(8, 3)).is_some() && ds.get(Tag(8, 3)).is_none());
    }
}
