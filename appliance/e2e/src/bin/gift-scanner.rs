//! Writes a set of simulated DICOM objects and its key into a directory, and searches other directories for what was planted
//! in the set; for tests and for trying things by hand.
#![allow(clippy::print_stdout, reason = "the answer of a command-line tool")]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use gift_e2e::{
    generator::{Fixed, Generator, Key, Kind, Stray},
    search::Search,
};

/// Simulates the scanners of a hospital.
#[derive(Debug, Parser)]
#[command(name = "gift-scanner", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write objects (000001.dcm …) and key.json into a directory.
    Generate {
        /// The directory; made if missing.
        directory: PathBuf,
        /// How many objects.
        #[arg(long, default_value_t = 60)]
        count: usize,
        /// Which set: the same seed gives the same objects.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Write objects of one kind and size (000001.dcm …) into a directory, without a key: what `cargo xtask bench` measures with.
    Load {
        /// The directory; made if missing.
        directory: PathBuf,
        /// Which.
        #[arg(long)]
        kind: Load,
        /// How many objects.
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// Side of a CT slice, pixels.
        #[arg(long)]
        side: Option<u16>,
        /// Frames of a cine.
        #[arg(long)]
        frames: Option<u32>,
        /// Size of an ultrasound image, pixels.
        #[arg(long, num_args = 2, value_names = ["ROWS", "COLUMNS"])]
        size: Vec<u16>,
        /// With an identifier of the patient in the pixels, where no template looks for one.
        #[arg(long)]
        stray: bool,
        /// Which set.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Search files and folders for every identifier planted in a set; fails when one is found.
    Search {
        /// The directory of the set.
        set: PathBuf,
        /// Where to search.
        #[arg(required = true)]
        places: Vec<PathBuf>,
    },
}

/// What can be made in a given size.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Load {
    /// CT slices.
    Ct,
    /// Cines with native pixels.
    RawCine,
    /// Cines with JPEG baseline frames.
    JpegCine,
}

impl Load {
    fn kind(self) -> Kind {
        match self {
            Self::Ct => Kind::Ct,
            Self::RawCine => Kind::VolusonCine,
            Self::JpegCine => Kind::EpiqCine,
        }
    }
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Load { directory, kind, count, side, frames, size, stray, seed } => {
            std::fs::create_dir_all(&directory)?;
            let size = size.first().copied().zip(size.get(1).copied());
            let stray = stray.then_some(Stray::Identifier);
            let mut generator = Generator::with(seed, Fixed { side, frames, size, stray, ..Fixed::default() });
            for number in 1..=count {
                let object = generator.one(kind.kind());
                std::fs::write(directory.join(format!("{number:06}.dcm")), object.bytes)?;
            }
        }
        Command::Generate { directory, count, seed } => {
            let key = Generator::new(seed).write_set(&directory, count).context("cannot write the set")?;
            let released = key.released().count();
            println!("{} objects: {released} to be released, {} to be held", key.objects.len(), key.held().count());
        }
        Command::Search { set, places } => {
            let key = Key::read(&set).context("cannot read the key of the set")?;
            let search = Search::new(&key.planted);
            let mut found = 0;
            for place in places {
                for hit in search.hits_in(&place).with_context(|| format!("cannot search {}", place.display()))? {
                    let class = key.planted[hit.planted].class;
                    println!("{}: {class:?} {} at {:?}", hit.file.display(), hit.planted, hit.offset);
                    found += 1;
                }
            }
            println!("{} values searched for, {found} finds", search.len());
            if found > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
