//! Classes of images that are never burnt in, as data (`config/templates/never-burnt-in.toml`).
//!
//! Nothing a scanner says about its own annotations clears an image; what clears it is a rule on modality, SOP class and
//! Image Type (0008,0008). Everything that no rule names needs a template.

use crate::{
    image::{Facts, Photometric},
    template::TemplateError,
};
use serde::Deserialize;

/// The allow-list.
#[derive(Debug, Clone, Default)]
pub struct NeverBurntIn {
    file: File,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u16,
    /// SOP classes whose objects have no pixel data and are released without any.
    without_pixels: Vec<String>,
    /// An Image Type value that contains one of these makes every rule fail, unless `image-type` prescribes the value.
    forbidden_in_image_type: Vec<String>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Rule {
    id: String,
    modality: String,
    sop_classes: Vec<String>,
    photometric_interpretations: Vec<Photometric>,
    /// What Image Type must begin with, value by value.
    #[serde(default)]
    image_type: Vec<String>,
    /// What the value after those must be; `""` stands for none; any when the list is empty.
    #[serde(default)]
    then_one_of: Vec<String>,
    /// Why it is safe: for the reader of the file.
    #[serde(rename = "reason")]
    _reason: String,
}

impl<'de> Deserialize<'de> for Photometric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let term = String::deserialize(deserializer)?;
        Self::from_term(&term).ok_or_else(|| serde::de::Error::custom("unknown photometric interpretation"))
    }
}

impl NeverBurntIn {
    /// Ids of the rules.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.file.rules.iter().map(|rule| rule.id.as_str())
    }

    /// Reads the list.
    ///
    /// # Errors
    /// Not the expected TOML, another version, or a rule that would hold for every image type of a class by mistake.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let file: File = toml::from_str(text).map_err(|e| TemplateError::toml(name, text, &e))?;
        if file.version != 1 {
            return Err(TemplateError::at(name, 1, "version is not 1"));
        }
        for (i, rule) in file.rules.iter().enumerate() {
            let empty =
                rule.id.is_empty() || rule.sop_classes.is_empty() || rule.photometric_interpretations.is_empty();
            if empty || file.rules[..i].iter().any(|other| other.id == rule.id) {
                return Err(TemplateError::at(name, 1, "a rule is empty or its id stands twice"));
            }
        }
        Ok(Self { file })
    }

    /// True for a SOP class whose objects hold no pixels.
    pub(crate) fn is_without_pixels(&self, sop_class: &str) -> bool {
        self.file.without_pixels.iter().any(|c| c == sop_class)
    }

    /// The rule that clears an image, if any.
    pub(crate) fn rule(&self, facts: &Facts<'_>, photometric: Photometric) -> Option<&str> {
        if facts.says_burnt_in || facts.conversion_type {
            return None;
        }
        let holds = |rule: &&Rule| {
            let given = rule.image_type.len();
            facts.modality == Some(rule.modality.as_str())
                && rule.sop_classes.iter().any(|c| c == facts.sop_class)
                && rule.photometric_interpretations.contains(&photometric)
                && facts.image_type.len() >= given
                && facts.image_type.iter().zip(&rule.image_type).all(|(is, must)| is == must)
                && (rule.then_one_of.is_empty()
                    || rule.then_one_of.iter().any(|o| o == facts.image_type.get(given).map_or("", |v| *v)))
                && !facts.image_type[given..]
                    .iter()
                    .any(|v| self.file.forbidden_in_image_type.iter().any(|f| v.to_ascii_uppercase().contains(f)))
        };
        self.file.rules.iter().find(holds).map(|r| r.id.as_str())
    }
}
