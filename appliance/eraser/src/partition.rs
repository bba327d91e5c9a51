//! Finds a partition by its label as the kernel tells it, without udev: at boot this comes before it.

use std::{fs, io, path::PathBuf};

use crate::arguments::Devices;

/// Label of the state's partition.
pub(crate) const STATE: &str = "gift-state";
/// Label of the provisioning's partition.
pub(crate) const PROVISIONING: &str = "gift-provision";

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its device node.
    pub(crate) node: PathBuf,
    /// What the kernel calls the disk that it is on.
    pub(crate) disk: PathBuf,
}

impl Partition {
    /// Opens it for reading and writing.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(&self) -> io::Result<fs::File> {
        fs::OpenOptions::new().read(true).write(true).open(&self.node)
    }
}

/// Every partition of this label.
///
/// # Errors
/// The file system's.
pub(crate) fn labelled(devices: &Devices, label: &str) -> io::Result<Vec<Partition>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(&devices.blocks)? {
        let entry = entry?.path();
        // A device that goes away meanwhile is not ours.
        let Ok(place) = fs::canonicalize(entry) else { continue };
        let Ok(said) = fs::read_to_string(place.join("uevent")) else { continue };
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if value("DEVTYPE") != Some("partition") || value("PARTNAME") != Some(label) {
            continue;
        }
        if let (Some(name), Some(disk)) = (value("DEVNAME"), place.parent()) {
            found.push(Partition { node: devices.nodes.join(name), disk: disk.to_owned() });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_partition_is_found_by_its_label_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (blocks, real) = (directory.path().join("blocks"), directory.path().join("devices"));
        fs::create_dir(&blocks).unwrap();
        let add = |disk: &str, name: &str, kind: &str, label: &str| {
            let place = real.join(disk).join(name);
            fs::create_dir_all(&place).unwrap();
            let text = format!("MAJOR=259\nDEVNAME={name}\nDEVTYPE={kind}\nPARTN=1\nPARTNAME={label}\n");
            fs::write(place.join("uevent"), text).unwrap();
            symlink(&place, blocks.join(name)).unwrap();
        };
        add("nvme0n1", "nvme0n1p7", "partition", "gift-state");
        add("nvme0n1", "nvme0n1p6", "partition", "gift-provision");
        add("nvme0n1", "nvme0n1p5", "partition", "gift-state-2");
        add("nvme0n1", "nvme0n1p4", "partition", "not gift-state");
        add("virtual", "dm-0", "disk", "gift-state");
        let devices = Devices { blocks, nodes: "/dev".into() };
        let found = labelled(&devices, STATE).unwrap();
        assert_eq!(
            found,
            [Partition { node: "/dev/nvme0n1p7".into(), disk: fs::canonicalize(real.join("nvme0n1")).unwrap() }]
        );
        assert_eq!(labelled(&devices, PROVISIONING).unwrap()[0].disk, found[0].disk);
        assert_eq!(labelled(&devices, "").unwrap(), []);
    }
}
