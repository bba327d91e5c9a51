//! gift-video: decodes one stream of video, or encodes one, for the de-identifier. One stream a process.
//!
//! May touch: the stream, which is its standard input (a regular file to decode; a pipe to encode), and its standard output (a pipe;
//! a regular file).
//! May not touch: any network, any file but the libraries that ffmpeg reads, any other program.
//! A compromise yields: the stream it was given. The sandbox is closed before the first byte of the stream is looked at; then the
//! process becomes ffmpeg, with a command line made of closed lists and numbers only.

mod command;
mod container;
mod orders;

use std::{
    fs::File,
    io::{self, Seek as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use gift_confine::Program;

use crate::{container::Container, orders::Orders};

fn main() -> ExitCode {
    // A panic message can quote what was read.
    std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let Some(orders) = Orders::of(&arguments) else { return usage() };
    run(&orders).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Closes the sandbox and becomes ffmpeg; on success it does not return.
fn run(orders: &Orders) -> Result<()> {
    gift_confine::close_inherited()?;
    let mut stream = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    gift_confine::enter_program(&Program {
        path: &orders.program,
        readable: None,
        memory_bytes: orders.memory_bytes,
        seconds: orders.seconds,
        file_bytes: orders.file_bytes(),
        threads: true,
    })?;
    let arguments = match orders.task {
        orders::Task::Decode { codec } => {
            let container = Container::of(&stream, codec).context("no container of video")?;
            stream.rewind()?;
            command::decode(codec, container, orders.columns, orders.rows)
        }
        orders::Task::Encode { standard, scan, quality, .. } => command::encode(standard, scan, quality),
    };
    Err(Command::new(&orders.program).args(arguments).env_clear().exec().into())
}

#[allow(clippy::print_stderr, reason = "for whoever tries it at a terminal")]
fn usage() -> ExitCode {
    eprintln!("usage: gift-video decode … | encode …: see orders.rs");
    ExitCode::FAILURE
}
