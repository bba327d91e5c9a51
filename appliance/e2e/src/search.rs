//! Byte search of directory trees for many planted identifiers at once, in every encoding in which one might leak.
//!
//! Contents and file names are searched; what is compressed or encrypted is searched as the bytes it is. A hit names the
//! file and the ordinal of the planted value, never the value, so that a test's output can be shown to anybody.
//!
//! Two things keep chance out. A form shorter than [`SHORTEST_BYTES`] is not looked for: it would be found in any picture.
//! A form of digits alone counts only where no further digit stands beside it: eight digits of a date stand in some
//! pseudonymous UID sooner or later.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;

use crate::generator::{KEY_NAME, Planted, Repertoire};

/// Forms shorter than this are not looked for. In 1 GB of random bytes a form of six is expected 4 × 10⁻⁶ times.
pub const SHORTEST_BYTES: usize = 6;
/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Where a planted value was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The file.
    pub file: PathBuf,
    /// Ordinal of the value among those the search was made for.
    pub planted: usize,
    /// Offset in the file of the first find, in bytes; `None` when it stands in the name.
    pub offset: Option<u64>,
}

/// A search for many values.
pub struct Search {
    automaton: AhoCorasick,
    forms: Vec<Form>,
    longest: usize,
    /// Values of which at least one form is long enough to be looked for.
    searched: BTreeSet<usize>,
}

/// One form of one value.
struct Form {
    planted: usize,
    digits_alone: bool,
}

impl Search {
    /// A search for `planted`, whose ordinals in this order are what a hit names.
    pub fn new<'a>(planted: impl IntoIterator<Item = &'a Planted>) -> Self {
        let mut bytes = Vec::new();
        let mut forms = Vec::new();
        let mut searched = BTreeSet::new();
        for (ordinal, planted) in planted.into_iter().enumerate() {
            for form in forms_of(planted).into_iter().filter(|form| form.len() >= SHORTEST_BYTES) {
                searched.insert(ordinal);
                forms.push(Form { planted: ordinal, digits_alone: form.iter().all(u8::is_ascii_digit) });
                bytes.push(form);
            }
        }
        let longest = bytes.iter().map(Vec::len).max().unwrap_or(0);
        // Unwrap safety: fails only past 2³¹ states.
        let automaton = AhoCorasick::new(&bytes).expect("fewer than two thousand million states");
        Self { automaton, forms, longest, searched }
    }

    /// How many values it looks for; the others are too short in every form.
    pub fn len(&self) -> usize {
        self.searched.len()
    }

    /// True when it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.searched.is_empty()
    }

    /// Everything found in the tree below `root` (or in the file `root`): the first place of each value in each file.
    /// Links are not followed; what vanishes meanwhile is passed over.
    ///
    /// # Errors
    /// `root` does not exist, or something in it cannot be read.
    pub fn hits_in(&self, root: &Path) -> io::Result<Vec<Hit>> {
        let mut hits = Vec::new();
        fs::symlink_metadata(root)?;
        self.walk(root, &mut hits)?;
        hits.sort();
        Ok(hits)
    }

    /// The values that are nowhere in the tree below `root`: on the originals, none must be missing, else the search proves
    /// nothing. Their key, which names every value, does not count.
    ///
    /// # Errors
    /// As for [`Search::hits_in`].
    pub fn not_found_in(&self, root: &Path) -> io::Result<Vec<usize>> {
        let hits = self.hits_in(root)?.into_iter().filter(|hit| hit.file.file_name() != Some(OsStr::new(KEY_NAME)));
        let found: BTreeSet<usize> = hits.map(|hit| hit.planted).collect();
        Ok(self.searched.difference(&found).copied().collect())
    }

    fn walk(&self, path: &Path, hits: &mut Vec<Hit>) -> io::Result<()> {
        let Some(kind) = present(fs::symlink_metadata(path))?.map(|meta| meta.file_type()) else { return Ok(()) };
        if kind.is_dir() {
            let Some(entries) = present(fs::read_dir(path))? else { return Ok(()) };
            for entry in entries {
                let path = entry?.path();
                if let Some(name) = path.file_name() {
                    for (planted, _) in self.in_bytes(name.as_encoded_bytes()) {
                        hits.push(Hit { file: path.clone(), planted, offset: None });
                    }
                }
                self.walk(&path, hits)?;
            }
        } else if kind.is_file()
            && let Some(file) = present(File::open(path))?
        {
            for (planted, offset) in self.in_stream(file)? {
                hits.push(Hit { file: path.to_owned(), planted, offset: Some(offset) });
            }
        }
        Ok(())
    }

    fn in_bytes(&self, bytes: &[u8]) -> BTreeMap<usize, u64> {
        let mut found = BTreeMap::new();
        self.scan(bytes, 0, true, &mut found);
        found
    }

    /// Reads in chunks, each with the end of the one before in front of it, so that nothing is lost between two.
    fn in_stream(&self, mut from: impl io::Read) -> io::Result<BTreeMap<usize, u64>> {
        let mut found = BTreeMap::new();
        let mut buffer = Vec::with_capacity(CHUNK_BYTES + self.longest + 1);
        let mut start = 0;
        loop {
            let read = from.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
            self.scan(&buffer, start, read == 0, &mut found);
            if read == 0 {
                return Ok(found);
            }
            // One byte more than the longest form: the neighbour that a form of digits is judged by.
            let done = buffer.len().saturating_sub(self.longest + 1);
            buffer.drain(..done);
            start += done as u64;
        }
    }

    /// Looks through `bytes`, which stand at `start`; `last` when nothing follows them.
    fn scan(&self, bytes: &[u8], start: u64, last: bool, found: &mut BTreeMap<usize, u64>) {
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let form = &self.forms[hit.pattern().as_usize()];
            if form.digits_alone {
                let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
                // At either edge of a chunk the neighbour is not in sight. Since chunks overlap by more than a form, another
                // chunk has the same find with both its neighbours.
                let unseen = (hit.start() == 0 && start > 0) || (hit.end() == bytes.len() && !last);
                if unseen || (hit.start() > 0 && digit(hit.start() - 1)) || digit(hit.end()) {
                    continue;
                }
            }
            let offset = start + hit.start() as u64;
            found.entry(form.planted).and_modify(|first| *first = offset.min(*first)).or_insert(offset);
        }
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("values", &self.len()).field("forms", &self.forms.len()).finish()
    }
}

/// `None` for what is not there (any more).
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes that `planted` may appear as, each once.
fn forms_of(planted: &Planted) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([planted.raw.clone()]);
    for text in [planted.value.clone(), planted.value.to_uppercase(), planted.value.to_lowercase()] {
        for repertoire in [Repertoire::Latin1, Repertoire::Japanese] {
            if let Some(bytes) = repertoire.encode_exactly(&text) {
                forms.insert(bytes);
            }
        }
        let units: Vec<u16> = text.encode_utf16().collect();
        forms.insert(units.iter().flat_map(|unit| unit.to_le_bytes()).collect());
        forms.insert(units.iter().flat_map(|unit| unit.to_be_bytes()).collect());
        // As JSON escapes it, where it does.
        forms.insert(units.iter().flat_map(|&unit| json_escaped(unit)).collect());
        forms.insert(text.into_bytes());
    }
    // As a debugging dump would show it.
    forms.insert(hex::encode(&planted.raw).into_bytes());
    forms.insert(hex::encode_upper(&planted.raw).into_bytes());
    forms
}

fn json_escaped(unit: u16) -> Vec<u8> {
    match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => vec![byte],
        _ => format!("\\u{unit:04x}").into_bytes(),
    }
}

#[cfg(test)]
mod tests;
