//! Writes a set of simulated DICOM objects and its key into a directory, for tests and for trying things by hand.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use gift_e2e::generator::Generator;

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
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Generate { directory, count, seed } => {
            let key = Generator::new(seed).write_set(&directory, count).context("cannot write the set")?;
            let released = key.released().count();
            #[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
            {
                println!("{} objects: {released} to be released, {} to be held", key.objects.len(), key.held().count());
            }
        }
    }
    Ok(())
}
