//! From the signed text to files.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use gift_provision::{
    MAX_PROVISIONING_BYTES, Provisioning, Trust, canary,
    network::{Network, resolv_conf_of},
    verified_provisioning,
};
use nix::unistd::User;
use tracing::{error, info, warn};

use crate::{Arguments, keys, ports};

/// How long a network device may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything, in order: what can fail comes after what the LEDs need to say so.
pub(crate) fn lay_out(arguments: &Arguments) -> Result<()> {
    let settings = arguments.run.join("settings");
    directory(&settings, 0o755)?;
    for entry in fs::read_dir(&arguments.defaults).context("default settings")? {
        let entry = entry?;
        place(&settings.join(entry.file_name()), &fs::read(entry.path())?, 0o644, None)?;
    }
    directory(&arguments.house, 0o700)?;
    // For the factory, which wraps the site's key to it; it is public.
    let public_key = keys::identity(&arguments.house)?;
    info!("identity of this box: {public_key}");

    let Current { provisioning, new } = current(arguments)?;
    // Which box this is, for those who may not see the house: both are public.
    let this_box = arguments.run.join("box");
    directory(&this_box, 0o755)?;
    place(&this_box.join("serial"), provisioning.serial.as_bytes(), 0o644, None)?;
    place(&this_box.join("identity"), public_key.as_bytes(), 0o644, None)?;
    info!("serial {}, provisioning {} of {}", provisioning.serial, provisioning.number, provisioning.created);
    for (name, text) in &provisioning.texts {
        match name.as_str() {
            "enrolment-token" => place(&settings.join(name), text.as_bytes(), 0o400, Some("gift-uplink"))?,
            name if name.ends_with(".age") || name.ends_with(".id") || name == "network.toml" => {}
            name => place(&settings.join(name), text.as_bytes(), 0o644, None)?,
        }
    }
    if let Err(error) = canary(&settings) {
        // The box works without; it does not become *ready*.
        warn!("no canary: {error:#}");
    }
    let mut opened = false;
    for key in ["site-key", "linkage-key"] {
        let text = |ending: &str| provisioning.texts.get(&format!("{key}.{ending}"));
        if let (Some(wrapped), Some(identifier)) = (text("age"), text("id")) {
            keys::seal(&arguments.house, &arguments.run, &arguments.credentials, key, wrapped, identifier)?;
            info!("{key} sealed to this machine");
            opened = true;
        }
    }
    let network = provisioning.network()?;
    networks(arguments, &network)?;
    let way_out = provisioning.way_out()?.definitions(&network.wan);
    place(&arguments.run.join("network/way-out.nft"), way_out.as_bytes(), 0o644, None)?;
    // Only now: one that does not work here must not outlast the right one. That its keys open here says that it is this box's.
    if let Some(text) = new.filter(|_| opened) {
        keep(&kept_path(arguments), &text)?;
    }
    Ok(())
}

/// The provisioning that counts.
struct Current {
    provisioning: Provisioning,
    /// Its text, where this box has not kept it yet.
    new: Option<Vec<u8>>,
}

fn kept_path(arguments: &Arguments) -> PathBuf {
    arguments.house.join("provisioning.json")
}

/// The provisioning that counts: the partition's, unless it is refused, older than the one this box has seen, or another box's.
fn current(arguments: &Arguments) -> Result<Current> {
    let trust = Trust::parse(&fs::read_to_string(&arguments.trust).context("trusted keys")?)?;
    let kept = fs::read(kept_path(arguments)).ok().and_then(|bytes| verified_provisioning(&bytes, &trust).ok());
    // One that cannot be read is as good as a damaged one.
    let bytes = beginning(&arguments.partition).unwrap_or_else(|error| {
        warn!("provisioning partition: {error:#}");
        Vec::new()
    });
    let given = verified_provisioning(&bytes, &trust);
    match (given, kept) {
        (Ok(given), Some(kept)) if given == kept => Ok(Current { provisioning: kept, new: None }),
        (Ok(given), Some(kept)) if !follows(&given, &kept) => {
            warn!(
                "provisioning {} of {} refused, {} of {} was seen before and stays",
                given.number, given.serial, kept.number, kept.serial
            );
            Ok(Current { provisioning: kept, new: None })
        }
        (Ok(given), _) => {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            Ok(Current { provisioning: given, new: Some(bytes[..end].to_vec()) })
        }
        (Err(error), Some(kept)) => {
            warn!("provisioning refused ({error}), the one before stays");
            Ok(Current { provisioning: kept, new: None })
        }
        (Err(error), None) => Err(anyhow!(error).context("provisioning refused, and there was none before")),
    }
}

/// Whether `given` may take the place of `kept`: the same box's, with a greater number. (A box gets another serial when it is erased.)
fn follows(given: &Provisioning, kept: &Provisioning) -> bool {
    given.serial == kept.serial && given.number > kept.number
}

fn beginning(partition: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(partition)?.take(MAX_PROVISIONING_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds the canary to what was laid out, where gift-health is to ask for it.
fn canary(settings: &Path) -> Result<()> {
    let read = |name: &str| fs::read_to_string(settings.join(name)).with_context(|| name.to_owned());
    if !canary::is_asked_for(&read("health.toml")?) {
        return Ok(());
    }
    let (receiver, deid) = (canary::in_receiver(&read("receiver.toml")?)?, canary::in_deid(&read("deid.toml")?)?);
    for (name, text) in [("receiver.toml", receiver.as_str()), ("deid.toml", &deid), ("canary.toml", canary::SETTINGS)]
    {
        place(&settings.join(name), text.as_bytes(), 0o644, None)?;
    }
    Ok(())
}

fn networks(arguments: &Arguments, network: &Network) -> Result<()> {
    directory(&arguments.run.join("network"), 0o755)?;
    let mut names = String::new();
    for (name, side) in network.sides() {
        // The other side works all the same: images wait on the box, or the hub is told that none come.
        match ports::device_at(&arguments.devices, &side.port, PATIENCE) {
            Ok(device) => names.push_str(&format!("{}_DEVICE={device}\n", name.to_ascii_uppercase())),
            Err(error) => error!("no network device at {}, the port of the {name} side: {error}", side.port),
        }
        let files = arguments.run.join("network").join(name);
        directory(&files, 0o755)?;
        for (file, content) in side.networkd(name) {
            place(&files.join(file), content.as_bytes(), 0o644, None)?;
        }
    }
    place(&arguments.run.join("network/devices.env"), names.as_bytes(), 0o644, None)?;
    place(&arguments.run.join("network/timesyncd.conf"), network.timesyncd_conf().as_bytes(), 0o644, None)?;
    // Its owner takes the lease's over (`name_servers`).
    place(&arguments.run.join("settings/resolv.conf"), network.resolv_conf().as_bytes(), 0o644, Some("gift-names"))
}

/// Writes the name servers of the WAN side's lease, if it has any, in the place of those of the provisioning. Into the same file: the
/// units see it by a mount.
pub(crate) fn name_servers(arguments: &Arguments, state: &Path) -> Result<()> {
    let state = fs::read_to_string(state).with_context(|| state.display().to_string())?;
    if let Some(text) = resolv_conf_of(&state) {
        let file = arguments.run.join("settings/resolv.conf");
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()))?;
        info!("name servers from the lease");
    }
    Ok(())
}

fn directory(path: &Path, mode: u32) -> Result<()> {
    let name = || path.display().to_string();
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).with_context(name)?;
    // As for files: the mask of the unit is stricter.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).with_context(name)
}

/// Writes a file of the run directory, readable by its owner from the first byte.
fn place(path: &Path, content: &[u8], mode: u32, owner: Option<&str>) -> Result<()> {
    let name = || path.display().to_string();
    if path.exists() {
        fs::remove_file(path).with_context(name)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(name)?;
    file.write_all(content).with_context(name)?;
    // The mask of the unit is stricter than what everybody may read.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).with_context(name)?;
    if let Some(owner) = owner {
        let user = User::from_name(owner)?.with_context(|| format!("no account {owner}"))?;
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(name)?;
    }
    Ok(())
}

/// Writes a file of the state so that a power cut leaves the old one or the new one.
pub(crate) fn keep(path: &Path, content: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use clap::Parser as _;
    use gift_provision::SignedProvisioning;
    use minisign::KeyPair;

    use super::*;

    struct Bench {
        directory: tempfile::TempDir,
        pair: KeyPair,
    }

    impl Bench {
        fn new() -> Self {
            let bench = Self {
                directory: tempfile::tempdir().unwrap(),
                pair: KeyPair::generate_unencrypted_keypair().unwrap(),
            };
            fs::create_dir(bench.path("house")).unwrap();
            fs::write(bench.path("trust"), bench.pair.pk.to_base64()).unwrap();
            bench
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn arguments(&self) -> Arguments {
            let options = ["partition", "trust", "house"].map(|name| format!("--{name}={}", self.path(name).display()));
            Arguments::parse_from(["gift-provision".to_owned()].into_iter().chain(options))
        }

        /// Signs a provisioning and writes it to the partition.
        fn give(&self, serial: &str, number: u64, created: &str) {
            let network = "[scanner]\nport = \"a\"\ndhcp = true\n[wan]\nport = \"b\"\ndhcp = true\n";
            let texts = [
                ("network.toml", network),
                ("receiver.toml", "x"),
                ("deid.toml", "x"),
                ("uplink.toml", "hub-url = \"https://hub.example.org\""),
                ("hub-roots.pem", "x"),
            ];
            let texts = texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
            let provisioning = Provisioning::new(serial.to_owned(), number, created.to_owned(), texts);
            let provisioning = serde_json::to_string(&provisioning).unwrap();
            let (pk, sk) = (&self.pair.pk, &self.pair.sk);
            let signature = minisign::sign(Some(pk), sk, Cursor::new(&provisioning), None, None).unwrap().into_string();
            let mut bytes = serde_json::to_vec(&SignedProvisioning { provisioning, signature }).unwrap();
            bytes.resize(bytes.len() + 512, 0);
            fs::write(self.path("partition"), bytes).unwrap();
        }

        /// Serial, number and day of the one that counts, and whether it is new; which is then kept, if it worked.
        fn counts(&self, works: bool) -> (String, u64, String, bool) {
            let arguments = self.arguments();
            let Current { provisioning, new } = current(&arguments).unwrap();
            let is_new = new.is_some();
            if let Some(text) = new.filter(|_| works) {
                keep(&kept_path(&arguments), &text).unwrap();
            }
            (provisioning.serial, provisioning.number, provisioning.created, is_new)
        }
    }

    #[test]
    fn the_newest_that_worked_counts_and_another_boxs_never_outlasts_it() {
        let bench = Bench::new();
        let found = |serial: &str, number, created: &str, new| (serial.to_owned(), number, created.to_owned(), new);
        assert!(current(&bench.arguments()).is_err(), "never provisioned");
        // Another box's text with the same number: it does not work here, and the right one takes its place.
        bench.give("GE-0002", 1, "2026-01-01");
        assert_eq!(bench.counts(false), found("GE-0002", 1, "2026-01-01", true));
        bench.give("GE-0001", 1, "2026-01-02");
        assert_eq!(bench.counts(true), found("GE-0001", 1, "2026-01-02", true));
        assert_eq!(bench.counts(true), found("GE-0001", 1, "2026-01-02", false));
        let ours = found("GE-0001", 1, "2026-01-02", false);
        bench.give("GE-0002", 9, "2026-01-03");
        assert_eq!(bench.counts(true), ours, "another box's, however new");
        bench.give("GE-0001", 1, "2026-01-04");
        assert_eq!(bench.counts(true), ours, "the same number says something else");
        fs::write(bench.path("partition"), [0; 512]).unwrap();
        assert_eq!(bench.counts(true), ours, "emptied");
        fs::remove_file(bench.path("partition")).unwrap();
        assert_eq!(bench.counts(true), ours, "unreadable");
        // A newer one that does not work is tried at each start, and the one before is still there.
        bench.give("GE-0001", 3, "2026-01-05");
        assert_eq!(bench.counts(false), found("GE-0001", 3, "2026-01-05", true));
        bench.give("GE-0001", 2, "2026-01-06");
        assert_eq!(bench.counts(true), found("GE-0001", 2, "2026-01-06", true));
        bench.give("GE-0001", 1, "2026-01-02");
        assert_eq!(bench.counts(true), found("GE-0001", 2, "2026-01-06", false), "an older one");
    }
}
