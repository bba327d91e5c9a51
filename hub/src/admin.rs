//! Administration from the hub's own machine, beside a running server: users, boxes, the audit trail.

use std::{
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use zeroize::Zeroizing;

use crate::{
    hub::Hub,
    settings::{self, Settings},
    store::{
        audit::{self, Verified},
        fleet, order, policy, update,
        users::{self, Role},
    },
};

/// Largest password line read, bytes.
const MAX_LINE: u64 = 4096;

/// GIFT-Cloud hub: enrols boxes, stores what they release, serves it to researchers.
#[derive(Debug, Parser)]
#[command(name = "gift-hub", version)]
pub struct Cli {
    /// Settings file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What to do; serves when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make certificates and database if they are not there yet.
    Init,
    /// Print the root certificate that boxes and clients pin.
    RootCertificate,
    /// Sign the issuing CA's certificate anew with the root's key, which is kept offline; then start the hub again. The fleet page and the log
    /// say when it is time.
    RenewIssuingCa {
        /// `root.key`, as it was made at the first start.
        root_key: PathBuf,
    },
    /// Add a user, or set role and password of one; the password is the first line of standard input.
    AddUser {
        /// Name: 1 to 64 of a-z, 0-9, '.', '_', '-'.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum)]
        role: Role,
    },
    /// Name a box and print the one-time token that it enrols with.
    AddBox {
        /// Name: 1 to 64 of a-z, 0-9, '.', '_', '-'.
        name: String,
    },
    /// Revoke a box: its certificates are refused from the next request on.
    RevokeBox {
        /// Name.
        name: String,
    },
    /// State that the isolated objects of a box, and a suspected clone, have been looked at: they no longer ask for attention.
    Acknowledge {
        /// Name.
        name: String,
    },
    /// Put a signed policy bundle up for the boxes (made by `gift-keys bundle`).
    AddPolicy {
        /// The file.
        file: PathBuf,
    },
    /// Put a signed system update up for the boxes.
    AddUpdate {
        /// What was signed, with its signature.
        signed: PathBuf,
        /// The archive that it names.
        archive: PathBuf,
    },
    /// Put a signed order to erase a box up for that box (made by `gift-keys order`).
    AddOrder {
        /// The file.
        file: PathBuf,
    },
    /// Check that no row of the audit trail was altered or removed.
    VerifyAudit,
}

/// Runs the command line.
///
/// # Errors
/// Whatever keeps the command from being done, in words for the operator.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = settings::load(&cli.config)?;
    match cli.command {
        None => serve(settings),
        Some(command) => administer(command, settings),
    }
}

fn serve(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(crate::hub::run(settings))?;
    Ok(())
}

fn administer(command: Command, settings: Settings) -> anyhow::Result<()> {
    let token_hours = settings.enrolment.token_hours;
    let hub = Hub::open(settings)?;
    match command {
        Command::Init => hub.make_certificates()?,
        Command::RootCertificate => print(&hub.pki.root_pem())?,
        Command::RenewIssuingCa { root_key } => hub.pki.renew_issuing(&root_key)?,
        Command::AddUser { name, role } => {
            let password = read_password()?;
            let hash = hub.auth.hasher.hash_new(&name, &password)??;
            hub.store.write_blocking(move |c, key| users::set(c, key, &name, role, &hash))?;
        }
        Command::AddBox { name } => {
            let token = hub.store.write_blocking(move |c, key| fleet::add_box(c, key, &name, token_hours))?;
            print(&format!("{token}\n"))?;
        }
        Command::RevokeBox { name } => {
            hub.store.write_blocking(move |c, key| fleet::revoke_box(c, key, &name))?;
        }
        Command::Acknowledge { name } => {
            hub.store.write_blocking(move |c, key| fleet::acknowledge(c, key, &name))?;
        }
        Command::AddPolicy { file } => {
            let bytes = read(&file, gift_wire::MAX_BUNDLE_BYTES)?;
            let serial = hub.store.write_blocking(move |c, key| policy::add(c, key, &bytes))?;
            print(&format!("serial {serial}\n"))?;
        }
        Command::AddUpdate { signed, archive } => {
            let bytes = read(&signed, gift_wire::MAX_UPDATE_JSON_BYTES)?;
            let serial = update::add(&hub.store, bytes, &archive)?;
            print(&format!("serial {serial}\n"))?;
        }
        Command::AddOrder { file } => {
            let bytes = read(&file, gift_wire::MAX_ORDER_JSON_BYTES)?;
            let number = hub.store.write_blocking(move |c, key| order::add(c, key, &bytes))?;
            print(&format!("number {number}\n"))?;
        }
        Command::VerifyAudit => match hub.store.write_blocking(audit::verify)? {
            Verified::Whole(rows) => print(&format!("whole: {rows} rows\n"))?,
            Verified::BrokenAt(row) => bail!("the audit trail is broken at row {row}"),
        },
    }
    Ok(())
}

/// What a file holds: `most` bytes, and one more, so that a longer one is seen to be.
fn read(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut file = std::io::Read::take(file, most as u64 + 1);
    std::io::Read::read_to_end(&mut file, &mut bytes).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

fn read_password() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    let stdin = std::io::stdin().lock();
    std::io::Read::take(stdin, MAX_LINE).read_line(&mut line).context("read the password")?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("write to standard output")
}
