//! What the end-to-end tests share: a running system and a set of objects to send through it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{collections::BTreeSet, time::Duration};

use gift_e2e::{
    generator::Generator,
    outcome::Set,
    rig::{Options, Rig, Role},
    web::{Web, value},
};

/// How long the box may take to finish what it was sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A running system and a set.
pub(crate) struct Fixture {
    pub(crate) rig: Rig,
    pub(crate) set: Set,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// A system in a temporary directory, and `count` objects from `seed`.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        Self::with(seed, count, |_| {})
    }

    /// The same with other options.
    pub(crate) fn with(seed: u64, count: usize, change: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::Builder::new().prefix("gift-e2e-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let objects = directory.path().join("scanner");
        let key = Generator::new(seed).write_set(&objects, count).unwrap();
        let mut options = Options::new(&directory.path().join("state")).unwrap();
        change(&mut options);
        let rig = Rig::start(&options).unwrap();
        rig.wait_until("enrolment", Duration::from_secs(60), |rig| {
            rig.status(Role::Uplink).is_some_and(|s| s["body"]["enrolment"] == "enrolled")
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", logs(&rig)));
        Self { rig, set: Set { directory: objects, key }, _directory: directory }
    }
}

/// The last lines of every log.
pub(crate) fn logs(rig: &Rig) -> String {
    let mut text = String::new();
    for role in Role::ALL {
        let log = std::fs::read_to_string(rig.log(role)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        text += &format!("== {}\n{}\n", role.name(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    text
}

/// How many subjects the hub has studies of.
pub(crate) fn subjects_on_hub(rig: &Rig) -> usize {
    let studies = Web::new(rig).unwrap().query("/dicomweb/studies?limit=10000").unwrap();
    studies.iter().filter_map(|study| value(study, "00100020")).collect::<BTreeSet<_>>().len()
}

/// Waits until the fleet page shows a report of the box.
pub(crate) fn wait_for_report(rig: &Rig) {
    let web = Web::new(rig).unwrap();
    // Only a report says how full the disk is.
    let reported = |_: &Rig| web.page("/").unwrap().contains("<dt>Disk</dt>");
    rig.wait_until("a health report on the hub", Duration::from_secs(90), reported).unwrap();
}
