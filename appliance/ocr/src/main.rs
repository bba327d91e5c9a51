//! gift-ocr: reads the text in one grey picture, for the de-identifier's second look. One picture a process.
//!
//! May touch: the picture, which is its standard input (a PGM in a regular file), and its standard output.
//! May not touch: any network, any file but the libraries and the language data that Tesseract reads, any other program.
//! A compromise yields: the picture it was given. Tesseract and its image libraries run as `engine`, in a sandbox that is
//! closed before they are loaded; their words pass a second process, which is closed as well and only counts and cuts.

mod engine;
mod reader;
mod words;

use std::{path::PathBuf, process::ExitCode};

/// How the engine is to be run.
#[derive(Debug, Clone)]
struct Orders {
    /// Tesseract.
    program: PathBuf,
    /// Its language data.
    tessdata: PathBuf,
    /// Address space, bytes.
    memory_bytes: u64,
    /// Processor time.
    seconds: u64,
}

fn main() -> ExitCode {
    // A panic message can quote what was read.
    std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let [verb, program, tessdata, memory, seconds] = arguments.as_slice() else { return usage() };
    let number = |text: &std::ffi::OsString| text.to_str().and_then(|text| text.parse().ok());
    let (Some(memory_bytes), Some(seconds)) = (number(memory), number(seconds)) else { return usage() };
    let orders = Orders { program: program.into(), tessdata: tessdata.into(), memory_bytes, seconds };
    let done = match verb.to_str() {
        Some("read") => reader::read(&orders),
        Some(engine::VERB) => engine::run(&orders),
        _ => return usage(),
    };
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

#[allow(clippy::print_stderr, reason = "for whoever tries it at a terminal")]
fn usage() -> ExitCode {
    eprintln!("usage: gift-ocr read TESSERACT TESSDATA MEMORY-BYTES SECONDS < picture.pgm");
    ExitCode::FAILURE
}
