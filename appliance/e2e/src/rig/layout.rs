//! Directories of a box and a hub on one machine: owner, group and mode of each, as `appliance/dist/` has them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Uid, chown};

/// Who a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// The drop groups it belongs to.
    pub groups: &'static [u32],
}

/// The drop group of `intake/`.
pub const GROUP_INTAKE: u32 = 64_911;
/// The drop group of `release/`.
pub const GROUP_RELEASE: u32 = 64_912;
/// The drop group of `policy/`.
pub const GROUP_POLICY: u32 = 64_914;
/// Who may read status records.
pub const GROUP_STATUS: u32 = 64_913;

/// Account of the receiver.
pub const RECEIVER: Account = Account { uid: 64_901, gid: 64_901, groups: &[GROUP_INTAKE] };
/// Account of the de-identifier.
pub const DEID: Account = Account { uid: 64_902, gid: 64_902, groups: &[GROUP_INTAKE, GROUP_RELEASE, GROUP_POLICY] };
/// Account of the uplink.
pub const UPLINK: Account = Account { uid: 64_903, gid: 64_903, groups: &[GROUP_RELEASE, GROUP_POLICY] };
/// Account of health.
pub const HEALTH: Account = Account { uid: 64_904, gid: 64_904, groups: &[GROUP_RELEASE, GROUP_STATUS] };
/// Account of the hub.
pub const HUB: Account = Account { uid: 64_905, gid: 64_905, groups: &[] };

/// One directory: path under the root, owner, group, mode.
type Row = (&'static str, u32, u32, u32);

/// Every directory, parents first. The reader owns an inbox (2730), the writer may only drop into it.
const DIRECTORIES: &[Row] = &[
    ("intake", 0, 0, 0o755),
    ("intake/staging", RECEIVER.uid, GROUP_INTAKE, 0o2700),
    ("intake/inbox", DEID.uid, GROUP_INTAKE, 0o2730),
    ("deid", DEID.uid, DEID.gid, 0o700),
    ("release", 0, 0, 0o755),
    ("release/staging-deid", DEID.uid, GROUP_RELEASE, 0o2700),
    ("release/staging-health", HEALTH.uid, GROUP_RELEASE, 0o2700),
    ("release/outbox", UPLINK.uid, GROUP_RELEASE, 0o2730),
    ("policy-drop", 0, 0, 0o755),
    ("policy-drop/staging", UPLINK.uid, GROUP_POLICY, 0o2700),
    ("policy-drop/inbox", DEID.uid, GROUP_POLICY, 0o2730),
    ("uplink", UPLINK.uid, UPLINK.gid, 0o700),
    ("status", 0, 0, 0o755),
    ("status/receiver", RECEIVER.uid, GROUP_STATUS, 0o2750),
    ("status/deid", DEID.uid, GROUP_STATUS, 0o2750),
    ("status/uplink", UPLINK.uid, GROUP_STATUS, 0o2750),
    ("status/health", HEALTH.uid, GROUP_STATUS, 0o2750),
    ("leds", HEALTH.uid, HEALTH.gid, 0o755),
    ("hub", HUB.uid, HUB.gid, 0o700),
    ("settings", 0, 0, 0o755),
    ("credentials", 0, 0, 0o755),
    ("log", 0, 0, 0o755),
    ("bin", 0, 0, 0o755),
];

/// Makes every directory under `root`; with `owners`, gives each to its owner.
///
/// # Errors
/// The file system's.
pub fn make(root: &Path, owners: bool) -> Result<()> {
    for &(name, uid, gid, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if owners {
            chown(&path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        // After chown, which clears the set-group-id bit.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Copies a binary to where every account can execute it (a checkout may stand in a private home).
///
/// # Errors
/// The file system's.
pub fn install(root: &Path, binary: &Path) -> Result<PathBuf> {
    let name = binary.file_name().context("binary without name")?;
    let to = root.join("bin").join(name);
    if fs::hard_link(binary, &to).is_err() {
        fs::copy(binary, &to).with_context(|| format!("cannot copy {}", binary.display()))?;
    }
    Ok(to)
}
