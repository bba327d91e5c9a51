//! The key to a set: what was planted in each object, and what is to become of it.

use std::{collections::BTreeSet, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    kind::{Expectation, Kind},
    scanner::Rect,
};

/// Name of the key beside the objects.
pub const KEY_NAME: &str = "key.json";

/// The key to a set of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The seed the set was made from.
    pub seed: u64,
    /// Every identifier planted anywhere, once.
    pub planted: Vec<Planted>,
    /// The objects, in the order they were made.
    pub objects: Vec<Entry>,
}

/// What the key says about one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its file, relative to the key.
    pub file: String,
    /// Its kind.
    pub kind: Kind,
    /// What is to become of it.
    pub expect: Expectation,
    /// AE title of the scanner.
    pub calling_ae: String,
    /// AE title to send it to.
    pub called_ae: String,
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID of the original.
    pub sop_instance: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// Ordinal of the patient in the set: objects of one patient belong to one subject.
    pub patient: usize,
    /// What is planted in it: indices into [`Key::planted`].
    pub planted: Vec<usize>,
    /// Text in its pixels, the same in every frame.
    pub burnt: Vec<Burnt>,
}

/// What an identifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Of the patient.
    Name,
    /// Hospital or national number of the patient.
    PatientId,
    /// In any written form.
    BirthDate,
    /// Telephone, address.
    Contact,
    /// Accession number and the other numbers of an order.
    Order,
    /// Name of a member of staff.
    Staff,
    /// Name or address of an institution.
    Institution,
    /// Station, serial number.
    Device,
    /// Instance UID of the original.
    Uid,
}

/// An identifier as it stands in an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planted {
    /// What it is.
    pub class: Class,
    /// As text.
    pub value: String,
    /// Its bytes in the object's character set.
    #[serde(with = "hex::serde")]
    pub raw: Vec<u8>,
}

/// Text in the pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burnt {
    /// Where: `[x, y, width, height]`.
    pub rect: Rect,
    /// What is written there.
    pub text: String,
    /// False for annotations that may stay.
    pub identifying: bool,
}

impl Entry {
    /// Where the released pixels must be of one colour: the rectangles of identifying text.
    pub fn must_be_blank(&self) -> impl Iterator<Item = Rect> + '_ {
        self.burnt.iter().filter(|burnt| burnt.identifying).map(|burnt| burnt.rect)
    }
}

impl Key {
    /// Reads the key of the set in `directory`.
    ///
    /// # Errors
    /// It cannot be read, or is no key.
    pub fn read(directory: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(directory.join(KEY_NAME))?)?)
    }

    /// Writes it beside the objects in `directory`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::write(directory.join(KEY_NAME), serde_json::to_vec(self)?)
    }

    /// The objects that are to be released.
    pub fn released(&self) -> impl Iterator<Item = &Entry> {
        self.objects.iter().filter(|entry| entry.expect == Expectation::Released)
    }

    /// The objects that are to be held.
    pub fn held(&self) -> impl Iterator<Item = &Entry> {
        self.objects.iter().filter(|entry| entry.expect != Expectation::Released)
    }

    /// The patients of whom something is to be released: as many subjects must the hub have.
    pub fn released_patients(&self) -> BTreeSet<usize> {
        self.released().map(|entry| entry.patient).collect()
    }

    /// What was planted, of certain classes.
    pub fn planted_of<'a>(&'a self, classes: &'a [Class]) -> impl Iterator<Item = &'a Planted> {
        self.planted.iter().filter(|planted| classes.contains(&planted.class))
    }
}
