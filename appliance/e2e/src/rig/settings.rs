//! Settings and credentials of a rig's processes: the samples of `config/samples/` in spirit, with the rig's paths and ports.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use nix::unistd::{chown, Gid, Uid};

use super::{layout, Isolation, Options, Rig, Role};

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
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    copy_tree(&policy, &rig.root.join("policy"))?;
    let (deid, health) = match &rig.isolation {
        Isolation::Full { .. } => (layout::DEID.uid, layout::HEALTH.uid),
        Isolation::None(_) => (nix::unistd::getuid().as_raw(), nix::unistd::getuid().as_raw()),
    };
    let receiver_uid = match &rig.isolation {
        Isolation::Full { .. } => layout::RECEIVER.uid,
        Isolation::None(_) => nix::unistd::getuid().as_raw(),
    };
    let reserve = options.reserve_bytes;
    let box_port = rig.box_address()?.port();
    let put = |role: Role, text: String| fs::write(rig.settings(role), text).context("cannot write settings");

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
        super::deid_settings::text(&rig.root, receiver_uid, reserve),
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

[retry]
first-ms = 200
longest-ms = 2000
"#
        ),
    )?;
    put(Role::Health, super::health_settings::text(&rig.root, reserve))?;
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
