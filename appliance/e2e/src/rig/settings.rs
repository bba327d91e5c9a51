//! Settings and credentials of a rig's processes: the samples of `config/samples/` in spirit, with the rig's paths and ports.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use gift_provision::canary;
use nix::unistd::{Gid, Uid, chown};

use super::{Isolation, Options, Rig, Role, layout};

/// AE title of the box.
pub(super) const CALLED_AE: &str = "GIFTBOX";
/// Name in the hub's certificate.
const HUB_NAME: &str = "hub.gift.test";

/// A password nobody chose: 128 random bits.
pub(super) fn password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(hex::encode(bytes))
}

/// Writes every role's settings, and copies the policy (`config/`) to where the processes can read it.
pub(super) fn write(rig: &Rig, options: &Options) -> Result<()> {
    let root = rig.root.display();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    copy_tree(&repository, &rig.root.join("policy"))?;
    let (receiver, deid, uplink, health) = match &rig.isolation {
        Isolation::Full { .. } => (layout::RECEIVER.uid, layout::DEID.uid, layout::UPLINK.uid, layout::HEALTH.uid),
        Isolation::None(_) => {
            let me = nix::unistd::getuid().as_raw();
            (me, me, me, me)
        }
    };
    let reserve = options.reserve_bytes;
    let (mut bundles, mut policy) = (String::new(), String::new());
    if let Some(key) = &options.policy_key {
        let inbox = format!("inbox = \"{root}/policy-drop/inbox\"");
        bundles = format!("[bundles]\n{inbox}\nwriters = [{uplink}]\nkeys = [\"{key}\"]\n");
        policy = format!("[policy]\n{inbox}\nstaging = \"{root}/policy-drop/staging\"\ninterval-seconds = 1\n");
    }
    let box_port = rig.box_address()?.port();
    let put = |role: Role, text: String| {
        let text = match (role, options.canary) {
            (_, None) => text,
            (Role::Receiver, _) => canary::in_receiver(&text)?,
            (Role::Deid, _) => canary::in_deid(&text)?,
            (Role::Health, Some([longest, first])) => {
                format!("{text}\n[canary]\nlongest-age-seconds = {longest}\nfirst-within-seconds = {first}\n")
            }
            _ => text,
        };
        fs::write(rig.settings(role), text).context("cannot write settings")
    };
    fs::write(rig.root.join("settings/canary.toml"), format!("receiver = \"127.0.0.1:{}\"\n", rig.dicom_port))?;

    put(
        Role::Receiver,
        format!(
            r#"
listen = "127.0.0.1:0"
intake-staging = "{root}/intake/staging"
intake-inbox = "{root}/intake/inbox"
status-directory = "{root}/status/receiver"
reserve-bytes = {reserve}
called-ae-titles = ["{CALLED_AE}", "ELSEWHERE"]

[[scanners]]
ordinal = 1
address = "127.0.0.1"
"#
        ),
    )?;
    put(
        Role::Deid,
        format!(
            r#"
intake-inbox = "{root}/intake/inbox"
intake-writers = [{receiver}]
house = "{root}/deid"
release-staging = "{root}/release/staging-deid"
release-outbox = "{root}/release/outbox"
status-directory = "{root}/status/deid"
policy = "{root}/policy"
reserve-bytes = {reserve}

{bundles}
[[route]]
called-ae = "{CALLED_AE}"
project = "fetal-surgery"
profile = "gift-default-1"
"#
        ),
    )?;
    put(
        Role::Uplink,
        format!(
            r#"
house = "{root}/uplink"
outbox = "{root}/release/outbox"
writers = [{deid}, {health}]
status-dir = "{root}/status/uplink"
hub-url = "https://{HUB_NAME}:{box_port}"
hub-address = "127.0.0.1"
hub-roots = "{root}/credentials/hub-roots.pem"
enrolment-token-file = "{root}/credentials/uplink/enrolment-token"
stop-grace-ms = 2000

{policy}
[retry]
first-ms = 200
longest-ms = 2000
"#
        ),
    )?;
    put(
        Role::Health,
        format!(
            r#"
receiver-status = "{root}/status/receiver"
deid-status = "{root}/status/deid"
uplink-status = "{root}/status/uplink"
updater-status = "{root}/status/updater"
status-directory = "{root}/status/health"
state-disk = "{root}/leds"
reserve-bytes = {reserve}
release-staging = "{root}/release/staging-health"
release-outbox = "{root}/release/outbox"

[report]
interval-seconds = 60
soonest-seconds = 2

[leds]
kind = "plain"
directory = "{root}/leds"
patterns = "{root}/policy/leds.toml"
"#
        ),
    )?;
    put(
        Role::Hub,
        format!(
            r#"
data-directory = "{root}/hub"

[box-listener]
address = "127.0.0.1:0"
names = ["{HUB_NAME}"]

[web-listener]
address = "127.0.0.1:0"
names = ["localhost", "127.0.0.1"]
allow = ["127.0.0.0/8"]

[ingest]
disk-reserve-mib = 64

[[profile]]
name = "gift-default-1"
options = ["rtn-pat-chars", "rtn-long-modif-dates", "clean-desc"]

[[project]]
name = "fetal-surgery"
subject-prefix = "FETAL"
"#
        ),
    )
}

/// What the box gets at provisioning: the hub's roots, a one-time token, a site key.
pub(super) fn write_enrolment(rig: &Rig, token: &str) -> Result<()> {
    let credentials = rig.root.join("credentials");
    let roots = fs::read(rig.root.join("hub/pki/root.pem")).context("the hub's root certificate")?;
    fs::write(rig.hub_roots(), roots)?;
    secret(rig, Role::Uplink, &credentials.join("uplink/enrolment-token"), token.as_bytes())?;
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let text = format!("version = 1\nkey = \"{}\"\n", hex::encode(key));
    secret(rig, Role::Deid, &credentials.join("deid/site-key"), text.as_bytes())
}

/// A file that one role alone may read, in a directory that it alone may enter.
fn secret(rig: &Rig, role: Role, path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().context("path without directory")?;
    fs::create_dir_all(directory)?;
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o400))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o500))?;
    if matches!(rig.isolation, Isolation::Full { .. }) {
        let account = role.account();
        for path in [path, directory] {
            chown(path, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("entry without name")?);
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}
