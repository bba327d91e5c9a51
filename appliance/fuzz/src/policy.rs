//! The policy that ships, parsed once: profiles, the bounds of the sample settings, and a key that is nobody's.

use std::sync::{Arc, LazyLock};

use gift_deidentify::{
    dataset::Limits,
    profile::{Profile, Tables},
    pseudonym::{Answer, Ask, PseudonymError, PseudonymKey, Pseudonymise},
};
use gift_redact::NeverBurntIn;

macro_rules! config {
    ($path:literal) => {
        include_str!(concat!("../../../config/", $path))
    };
}

const BASIC: &str = config!("profiles/basic.toml");
const ARCHIVE: &str = config!("profiles/archive.toml");
const DEFAULT: &str = config!("profiles/gift-default.toml");
const DEID_SETTINGS: &str = config!("samples/deid.toml");
const RECEIVER_SETTINGS: &str = config!("samples/receiver.toml");

/// Every option of PS3.15 E.3 but the full dates, which exclude the modified ones.
const ALL_OPTIONS: &[&str] = &[
    "clean-pixel-data",
    "retain-safe-private",
    "retain-uids",
    "retain-device-identity",
    "retain-institution-identity",
    "retain-patient-characteristics",
    "retain-longitudinal-modified-dates",
    "clean-descriptors",
    "clean-structured-content",
    "clean-graphics",
];

/// The profiles under test: the Basic Profile, the shipped default, the archive's, and every option at once with either kind of
/// dates.
pub static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let tables = Tables::parse(
        config!("ps3.15/table_E.1-1_2026c.csv"),
        config!("ps3.15/table_E.3.10-1_safe_private_2026c.csv"),
        config!("ps3.15/table_E.3.4-1_structured_content_2026c.csv"),
    )
    .expect("the shipped tables");
    let all = |options: &str| format!("name = \"all\"\nlike = \"basic\"\noptions = [{options}]\n");
    let modified = ALL_OPTIONS.iter().map(|option| format!("\"{option}\", ")).collect::<String>();
    let full = modified.replace("modified-dates", "full-dates");
    [BASIC, DEFAULT, ARCHIVE, &all(&modified), &all(&full)]
        .map(|text| Profile::from_toml(text, &tables, &|name| (name == "basic").then_some(BASIC)).expect("a profile"))
        .into()
});

/// The allow-list of images that are never burnt in.
pub static NEVER_BURNT_IN: LazyLock<NeverBurntIn> = LazyLock::new(|| {
    NeverBurntIn::parse("never-burnt-in", config!("templates/never-burnt-in.toml")).expect("the shipped list")
});

/// The bounds that a box reads with: those that the sample of `deid.toml` states as its defaults.
pub static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    let stated = |key| setting(DEID_SETTINGS, "limits", key);
    Limits {
        depth: stated("depth").try_into().expect("16 bits"),
        elements: stated("elements").try_into().expect("32 bits"),
        inline_bytes: stated("inline-bytes").try_into().expect("32 bits"),
        inline_total_bytes: stated("inline-total-bytes"),
        inflated_bytes: stated("inflated-bytes"),
    }
});

/// Largest P-DATA-TF PDU that a receiver announces by default, bytes.
pub static MAX_PDU_BYTES: LazyLock<u32> =
    LazyLock::new(|| setting(RECEIVER_SETTINGS, "", "max-pdu-bytes").try_into().expect("32 bits"));

/// A number that a sample shows, commented out, as its default; under `[table]`, unless that is empty.
fn setting(sample: &str, table: &str, key: &str) -> u64 {
    let lines = sample.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let begins = format!("[{table}]");
    let mut under = lines.skip_while(|line| !table.is_empty() && !line.starts_with(&begins));
    let value = under.find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key)).expect(key).1;
    value.trim().replace('_', "").parse().expect("a number")
}

/// Answers under a key that is nobody's. Cheap to clone.
#[derive(Clone)]
pub struct Who(Arc<PseudonymKey>);

impl Default for Who {
    fn default() -> Self {
        static KEY: LazyLock<Arc<PseudonymKey>> = LazyLock::new(|| Arc::new(PseudonymKey::new(&[7; 32], 1)));
        Self(KEY.clone())
    }
}

impl Pseudonymise for Who {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        self.0.answer(None, asks)
    }
}
