//! An object as a file: its data set in memory, its pixels where they are.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use anyhow::{Context as _, Result, anyhow};
use gift_deidentify::dataset::{Body, DataSet, Limits, Source, read_part10};

/// A file of the disk.
#[derive(Debug)]
pub struct Stored {
    file: File,
    length: u64,
    name: String,
}

impl Source for Stored {
    fn len(&self) -> u64 {
        self.length
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

/// A DICOM object (PS3.10).
pub struct Object<'s> {
    /// Transfer Syntax UID.
    pub transfer_syntax: String,
    /// The data set.
    pub data_set: DataSet,
    /// What its spans point into.
    pub body: Body<'s>,
}

impl Stored {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// The medium's.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| name.clone())?;
        let length = file.metadata().with_context(|| name.clone())?.len();
        Ok(Self { file, length, name })
    }

    /// The object in it.
    ///
    /// # Errors
    /// It is none.
    pub fn object(&self) -> Result<Object<'_>> {
        let (meta, parsed) = read_part10(self, &Limits::default()).map_err(|why| anyhow!("{}: {why}", self.name))?;
        Ok(Object { transfer_syntax: meta.transfer_syntax_uid, data_set: parsed.data_set, body: parsed.body })
    }
}
