//! Writes a set of simulated DICOM objects and its key into a directory, and searches other directories for what was planted
//! in the set; for tests and for trying things by hand.
#![allow(clippy::print_stdout, reason = "the answer of a command-line tool")]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use gift_e2e::{
    generator::{Generator, Key},
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
    /// Search files and folders for every identifier planted in a set; fails when one is found.
    Search {
        /// The directory of the set.
        set: PathBuf,
        /// Where to search.
        #[arg(required = true)]
        places: Vec<PathBuf>,
    },
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
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
