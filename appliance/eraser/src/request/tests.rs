//! Partitions that are files, under a tree that looks like the kernel's; states whose header is all that is true of them.

use std::os::unix::fs::symlink;

use super::*;

const LENGTH: usize = 17 << 20;

struct Bench {
    directory: tempfile::TempDir,
    devices: Devices,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let devices = Devices { blocks: directory.path().join("blocks"), nodes: directory.path().join("nodes") };
        fs::create_dir(&devices.blocks).unwrap();
        fs::create_dir(&devices.nodes).unwrap();
        Self { directory, devices }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn add(&self, disk: &str, name: &str, label: &str, content: &[u8]) -> PathBuf {
        let place = self.path(disk).join(name);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("uevent"), format!("DEVNAME={name}\nDEVTYPE=partition\nPARTNAME={label}\n")).unwrap();
        symlink(&place, self.devices.blocks.join(name)).unwrap();
        let node = self.devices.nodes.join(name);
        fs::write(&node, content).unwrap();
        node
    }

    /// Asks for this, by order and by button, and has it carried out.
    fn ask(&self, requests: [Option<&str>; 2]) -> Result<()> {
        let files = [self.path("order"), self.path("button")];
        for (file, request) in files.iter().zip(requests) {
            match request {
                Some(text) => fs::write(file, text).unwrap(),
                None => drop(fs::remove_file(file)),
            }
        }
        carry_out(&self.devices, &EraseOptions { requests: files.to_vec() })
    }

    fn boot(&self) -> Result<Option<String>> {
        let environment = self.path("repart.env");
        let _ = fs::remove_file(&environment);
        finish(&self.devices, &FinishOptions { environment: environment.clone() })?;
        Ok(fs::read_to_string(environment).ok())
    }
}

fn state() -> Vec<u8> {
    let mut header = vec![0; LENGTH];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    header[8..16].copy_from_slice(&16384_u64.to_be_bytes());
    header
}

#[test]
fn what_was_asked_for_is_done_to_the_one_state_and_ended_at_the_next_boot() {
    for (requests, provisioning_stays) in [
        ([Some("factory-reset"), None], true),
        ([None, Some("factory-reset")], true),
        ([Some("decommission"), None], false),
        ([Some("factory-reset"), Some("decommission")], false),
    ] {
        let bench = Bench::new();
        let node = bench.add("disk0", "p7", STATE, &state());
        let given = bench.add("disk0", "p6", PROVISIONING, &[b'p'; 4096]);
        let other = bench.add("disk0", "p5", "root", &state());
        assert_eq!(bench.boot().unwrap(), None, "a boot without a request changes nothing");
        assert!(fs::read(&node).unwrap() == state());
        bench.ask(requests).unwrap();
        assert!(fs::read(&given).unwrap() == [b'p'; 4096], "that is for the boot");
        assert_eq!(bench.boot().unwrap().as_deref(), Some("FACTORY_RESET=--factory-reset=yes\n"));
        assert_eq!(fs::read(&given).unwrap() == [b'p'; 4096], provisioning_stays, "{requests:?}");
        assert!(fs::read(&other).unwrap() == state(), "another partition");
        // systemd-repart did not come to its end: the next boot asks it again.
        assert!(bench.boot().unwrap().is_some());
        fs::write(&node, state()).unwrap();
        assert_eq!(bench.boot().unwrap(), None, "a new state is left alone");
    }
}

#[test]
fn what_is_not_clear_is_not_done() {
    let bench = Bench::new();
    assert!(bench.ask([Some("factory-reset"), None]).is_err(), "there is no state");
    let node = bench.add("disk0", "p7", STATE, &state());
    for requests in [
        [None, None],
        [Some(""), None],
        [Some("erase"), None],
        [Some("factory-reset\n"), None],
        [Some("factory-reset"), Some("x")],
    ] {
        assert!(bench.ask(requests).is_err(), "{requests:?}");
    }
    let second = bench.add("disk1", "q7", STATE, &state());
    assert!(bench.ask([Some("factory-reset"), None]).is_err(), "two states");
    assert!(fs::read(&node).unwrap() == state() && fs::read(&second).unwrap() == state());
    assert_eq!(bench.boot().unwrap(), None);
    // One of two is marked: none is opened, none is made.
    erase::begin(&fs::OpenOptions::new().read(true).write(true).open(&second).unwrap(), OrderKind::FactoryReset)
        .unwrap();
    assert!(bench.boot().is_err());
    assert!(fs::read(&node).unwrap() == state());
}

#[test]
fn the_provisioning_of_another_disk_is_not_touched() {
    let bench = Bench::new();
    bench.add("disk0", "p7", STATE, &state());
    let other = bench.add("disk1", "q6", PROVISIONING, &[b'p'; 4096]);
    bench.ask([Some("decommission"), None]).unwrap();
    assert!(bench.boot().is_err(), "it is not said to be done");
    assert!(fs::read(&other).unwrap() == [b'p'; 4096]);
}
