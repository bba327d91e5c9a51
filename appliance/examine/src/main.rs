//! gift-examine: the box's own de-identification without its daemons, for examiners and for whoever cleans an archive.
//!
//! May touch: the folders, files and keys it is given, and the policy. Opens no socket.
//! It runs where the identifiable objects already are; what it writes to OUT_DIR, `held.json` apart, is what a box would release.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod folder;
mod key;
mod options;
mod policy;
mod templates;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The box's de-identification, without its daemons.
#[derive(Debug, Parser)]
#[command(name = "gift-examine", version)]
struct Arguments {
    /// Policy as data: `ps3.15/`, `profiles/` and `templates/`.
    #[arg(long, value_name = "DIR", default_value = "config")]
    policy: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// De-identify every DICOM object under IN_DIR: released ones go to OUT_DIR under random names, the others are listed with
    /// their reason in OUT_DIR/held.json. Exit status 0 when every object was released or held.
    Deidentify {
        /// Where the objects are; read recursively.
        in_dir: PathBuf,
        /// Where the released ones go; made, or empty.
        out_dir: PathBuf,
        /// Redaction templates that hold for these objects, in place of the shipped ones: a file in the project's format (TOML) or
        /// a JSON list of {manufacturer, model, rows, cols, rects_xywh}. Giving them is the caller's word that they are right.
        #[arg(long, value_name = "FILE")]
        templates: Option<PathBuf>,
        /// Options of PS3.15 E.3, separated by commas; none: the Basic Profile with Clean Pixel Data.
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        options: Vec<options::Name>,
        /// The key of the pseudonyms: a file of `gift-deid make-key`, or any file of at least 32 bytes. Without it a key is made
        /// for this run and forgotten.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { policy, verb } = Arguments::parse();
    match verb {
        Verb::Deidentify { in_dir, out_dir, templates, options, key } => {
            let judge = policy::judge(&policy, templates.as_deref(), &options)?;
            let key = key::load_or_make(key.as_deref())?;
            folder::deidentify(&judge, &key, &in_dir, &out_dir)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
