//! gift-template: redaction templates, shown on an image, suggested from a cine, imported from other projects, and linted.
//!
//! May touch: the objects and template files it is given, and the policy. Opens no socket, replaces no file but a picture's.
//! It runs where the identifiable objects already are. Templates are signed by `gift-keys bundle`, on a machine that is never online.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use gift_redact::Templates;
use gift_template::{
    draft,
    import::{self, Problem},
    policy::Policy,
    show, suggest,
};

/// Redaction templates: see what one does, have one suggested, import those of other projects.
#[derive(Debug, Parser)]
#[command(name = "gift-template", version)]
struct Arguments {
    /// Policy as data: vocabulary, lists and templates.
    #[arg(long, value_name = "DIR", default_value = "config")]
    policy: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Draw what a template does to an object: red what is blanked, green the edge of what is kept, blue the anchors. Says which
    /// template matches, or which conditions of the nearest ones differ.
    Show {
        /// The object.
        file: PathBuf,
        /// The picture (PNG) to write. It shows the image as received: for eyes that may see it.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// Template files; none: all of the policy.
        #[arg(long, value_name = "FILE")]
        template: Vec<PathBuf>,
        /// Frame, from 1.
        #[arg(long, value_name = "N", default_value_t = 1)]
        frame: u32,
        /// No coordinates in the picture.
        #[arg(long)]
        plain: bool,
    },
    /// Suggest a template: what stands still in a cine, or in several stills of one format (of one identity), and is no background,
    /// is blanked. It is not verified: look at it, correct it, then say who verified it.
    Suggest {
        /// The objects, all of one format.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The template file to make; none: standard output.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Its id; otherwise of make, model and size.
        #[arg(long)]
        id: Option<String>,
        /// A make, model or software version that is no value of the vocabulary, and that you have looked at.
        #[arg(long, value_name = "VALUE")]
        known: Vec<String>,
        /// A logo or the like, x,y,width,height: it is left as it is, and becomes an anchor.
        #[arg(long, value_name = "X,Y,W,H", value_parser = rectangle)]
        keep: Vec<[u16; 4]>,
    },
    /// Translate another project's redaction rules to templates that nobody has verified. Lines that do not map are named with the
    /// reason, and then the exit status is 1.
    Import {
        /// The other project's format.
        format: Format,
        /// Its file.
        file: PathBuf,
        /// Directory of the template file to make.
        #[arg(short, long, value_name = "DIR")]
        out: PathBuf,
        /// Take rules that leave the size open for images of this size.
        #[arg(long, value_name = "COLUMNSxROWS", value_parser = size)]
        size: Vec<(u16, u16)>,
        /// Also write what maps in part, without the conditions that no template can state; exit status 0 in any case.
        #[arg(long)]
        partial: bool,
    },
    /// Say what is questionable in template files, judged as one set, by file and line; exit status 1 when anything is.
    Lint {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Names of [`import::Format`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// GIFT-Cloud, `.gcfilter`.
    Gcfilter,
    /// RSNA CTP, DicomPixelAnonymizer script; Stanford's scrubber script.
    Ctp,
    /// pydicom/deid recipe.
    Deid,
    /// Stanford dicom-dre device catalogue.
    Dre,
}

impl From<Format> for import::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Gcfilter => Self::Gcfilter,
            Format::Ctp => Self::Ctp,
            Format::Deid => Self::Deid,
            Format::Dre => Self::Dre,
        }
    }
}

fn rectangle(text: &str) -> Result<[u16; 4], String> {
    let numbers: Result<Vec<u16>, _> = text.split(',').map(|n| n.trim().parse()).collect();
    numbers.ok().and_then(|n| n.try_into().ok()).ok_or_else(|| "x,y,width,height, px".to_owned())
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let numbers = text.split_once('x').and_then(|(c, r)| Some((c.parse().ok()?, r.parse().ok()?)));
    numbers.ok_or_else(|| "columns and rows, as 960x720".to_owned())
}

fn main() -> ExitCode {
    let Arguments { policy, verb } = Arguments::parse();
    match run(&policy, verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(policy: &Path, verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Show { file, out, template, frame, plain } => {
            let wanted = show::Wanted { file, templates: template, frame, plain };
            let shown = show::show(&wanted, &Policy::load(policy)?)?;
            let written = shown.picture.save_with_format(&out, image::ImageFormat::Png);
            written.with_context(|| out.display().to_string())?;
            shown.lines.iter().for_each(|line| println!("{line}"));
        }
        Verb::Suggest { files, out, id, known, keep } => {
            let wanted = suggest::Wanted { files, id, known, keep };
            let suggestion = suggest::suggest(&wanted, &Policy::load(policy)?)?;
            let text = draft::text(&[suggestion.draft]);
            match out {
                Some(path) => suggest::write_new(&path, &text)?,
                None => print!("{text}"),
            }
            suggestion.remarks.iter().for_each(|remark| eprintln!("{remark}"));
        }
        Verb::Import { format, file, out, size, partial } => {
            return imported(policy, format, &file, &out, import::Options { sizes: size, partial });
        }
        Verb::Lint { files } => lint(&files)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn imported(policy: &Path, format: Format, file: &Path, out: &Path, options: import::Options) -> Result<ExitCode> {
    let name = file.file_name().context("a file is expected")?.to_string_lossy().into_owned();
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    // Comments of old scripts are in any encoding; what a rule needs is ASCII.
    let text = String::from_utf8_lossy(&bytes);
    let shown = |problem: &Problem| format!("{}:{problem}", file.display());
    let found = match import::import(format.into(), &name, &text, &Policy::load(policy)?, &options) {
        Ok(found) => found,
        Err(problem) => bail!("{}", shown(&problem)),
    };
    found.notes.iter().for_each(|note| println!("{} (note)", shown(note)));
    found.problems.iter().for_each(|problem| println!("{}", shown(problem)));
    if found.drafts.is_empty() {
        println!("no template");
    } else {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        let stem = suggest::id(&[Some("imported"), Some(&name)]);
        let path = out.join(format!("{stem}.toml"));
        suggest::write_new(&path, &draft::text(&found.drafts))?;
        let findings = draft::lint(&path.display().to_string(), &found.drafts);
        findings.iter().for_each(|finding| println!("{finding} (lint)"));
        println!("{}: {} templates, none verified", path.display(), found.drafts.len());
    }
    println!("{} lines did not map, {} with a note", found.problems.len(), found.notes.len());
    let mapped = found.problems.is_empty() || options.partial;
    Ok(if mapped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lint(files: &[PathBuf]) -> Result<()> {
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        texts.push((path.display().to_string(), text));
    }
    let found = Templates::lint(texts.iter().map(|(name, text)| (name, text)));
    found.iter().for_each(|error| println!("{error}"));
    match found.len() {
        0 => println!("{} files: nothing found", files.len()),
        n => bail!("{n} found in {} files", files.len()),
    }
    Ok(())
}
