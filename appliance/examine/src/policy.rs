//! The policy of a run: the box's, with the caller's options and templates.

use std::path::Path;

use anyhow::{Context as _, Result};
use gift_deid::{judge::Judge, policy::PolicyTexts, settings::ReadLimits};

use crate::{options::Name, templates};

/// The profile that the options are added to: file name, and what it calls itself.
const BASE: &str = "archive";
/// Name of the profile of a run.
pub(crate) const PROFILE: &str = "archive-1";
/// Templates of the synthetic scanners; no real image may match them.
const DEMO: &str = "demo/";
/// The box's own synthetic patient, which is nobody's image here.
const CANARY: &str = "canary";
/// What stands in `templates/` besides templates.
pub(crate) const LISTS: [&str; 2] = ["never-burnt-in", "vocabulary"];

/// The judge for a run.
///
/// # Errors
/// A text that is missing or does not parse, named by file and, where there is one, line.
pub(crate) fn judge(root: &Path, own_templates: Option<&Path>, options: &[Name]) -> Result<Judge> {
    let texts = texts(root, own_templates, options)?;
    Judge::new(&texts).with_context(|| format!("policy {}", root.display()))
}

/// The texts of a run's policy.
pub(crate) fn texts(root: &Path, own_templates: Option<&Path>, options: &[Name]) -> Result<PolicyTexts> {
    let mut texts = PolicyTexts::load(root, ReadLimits::default())?;
    let base = texts.profiles.get(BASE).with_context(|| format!("no profiles/{BASE}.toml in {}", root.display()))?;
    let mut profile: toml::Table = base.parse().with_context(|| format!("profiles/{BASE}.toml"))?;
    let mut on = vec![Name::CleanPixel.in_profile()];
    on.extend(options.iter().map(|option| option.in_profile()));
    on.dedup();
    profile.insert("options".to_owned(), toml::Value::try_from(on)?);
    texts.profiles.insert(BASE.to_owned(), toml::to_string(&profile)?);
    match own_templates {
        Some(path) => {
            texts.templates.retain(|name, _| LISTS.contains(&name.as_str()));
            texts.templates.insert(path.display().to_string(), templates::read(path, &storage_sop_classes(root)?)?);
        }
        None => texts.templates.retain(|name, _| !name.starts_with(DEMO) && name != CANARY),
    }
    Ok(texts)
}

/// All storage SOP classes of the standard.
fn storage_sop_classes(root: &Path) -> Result<Vec<String>> {
    let path = root.join("storage-sop-classes.csv");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let uids = text.lines().filter_map(|line| line.split(',').next()).filter(|uid| uid.starts_with("1.2.840.10008."));
    Ok(uids.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
    }

    #[test]
    fn every_option_gives_a_policy_and_contradicting_dates_do_not() {
        use clap::ValueEnum as _;
        for option in Name::value_variants() {
            judge(&config(), None, &[*option]).unwrap();
        }
        assert!(judge(&config(), None, &[Name::LongFull, Name::LongMod]).is_err());
    }

    #[test]
    fn without_templates_of_the_callers_none_releases() {
        let texts = texts(&config(), None, &[]).unwrap();
        let own = texts.templates.iter().filter(|(name, _)| !LISTS.contains(&name.as_str()));
        let templates = gift_redact::Templates::parse(own).unwrap();
        assert!(templates.len() > 100 && templates.iter().all(|t| t.verified().is_none()));
    }
}
