//! Developer commands: `cargo xtask demo | test | fuzz | bench | check | build | image | hw-test | hw-campaign | led-card | campaign | deidentify | explain |
//! template | templates`.
//!
//! Kept light on purpose (no C library, few crates): it is what installs everything else on a fresh machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]

mod bench;
mod build;
mod check;
mod debian_licences;
mod fuzz;
mod image;
mod install;
mod led_card;
mod run;
mod sbom;
mod test;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of GIFT-Cloud Edge")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the main job on this machine: hub and box, a scanner's images in, browsable result and health page out.
    Demo {
        /// Arguments of the demo itself (see `cargo xtask demo -- --help`).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// De-identify every DICOM object under IN_DIR into OUT_DIR by the box's own code, without its daemons.
    ///
    /// IN_DIR OUT_DIR [--templates FILE] [--options clean_desc,long_mod,rtn_pat] [--key FILE]; `-- --help` tells more.
    Deidentify {
        /// Arguments of `gift-examine deidentify`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Show what becomes of each attribute of one object, and why.
    ///
    /// FILE… [--options …]; `-- --help` tells more.
    Explain {
        /// Arguments of `gift-examine explain`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Say what is questionable in redaction templates, by file and line.
    ///
    /// lint [FILE…]; without a file all below config/templates.
    Templates {
        /// Arguments of `gift-examine templates`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The research engineer's tool for templates: show what one does to an image, suggest one from a cine, import other projects'.
    ///
    /// show FILE -o PNG | suggest FILE… -o TOML | import gcfilter|ctp|deid|dre FILE -o DIR | lint FILE…; `-- --help` tells more.
    Template {
        /// Arguments of `gift-template`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test: format, lints, dependencies, architecture, unit, property and end-to-end tests with real peers.
    Test {
        /// Only the static gates: fmt, clippy, deny, check.
        #[arg(long)]
        gates: bool,
    },
    /// Fuzz the diode's pure crates, guided by coverage: no panic, no hang over 5 s, less than 512 MB.
    Fuzz(fuzz::Options),
    /// Measure beside other programs, on generated objects: work for each CPU second, and the bars that are to be reached.
    Bench {
        /// Which benchmark.
        what: bench::What,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Run a program and say what it and its children used; for `bench`.
    #[command(hide = true)]
    Measure {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Check the architecture's rules (who may link, read and reach what).
    Check {
        /// Root of the workspace to check.
        #[arg(long)]
        root: Option<PathBuf>,
    },
    /// Build each binary on its own, as it is shipped.
    Build,
    /// Build the box's image: verified root, signed kernel, A/B slots (root; Debian 13 packages).
    Image(image::Options),
    /// Boot the image under QEMU, with a DICOM scanner on one side and the real hub on the other, and attack it.
    HwTest(image::HwTestOptions),
    /// All machine tests, with many power cuts and changed roots (an hour and more under emulation).
    HwCampaign(image::HwCampaignOptions),
    /// Make the technician's card of the LEDs (docs/led-card.html and .pdf) from config/leds.toml and config/led-card.toml.
    LedCard,
    /// Run the long end-to-end campaigns (kill -9, memory, attacks, the second look) at full size.
    Campaign {
        /// Which: kill, memory, ocr, or all.
        #[arg(default_value = "all")]
        which: String,
    },
}

fn main() -> ExitCode {
    let root = run::workspace_root();
    let result = match Cli::parse().verb {
        Verb::Demo { arguments } => test::demo(&root, &arguments),
        Verb::Deidentify { arguments } => test::examine(&root, "deidentify", &arguments),
        Verb::Explain { arguments } => test::examine(&root, "explain", &arguments),
        Verb::Templates { arguments } => test::examine(&root, "templates", &arguments),
        Verb::Template { arguments } => test::template(&root, &arguments),
        Verb::Test { gates } => test::test(&root, gates),
        Verb::Fuzz(options) => fuzz::fuzz(&root, &options),
        Verb::Bench { what, options } => bench::bench(&root, what, &options),
        Verb::Measure { command } => return bench::report(&command).unwrap_or_else(failed),
        Verb::Check { root: other } => check::check(&other.unwrap_or(root)),
        Verb::Build => install::packages().and_then(|()| build::binaries(&root).map(|_| ())),
        Verb::Image(options) => image::image(&root, &options).map(|_| ()),
        Verb::HwTest(options) => image::hw_test(&root, &options),
        Verb::HwCampaign(options) => image::hw_campaign(&root, &options),
        Verb::LedCard => led_card::write(&root),
        Verb::Campaign { which } => test::campaign(&root, &which),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}

fn failed(error: anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
