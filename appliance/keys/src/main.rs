//! gift-keys: keys of sites and linkage domains, made and kept offline, and brought to boxes; and what is signed offline for boxes: policy
//! bundles, provisionings, system updates, orders to erase a box.
//!
//! May touch: the files it is given. May not touch: any network; it opens no socket, and replaces no file.
//! A compromise of the machine it runs on yields the keys it is given there: use one that is never online, has no swap and
//! keeps no core dumps, and erase a recovered key's file as soon as it is wrapped.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]

use std::{
    io::{IsTerminal as _, stdin},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use chrono::Utc;
use clap::{Parser, Subcommand, ValueEnum};
use gift_deid::key::Credential;
use gift_deidentify::pseudonym::Scheme;
use gift_keys::{
    bundle, files, label,
    manifest::Manifest,
    order, provisioning,
    share::{self, Share},
    update, wrap,
};
use gift_wire::{ImageVersion, OrderKind};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use zeroize::Zeroizing;

/// Keys of sites and linkage domains, offline.
#[derive(Debug, Parser)]
#[command(name = "gift-keys", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key file, of a site or of a linkage domain. Prints the key's identifier, which is no secret.
    Make {
        /// The file to make.
        file: PathBuf,
        /// Version of the key: one more than the last when a key is replaced. Another key gives other pseudonyms.
        #[arg(long, value_name = "N", default_value_t = 1)]
        version: u32,
    },
    /// Print the identifier and the version of a key file.
    Id {
        /// The key file.
        file: PathBuf,
    },
    /// Share a key out: N share files, of which any K give it back.
    Escrow {
        /// The key file.
        file: PathBuf,
        /// How many holders.
        #[arg(long, value_name = "N")]
        shares: u8,
        /// How many of them together recover the key.
        #[arg(long, value_name = "K")]
        threshold: u8,
        /// Where the share files go: share-1.txt and so on.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Recover a key file from K share files.
    Recover {
        /// The share files.
        #[arg(required = true)]
        shares: Vec<PathBuf>,
        /// The key file to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a box's identity, to which keys are wrapped. Prints its public key.
    BoxIdentity {
        /// The file to make; it never leaves the box.
        file: PathBuf,
    },
    /// Wrap a key to a box, so that only that box reads it.
    Wrap {
        /// The key file.
        file: PathBuf,
        /// The box's public key (age1…).
        #[arg(long, value_name = "PUBLIC_KEY")]
        to: String,
        /// The wrapped key to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Unwrap a key on its box.
    Unwrap {
        /// The wrapped key.
        file: PathBuf,
        /// The box's identity.
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// Identifier of the key that is expected (`gift-keys id`), from another source than the wrapped key.
        #[arg(long, value_name = "ID")]
        expect: String,
        /// The key file to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make a signer's key for policy bundles. Prints its public key, which boxes are told (`[bundles] keys` of deid's settings).
    PolicyKey {
        /// The file to make.
        file: PathBuf,
    },
    /// Sign a policy bundle: templates and profiles for boxes, which the hub carries (`gift-hub add-policy`).
    Bundle {
        /// Directory with templates/ and profiles/. The bundle is whole: what an earlier one said and this one does not is gone.
        texts: PathBuf,
        /// The policy of the image that the boxes run (`config/`): with the bundle on top it must hold together.
        #[arg(long, value_name = "DIR")]
        image: PathBuf,
        /// A text of the image that no longer counts, as templates/NAME.
        #[arg(long, value_name = "NAME")]
        withdraw: Vec<String>,
        /// Greater than that of every bundle before.
        #[arg(long, value_name = "N")]
        serial: u64,
        /// For how many days boxes take it.
        #[arg(long, value_name = "DAYS", default_value_t = 365)]
        days: u64,
        /// The signer's key file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The bundle to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a box's provisioning: its settings, network, hub, and keys that were wrapped to it.
    Provisioning {
        /// Directory with network.toml, receiver.toml, deid.toml, uplink.toml, hub-roots.pem, and where they apply health.toml,
        /// button.toml, enrolment-token, site-key.age, site-key.id, linkage-key.age, linkage-key.id.
        texts: PathBuf,
        /// The box's serial, as on its label.
        #[arg(long, value_name = "SERIAL")]
        serial: String,
        /// Greater than that of every provisioning of this box before.
        #[arg(long, value_name = "N")]
        number: u64,
        /// The signer's key file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// What to write into the box's partition.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The box's identity: the public key that it printed at its first boot (age1...).
        #[arg(long, value_name = "KEY", requires = "manifest")]
        identity: Option<String>,
        /// The factory's manifest of this box to make, which an order for it is made from.
        #[arg(long, value_name = "FILE", requires = "identity")]
        manifest: Option<PathBuf>,
    },
    /// Sign a system update, which the hub carries to boxes (`gift-hub add-update`). Signers of updates have keys of their own (`policy-key`),
    /// which images are built with.
    Update {
        /// Directory with the image's parts (`cargo xtask image`).
        image: PathBuf,
        /// Version of the image: one to four numbers with points between them.
        #[arg(long, value_name = "VERSION", value_parser = image_version)]
        image_version: ImageVersion,
        /// Greater than that of every update before.
        #[arg(long, value_name = "N")]
        serial: u64,
        /// For how many days boxes take it.
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        days: u64,
        /// The image is made without the extension with codecs. Has to be said: with its part merely missing, boxes would lose video and
        /// second look.
        #[arg(long)]
        without_codecs: bool,
        /// The Secure Boot certificate that the boxes' firmware has (`boot.crt`): an image that was signed with another does not start there.
        #[arg(long, value_name = "FILE")]
        boot_certificate: PathBuf,
        /// The signer's key file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The archive to make.
        #[arg(long, value_name = "FILE")]
        archive: PathBuf,
        /// The signed update to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign an order to erase one box, which the hub carries to it (`gift-hub add-order`). Signers of orders have keys of their own
    /// (`policy-key`), which images are built with.
    Order {
        /// What is to be done: factory-reset, or decommission.
        #[arg(value_parser = order_kind)]
        kind: OrderKind,
        /// The factory's manifest of the box.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["serial", "identity"], required_unless_present = "identity")]
        manifest: Option<PathBuf>,
        /// Without a manifest: the box's serial, as in its provisioning.
        #[arg(long, value_name = "SERIAL", requires = "identity")]
        serial: Option<String>,
        /// Without a manifest: the box's identity, the public key that its site key was wrapped to (age1...).
        #[arg(long, value_name = "KEY", requires = "serial")]
        identity: Option<String>,
        /// Greater than that of every order for this box before.
        #[arg(long, value_name = "N")]
        number: u64,
        /// For how many days the box carries it out.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        days: u64,
        /// The signer's key file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The signed order to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print one patient's subject pseudonym. Standard input says who: with --site-key two lines, Issuer of Patient ID (may be
    /// empty) and Patient ID; with --linkage-key one line, the national number.
    Label {
        /// The site's key file.
        #[arg(long, value_name = "FILE", conflicts_with = "linkage_key", required_unless_present = "linkage_key")]
        site_key: Option<PathBuf>,
        /// The linkage domain's key file.
        #[arg(long, value_name = "FILE", requires = "scheme")]
        linkage_key: Option<PathBuf>,
        /// Whose national number.
        #[arg(long, conflicts_with = "site_key")]
        scheme: Option<SchemeName>,
    },
}

/// Names of [`Scheme`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemeName {
    /// NHS number.
    Nhs,
    /// Belgian national number.
    Belgium,
}

impl From<SchemeName> for Scheme {
    fn from(name: SchemeName) -> Self {
        match name {
            SchemeName::Nhs => Self::Nhs,
            SchemeName::Belgium => Self::Belgium,
        }
    }
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Make { file, version } => {
            let key = Credential::fresh(version)?;
            key.save(&file)?;
            print_id(&key);
        }
        Verb::Id { file } => print_id(&Credential::load(&file)?),
        Verb::Escrow { file, shares, threshold, out } => escrow(&file, shares, threshold, &out)?,
        Verb::Recover { shares, out } => recover(&shares, &out)?,
        Verb::BoxIdentity { file } => {
            let (text, public) = wrap::box_identity();
            files::write(&file, &text)?;
            println!("{public}");
        }
        Verb::Wrap { file, to, out } => {
            let key = Credential::load(&file)?;
            files::write(&out, &wrap::wrap(&key, &to)?)?;
            print_id(&key);
        }
        Verb::Unwrap { file, identity, expect, out } => {
            let key = wrap::unwrap(&files::read(&file)?, &files::read(&identity)?, &expect)?;
            key.save(&out)?;
            print_id(&key);
        }
        Verb::PolicyKey { file } => {
            let (text, public) = bundle::policy_key()?;
            files::write(&file, text.as_bytes())?;
            println!("{public}");
        }
        Verb::Bundle { texts, image, withdraw, serial, days, key, out } => {
            let (texts, image, withdrawn) = (texts.as_path(), image.as_path(), withdraw.as_slice());
            let order = bundle::Order { texts, image, withdrawn, serial, today: Utc::now().date_naive(), days };
            files::write(&out, bundle::make(&order, &files::read(&key)?)?)?;
            println!("serial {serial}");
        }
        Verb::Provisioning { texts, serial, number, key, out, identity, manifest } => {
            let today = Utc::now().date_naive().to_string();
            let signed = provisioning::make(&texts, serial.clone(), number, today.clone(), &files::read(&key)?)?;
            let of_box =
                identity.map(|identity| Manifest::new(serial, &identity, number, today, &signed)).transpose()?;
            // A manifest is of what there is.
            files::write(&out, signed)?;
            if let (Some(of_box), Some(file)) = (of_box, manifest) {
                files::write(&file, of_box.to_json()?)?;
            }
            println!("number {number}");
        }
        Verb::Update { image, image_version, serial, days, without_codecs, boot_certificate, key, archive, out } => {
            let (image, version, codecs) = (image.as_path(), &image_version, !without_codecs);
            let boot = CertificateDer::from_pem_slice(files::read(&boot_certificate)?.as_bytes())
                .with_context(|| format!("{}: no certificate (PEM)", boot_certificate.display()))?;
            let today = Utc::now().date_naive();
            let order = update::Order { image, version, codecs, boot_certificate: &boot, serial, today, days };
            files::write(&out, update::make(&order, &files::read(&key)?, &archive)?)?;
            println!("serial {serial}");
        }
        Verb::Order { kind, manifest, serial, identity, number, days, key, out } => {
            let (serial, identity) = match (manifest, serial, identity) {
                (None, Some(serial), Some(identity)) => (serial, identity),
                (Some(file), ..) => {
                    let manifest = Manifest::parse(&files::read(&file)?).with_context(|| file.display().to_string())?;
                    (manifest.serial, manifest.identity)
                }
                _ => bail!("--manifest, or --serial and --identity"),
            };
            let today = Utc::now().date_naive();
            let wanted = order::Wanted { kind, serial, identity, number, today, days };
            files::write(&out, order::make(wanted, &files::read(&key)?)?)?;
            println!("number {number}");
        }
        Verb::Label { site_key, linkage_key, scheme } => {
            let label = match (site_key, linkage_key, scheme) {
                (Some(file), None, None) => {
                    let key = Credential::load(&file)?;
                    label::of_site(&key, &asked("Issuer of Patient ID, then Patient ID, one a line, then Ctrl-D")?)?
                }
                (None, Some(file), Some(scheme)) => {
                    let key = Credential::load(&file)?;
                    label::linked(&key, scheme.into(), &asked("the national number, then Ctrl-D")?)?
                }
                _ => anyhow::bail!("--site-key FILE, or --linkage-key FILE and --scheme"),
            };
            println!("{label}");
        }
    }
    Ok(())
}

fn image_version(text: &str) -> Result<ImageVersion, &'static str> {
    ImageVersion::parse(text).ok_or("one to four numbers below 100000 with points between them")
}

fn order_kind(text: &str) -> Result<OrderKind, &'static str> {
    OrderKind::parse(text).ok_or("factory-reset or decommission")
}

fn print_id(key: &Credential) {
    println!("key {} version {}", key.identifier(), key.version);
}

fn escrow(file: &Path, shares: u8, threshold: u8, out: &Path) -> Result<()> {
    let key = Credential::load(file)?;
    for share in share::split(&key, shares, threshold)? {
        files::write(&out.join(format!("share-{}.txt", share.index)), share.to_text())?;
    }
    print_id(&key);
    Ok(())
}

fn recover(paths: &[PathBuf], out: &Path) -> Result<()> {
    let read = |(at, path): (usize, &PathBuf)| {
        Share::from_text(&files::read(path)?, at + 1).with_context(|| path.display().to_string())
    };
    let shares: Vec<Share> = paths.iter().enumerate().map(read).collect::<Result<_>>()?;
    let key = share::join(&shares)?;
    key.save(out)?;
    print_id(&key);
    Ok(())
}

/// Standard input; a person at a terminal is told what is expected.
fn asked(what: &str) -> Result<Zeroizing<String>> {
    if stdin().is_terminal() {
        eprintln!("{what}:");
    }
    files::bounded(&mut stdin().lock()).context("standard input")
}
