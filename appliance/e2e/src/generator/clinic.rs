//! What happens at the simulated hospital: patients come, some again, and every visit makes series of objects.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{Days, NaiveDate};

use super::{
    kind::Kind,
    people::{Patient, PersonName},
    rng::Rng,
    scanner::Scanner,
    stray::Stray,
};

/// One study.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) patient: Arc<Patient>,
    pub(super) study_uid: String,
    pub(super) accession: String,
    pub(super) study_id: String,
    pub(super) date: NaiveDate,
    /// As a value of VR TM.
    pub(super) time: String,
    pub(super) referring: PersonName,
    pub(super) performing: PersonName,
    pub(super) operator: PersonName,
    pub(super) site: &'static Site,
}

/// A hospital.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) department: &'static str,
}

const SITES: &[Site] = &[
    Site {
        name: "St Brigid's Women's Hospital",
        address: "1 Thornfield Gate, London NW99 1AA",
        department: "Fetal Medicine Unit West",
    },
    Site {
        name: "Harrowmere General Infirmary",
        address: "Harrowmere Road, London NW99 4QQ",
        department: "Antenatal Imaging Level 3",
    },
];

/// One series of objects from one scanner.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) visit: Arc<Visit>,
    pub(super) scanner: &'static Scanner,
    pub(super) uid: String,
    pub(super) number: u64,
    pub(super) frame_of_reference: String,
    /// Side of a slice in pixels.
    pub(super) side: u16,
}

/// One object to be made.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) series: Arc<Series>,
    /// Instance Number, from 1.
    pub(super) instance: u32,
    pub(super) sop_instance: String,
    /// Instances this one may refer to: earlier ones of its series.
    pub(super) earlier: Vec<String>,
    /// What is not left to chance.
    pub(super) fixed: Fixed,
}

impl Session {
    /// Size of a screen capture: rows, columns.
    pub(super) fn size(&self) -> (u16, u16) {
        self.fixed.size.unwrap_or(self.series.scanner.size)
    }
}

/// What of an object is not left to chance: for measuring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Side of a CT slice, pixels.
    pub side: Option<u16>,
    /// Frames of a cine.
    pub frames: Option<u32>,
    /// Size of a screen capture: rows, columns.
    pub size: Option<(u16, u16)>,
    /// Text in the image besides the banner.
    pub stray: Option<Stray>,
    /// Scanners are named after the patient: make, model (in small letters), and in the middle of a software version.
    pub named_after_patient: bool,
}

#[derive(Debug)]
struct Open {
    series: Arc<Series>,
    left: u64,
    instances: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Clinic {
    patients: Vec<Arc<Patient>>,
    open: BTreeMap<Kind, Open>,
    fixed: Fixed,
}

impl Clinic {
    /// One in which the sizes that `fixed` names are always the same.
    pub(super) fn with(fixed: Fixed) -> Self {
        Self { fixed, ..Self::default() }
    }

    /// The next object of a kind: the next of its series, or the first of a new one.
    pub(super) fn next(&mut self, kind: Kind, rng: &mut Rng) -> Session {
        let open = match self.open.remove(&kind) {
            Some(open) if open.left > 0 => open,
            before => self.new_series(kind, before.map(|open| open.series), rng),
        };
        let (series, sop_instance) = (Arc::clone(&open.series), uid(open.series.scanner.uid_root, rng));
        let earlier = open.instances.iter().rev().take(2).cloned().collect();
        let mut open = Open { left: open.left - 1, ..open };
        open.instances.push(sop_instance.clone());
        let instance = open.instances.len() as u32;
        self.open.insert(kind, open);
        Session { series, instance, sop_instance, earlier, fixed: self.fixed }
    }

    fn new_series(&mut self, kind: Kind, before: Option<Arc<Series>>, rng: &mut Rng) -> Open {
        let scanner = rng.pick(kind.scanners());
        let visit = match before {
            // A second series of the same study, by the same scanner.
            Some(series) if series.scanner == scanner && rng.chance(35) => Arc::clone(&series.visit),
            _ => Arc::new(self.visit(scanner, rng)),
        };
        let series = Series {
            visit,
            scanner,
            uid: uid(scanner.uid_root, rng),
            number: rng.between(1, 900),
            frame_of_reference: uid(scanner.uid_root, rng),
            side: self.fixed.side.unwrap_or(rng.pick(&[64, 128, 192, 256, 256, 256, 320, 512])),
        };
        Open { series: Arc::new(series), left: rng.between(1, kind.longest_series()), instances: Vec::new() }
    }

    fn visit(&mut self, scanner: &Scanner, rng: &mut Rng) -> Visit {
        let patient = if self.patients.len() >= 8 && rng.chance(50) {
            Arc::clone(&self.patients[rng.index(self.patients.len())])
        } else {
            let patient = Arc::new(Patient::new(self.patients.len(), rng));
            self.patients.push(Arc::clone(&patient));
            patient
        };
        let first = NaiveDate::from_ymd_opt(2021, 1, 4).unwrap_or_default();
        Visit {
            patient,
            study_uid: uid(scanner.uid_root, rng),
            accession: format!("RQXAC{}", rng.between(10_000_000, 99_999_999)),
            study_id: format!("ST{}", rng.between(100_000, 999_999)),
            date: first + Days::new(rng.between(0, 5 * 365)),
            time: format!("{:02}{:02}{:02}", rng.between(7, 19), rng.between(0, 59), rng.between(0, 59)),
            referring: PersonName::staff(rng),
            performing: PersonName::staff(rng),
            operator: PersonName::staff(rng),
            site: &SITES[rng.index(SITES.len())],
        }
    }
}

/// A UID under `root` (PS3.5 9: at most 64 characters, no leading zeros).
pub(super) fn uid(root: &str, rng: &mut Rng) -> String {
    format!("{root}.{}.{}.{}", rng.between(1000, 99_999), rng.between(1, u64::from(u32::MAX)), rng.between(1, 999_999))
}
