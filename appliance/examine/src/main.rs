//! gift-examine: the box's own de-identification without its daemons, for examiners and for whoever cleans an archive.
//!
//! May touch: the folders, files and keys it is given, and the policy. Opens no socket.
//! It runs where the identifiable objects already are; what it writes to OUT_DIR, `held.json` apart, is what a box would release.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod explain;
mod folder;
mod key;
mod lane;
mod lint;
mod options;
mod policy;
mod templates;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use gift_deid::{
    reader::Reader,
    settings::{Mode, Ocr},
};

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
        /// Take the second look: hold objects in whose finished pixels OCR reads one of their own identifiers.
        #[arg(long)]
        ocr: bool,
        /// For `--ocr`: the program that confines Tesseract; without it, gift-ocr beside this program.
        #[arg(long, value_name = "FILE", requires = "ocr")]
        ocr_reader: Option<PathBuf>,
    },
    /// Show what becomes of each attribute of an object, and why.
    Explain {
        /// The objects.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// As for `deidentify`.
        #[arg(long, value_name = "FILE")]
        templates: Option<PathBuf>,
        /// As for `deidentify`; without any, the profile of `--profile` as it is.
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        options: Vec<options::Name>,
        /// The profile, when no options are given.
        #[arg(long, value_name = "NAME", default_value = "gift-default-1")]
        profile: String,
        /// Show what the values were: for eyes that may see them.
        #[arg(long)]
        values: bool,
    },
    /// Print what a profile keeps, with its grounds and the risk that is left, in Markdown.
    Profile {
        /// Its name.
        #[arg(default_value = "gift-default-1")]
        name: String,
    },
    /// Redaction templates.
    Templates {
        #[command(subcommand)]
        verb: TemplatesVerb,
    },
    /// A child of the above.
    #[command(hide = true, name = lane::VERB)]
    Lane,
}

#[derive(Debug, Subcommand)]
enum TemplatesVerb {
    /// Say what is questionable in template files, by file and line; exit status 1 when anything is.
    Lint {
        /// Files, judged as one set; none: all below `templates/` of the policy.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { policy, verb } = Arguments::parse();
    match verb {
        Verb::Deidentify { in_dir, out_dir, templates, options, key, ocr, ocr_reader } => {
            let key = key::Key::at(key.as_deref())?;
            let work = out_dir.clone();
            let ocr = second_look(ocr, ocr_reader)?;
            folder::deidentify(lane::Start { policy, templates, options, key, in_dir, out_dir, work, ocr })?;
        }
        Verb::Explain { files, templates, options, profile, values } => {
            let judge = policy::judge(&policy, templates.as_deref(), &options)?;
            let name = if options.is_empty() { profile.as_str() } else { policy::PROFILE };
            let key = key::Key::random()?.load()?;
            for file in &files {
                explain::object(&judge, &key, name, file, values)?;
            }
        }
        Verb::Profile { name } => explain::profile(&policy::judge(&policy, None, &[])?, &name)?,
        Verb::Templates { verb: TemplatesVerb::Lint { files } } => lint::templates(&policy, &files)?,
        Verb::Lane => lane::serve()?,
    }
    Ok(())
}

/// The settings of the second look, tried out.
fn second_look(ocr: bool, reader: Option<PathBuf>) -> anyhow::Result<Ocr> {
    if !ocr {
        return Ok(Ocr::default());
    }
    let reader = match reader {
        Some(reader) => reader.canonicalize().with_context(|| reader.display().to_string())?,
        None => std::env::current_exe()?.with_file_name("gift-ocr"),
    };
    let settings = Ocr { mode: Mode::All, reader, ..Ocr::default() };
    if let Some(reader) = Reader::of(&settings) {
        reader.try_out(None).context("--ocr")?;
    }
    Ok(settings)
}
