//! The scanner simulator: makes realistic DICOM objects with planted identifiers, and a key that says for each what was
//! planted and what is to become of it.
//!
//! Everything follows from a seed, on every machine. The people are invented (`people`), the scanners are laid out like the
//! models they are named after ([`scanner`]), and the objects are valid: `dciodvfy` finds no error in them. Most of them are
//! things that the shipped policy releases; the others must be held, each for its own reason ([`Kind::expectation`]).
//! [`attack`] has what no scanner sends.

mod canvas;
mod clinic;
mod draft;
mod key;
mod kind;
mod modules;
mod paper;
mod people;
mod repertoire;
mod report;
mod rng;
mod stray;
mod tomography;
mod ultrasound;

pub mod attack;
pub mod scanner;

use std::{collections::BTreeMap, fs, io, path::Path};

pub use clinic::Fixed;
pub use key::{Burnt, Class, Entry, KEY_NAME, Key, Planted};
pub use kind::{CALLED_AE, Expectation, Kind, Mix, UNROUTED_AE};
pub use repertoire::Repertoire;
pub use stray::Stray;

use clinic::{Clinic, Session};
use draft::Draft;
use rng::Rng;

/// Makes objects; see the module.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    rng: Rng,
    clinic: Clinic,
}

/// One object.
#[derive(Debug, Clone)]
pub struct Generated {
    /// Its kind.
    pub kind: Kind,
    /// What is to become of it.
    pub expect: Expectation,
    /// The object as Part 10.
    pub bytes: Vec<u8>,
    /// AE title of the scanner.
    pub calling_ae: &'static str,
    /// AE title to send it to.
    pub called_ae: &'static str,
    /// SOP Class UID.
    pub sop_class: &'static str,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Transfer Syntax UID.
    pub transfer_syntax: &'static str,
    /// Ordinal of the patient in the set.
    pub patient: usize,
    /// Every identifier in it.
    pub planted: Vec<Planted>,
    /// Text in its pixels, the same in every frame.
    pub burnt: Vec<Burnt>,
}

/// What the maker of a kind gives back.
struct Made {
    draft: Draft,
    transfer_syntax: &'static str,
    burnt: Vec<Burnt>,
}

impl Generator {
    /// A generator of the objects that `seed` names.
    pub fn new(seed: u64) -> Self {
        Self { seed, rng: Rng::new(seed), clinic: Clinic::default() }
    }

    /// The same, with sizes that are not left to chance.
    pub fn with(seed: u64, fixed: Fixed) -> Self {
        Self { seed, rng: Rng::new(seed), clinic: Clinic::with(fixed) }
    }

    /// Makes objects one by one, in a mixed order; a number stands for the usual mix.
    pub fn generate(&mut self, mix: impl Into<Mix>) -> impl Iterator<Item = Generated> + '_ {
        let order = mix.into().order(&mut self.rng);
        order.into_iter().map(|kind| self.one(kind))
    }

    /// Makes one object of a kind.
    pub fn one(&mut self, kind: Kind) -> Generated {
        let session = self.clinic.next(kind, &mut self.rng);
        let Made { draft, transfer_syntax, burnt } = make(kind, &session, &mut self.rng.fork());
        let sop_class = kind.sop_class();
        let (bytes, planted) = draft.finish(transfer_syntax, sop_class, &session.sop_instance);
        Generated {
            kind,
            expect: kind.expectation(),
            bytes,
            calling_ae: session.series.scanner.calling_ae,
            called_ae: kind.called_ae(),
            sop_class,
            sop_instance: session.sop_instance,
            transfer_syntax,
            patient: session.series.visit.patient.ordinal,
            planted,
            burnt,
        }
    }

    /// Writes a set into `directory` (made if missing): `000001.dcm` and so on, and the key.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write_set(&mut self, directory: &Path, mix: impl Into<Mix>) -> io::Result<Key> {
        fs::create_dir_all(directory)?;
        let mut known: BTreeMap<Planted, usize> = BTreeMap::new();
        let mut key = Key { seed: self.seed, planted: Vec::new(), objects: Vec::new() };
        for (i, object) in self.generate(mix).enumerate() {
            let file = format!("{:06}.dcm", i + 1);
            fs::write(directory.join(&file), &object.bytes)?;
            let mut indices = Vec::with_capacity(object.planted.len());
            for planted in object.planted {
                indices.push(*known.entry(planted).or_insert_with_key(|planted| {
                    key.planted.push(planted.clone());
                    key.planted.len() - 1
                }));
            }
            key.objects.push(Entry {
                file,
                kind: object.kind,
                expect: object.expect,
                calling_ae: object.calling_ae.into(),
                called_ae: object.called_ae.into(),
                sop_class: object.sop_class.into(),
                sop_instance: object.sop_instance,
                transfer_syntax: object.transfer_syntax.into(),
                patient: object.patient,
                planted: indices,
                burnt: object.burnt,
            });
        }
        key.write(directory)?;
        Ok(key)
    }
}

fn make(kind: Kind, session: &Session, rng: &mut Rng) -> Made {
    match kind {
        Kind::VolusonStill
        | Kind::VolusonCine
        | Kind::V830Still
        | Kind::EpiqCine
        | Kind::EpiqStill
        | Kind::UnknownUltrasound
        | Kind::Unrouted => ultrasound::make(kind, session, rng),
        Kind::Ct => tomography::ct(session, rng),
        Kind::Mr | Kind::WithoutPatientId => tomography::mr(kind, session, rng),
        Kind::BasicTextReport | Kind::ComprehensiveReport => report::make(kind, session, rng),
        Kind::SecondaryCapture => paper::capture(session, rng),
        Kind::EncapsulatedPdf => paper::pdf(session, rng),
    }
}

#[cfg(test)]
mod tests;
