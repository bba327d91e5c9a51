//! A de-identification profile: which options of PS3.15 E.3 are on, and which SOP classes they can make safe.
//!
//! The attributes' rules come from [`Tables`]; a profile only selects columns. What combined codes (X/Z/D …) and each option
//! come to for one attribute is in [`rule`].

mod ground;
mod method;
pub(crate) mod rule;
pub(crate) mod tables;

use std::collections::{BTreeSet, HashSet};

use dicom_core::Tag;
use serde::Deserialize;

pub(crate) use ground::ground;
pub use ground::{Kept as KeptAttribute, kept_attributes};
pub(crate) use method::method_codes;
pub use tables::{Action, Override, Row, TableError, TableOption, Tables};

/// An option as a profile names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileOption {
    /// Clean Pixel Data (E.3.1): `gift-redact` clears the pixels or the object is held.
    CleanPixelData,
    /// Retain Safe Private (E.3.10).
    RetainSafePrivate,
    /// Retain UIDs (E.3.9).
    RetainUids,
    /// Retain Device Identity (E.3.8).
    RetainDeviceIdentity,
    /// Retain Institution Identity (E.3.11).
    RetainInstitutionIdentity,
    /// Retain Patient Characteristics (E.3.7).
    RetainPatientCharacteristics,
    /// Retain Longitudinal Temporal Information, Full Dates (E.3.6).
    RetainLongitudinalFullDates,
    /// Retain Longitudinal Temporal Information, Modified Dates (E.3.6).
    RetainLongitudinalModifiedDates,
    /// Clean Descriptors (E.3.5).
    CleanDescriptors,
    /// Clean Structured Content (E.3.4).
    CleanStructuredContent,
    /// Clean Graphics (E.3.3).
    CleanGraphics,
}

/// What becomes of encapsulated documents (PDF, CDA, STL, OBJ, MTL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentPolicy {
    /// They are held.
    Hold,
    /// The document is replaced by an empty one of its kind (Table E.1-1: D).
    Replace,
}

/// What Issuer of Patient ID (0010,0021) means for pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerPolicy {
    /// As it stands: the same Patient ID of another issuer is another subject.
    AsStated,
    /// It is not looked at: all Patient IDs are the site's own.
    Site,
}

/// What becomes of objects without Patient ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingIdPolicy {
    /// They are held.
    Hold,
    /// The subject is made of the Study Instance UID: each study is a subject of its own.
    Study,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ProfileText {
    name: String,
    like: Option<String>,
    options: Vec<ProfileOption>,
    #[serde(default)]
    patient_id: PatientIdText,
    #[serde(default)]
    attributes: AttributeText,
    #[serde(default)]
    sop_classes: SopClassText,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PatientIdText {
    issuer: Option<IssuerPolicy>,
    missing: Option<MissingIdPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct AttributeText {
    narrative: Option<Vec<String>>,
    exact: Option<Vec<String>>,
    structured: Option<Vec<String>>,
    remove: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SopClassText {
    allow: Option<Vec<String>>,
    refuse: Option<BTreeSet<String>>,
    recognizable: Option<BTreeSet<String>>,
    encapsulated_documents: Option<DocumentPolicy>,
}

/// A parsed profile with its tables.
#[derive(Debug, Clone)]
pub struct Profile {
    name: String,
    options: HashSet<ProfileOption>,
    allow: Vec<String>,
    refuse: BTreeSet<String>,
    recognizable: BTreeSet<String>,
    documents: DocumentPolicy,
    issuer: IssuerPolicy,
    missing: MissingIdPolicy,
    narrative: HashSet<Tag>,
    exact: HashSet<Tag>,
    structured: HashSet<Tag>,
    remove: HashSet<Tag>,
    pub(crate) tables: Tables,
}

/// What is wrong with a profile. The text quoted is the profile's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not the TOML expected; the text names line and column.
    #[error("profile: {0}")]
    Toml(String),
    /// A name outside `[a-z0-9._-]{1,64}`.
    #[error("profile, line {line}: name outside [a-z0-9._-]{{1,64}}")]
    Name {
        /// Line, from one.
        line: usize,
    },
    /// A tag that is not written `gggg,eeee`.
    #[error("profile, line {line}: a tag is written gggg,eeee in hexadecimal digits")]
    Tag {
        /// Line, from one.
        line: usize,
    },
    /// A key that neither the profile nor the one it is like states.
    #[error("profile: {0} is missing")]
    Missing(&'static str),
    /// The profile it is like is not there, or is like another itself.
    #[error("profile, line {line}: like names no profile that stands by itself")]
    Like {
        /// Line, from one.
        line: usize,
    },
    /// Full and modified dates exclude each other.
    #[error("profile, line {line}: full and modified dates exclude each other")]
    Dates {
        /// Line of the options, from one.
        line: usize,
    },
}

impl Profile {
    /// Reads a profile. `base` gives the text of the profile that this one says it is `like`; what this one does not state (name
    /// and options it must) is as it stands there.
    ///
    /// # Errors
    /// See [`ProfileError`]; those of a value name the line.
    pub fn from_toml<'t>(
        text: &str,
        tables: &Tables,
        base: &dyn Fn(&str) -> Option<&'t str>,
    ) -> Result<Self, ProfileError> {
        let parsed: ProfileText = toml::from_str(text).map_err(|e| ProfileError::Toml(e.to_string()))?;
        let line = |key: &str| text.lines().position(|l| l.trim_start().starts_with(key)).map_or(1, |n| n + 1);
        let base = match &parsed.like {
            None => None,
            Some(name) => {
                let text = base(name).ok_or_else(|| ProfileError::Like { line: line("like") })?;
                let alone = Self::from_toml(text, tables, &|_| None);
                Some(alone.map_err(|_| ProfileError::Like { line: line("like") })?)
            }
        };
        let base = base.as_ref();
        let in_name = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if !(1..=64).contains(&parsed.name.len()) || !parsed.name.bytes().all(in_name) {
            return Err(ProfileError::Name { line: line("name") });
        }
        let options: HashSet<_> = parsed.options.into_iter().collect();
        if options.contains(&ProfileOption::RetainLongitudinalFullDates)
            && options.contains(&ProfileOption::RetainLongitudinalModifiedDates)
        {
            return Err(ProfileError::Dates { line: line("options") });
        }
        let tags = |list: Vec<String>| -> Result<HashSet<Tag>, ProfileError> {
            let fault = |text: &String| ProfileError::Tag { line: line(&format!("\"{text}\"")) };
            list.iter().map(|text| text.parse().map_err(|_| fault(text))).collect()
        };
        fn stated<T: Clone>(own: Option<T>, base: Option<&T>, key: &'static str) -> Result<T, ProfileError> {
            own.or_else(|| base.cloned()).ok_or(ProfileError::Missing(key))
        }
        let listed =
            |own: Option<Vec<String>>, base: Option<&HashSet<Tag>>, key| stated(own.map(tags).transpose()?, base, key);
        let (patient, attributes, classes) = (parsed.patient_id, parsed.attributes, parsed.sop_classes);
        Ok(Self {
            name: parsed.name,
            options,
            allow: stated(classes.allow, base.map(|b| &b.allow), "sop-classes.allow")?,
            refuse: stated(classes.refuse, base.map(|b| &b.refuse), "sop-classes.refuse")?,
            recognizable: stated(classes.recognizable, base.map(|b| &b.recognizable), "sop-classes.recognizable")?,
            documents: stated(
                classes.encapsulated_documents,
                base.map(|b| &b.documents),
                "sop-classes.encapsulated-documents",
            )?,
            issuer: stated(patient.issuer, base.map(|b| &b.issuer), "patient-id.issuer")?,
            missing: stated(patient.missing, base.map(|b| &b.missing), "patient-id.missing")?,
            narrative: listed(attributes.narrative, base.map(|b| &b.narrative), "attributes.narrative")?,
            exact: listed(attributes.exact, base.map(|b| &b.exact), "attributes.exact")?,
            structured: listed(attributes.structured, base.map(|b| &b.structured), "attributes.structured")?,
            remove: listed(attributes.remove, base.map(|b| &b.remove), "attributes.remove")?,
            tables: tables.clone(),
        })
    }

    /// Its name, with version, as the certificate states it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True when the option is on.
    pub fn has(&self, option: ProfileOption) -> bool {
        self.options.contains(&option)
    }

    pub(crate) fn issuer(&self) -> IssuerPolicy {
        self.issuer
    }

    pub(crate) fn missing_id(&self) -> MissingIdPolicy {
        self.missing
    }

    /// True for what goes although no table lists it.
    pub(crate) fn is_removed(&self, tag: Tag) -> bool {
        self.remove.contains(&tag)
    }

    /// True for text that names a product, its version or a code.
    pub(crate) fn is_exact(&self, tag: Tag) -> bool {
        self.exact.contains(&tag)
    }

    /// True for bytes whose structure the standard states.
    pub(crate) fn is_structured(&self, tag: Tag) -> bool {
        self.structured.contains(&tag)
    }

    /// True for text of unlimited length that may be cleaned and kept, where descriptors are.
    pub(crate) fn is_kept_narrative(&self, tag: Tag) -> bool {
        self.narrative.contains(&tag)
    }

    pub(crate) fn documents(&self) -> DocumentPolicy {
        self.documents
    }

    /// Whether objects of this SOP class can be made safe.
    pub(crate) fn sop_class(&self, uid: &str) -> SopClass {
        let listed = |list: &BTreeSet<String>| list.contains(uid);
        if listed(&self.recognizable) {
            SopClass::Recognizable
        } else if listed(&self.refuse) || !self.allow.iter().any(|prefix| uid.starts_with(prefix.as_str())) {
            SopClass::Refused
        } else {
            SopClass::Allowed
        }
    }
}

/// Judgement of [`Profile::sop_class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SopClass {
    Allowed,
    Refused,
    Recognizable,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::tables::tests::tables;
    use super::*;

    pub(crate) const DEFAULT: &str = include_str!("../../../../config/profiles/gift-default.toml");
    pub(crate) const BASIC: &str = include_str!("../../../../config/profiles/basic.toml");

    /// The basic profile with these options added.
    pub(crate) fn profile_with(options: &[&str]) -> Profile {
        let list = options.iter().map(|o| format!(", \"{o}\"")).collect::<String>();
        let text = BASIC.replace("\"clean-pixel-data\"", &format!("\"clean-pixel-data\"{list}"));
        alone(&text).unwrap()
    }

    fn alone(text: &str) -> Result<Profile, ProfileError> {
        Profile::from_toml(text, &tables(), &|_| None)
    }

    /// The profile that is shipped.
    pub(crate) fn default() -> Profile {
        Profile::from_toml(DEFAULT, &tables(), &|name| (name == "basic").then_some(BASIC)).unwrap()
    }

    #[test]
    fn a_profile_is_like_another_in_all_that_it_does_not_state() {
        let text = "name = \"a\"\nlike = \"b\"\noptions = []\n[patient-id]\nmissing = \"study\"\n";
        let base = |name: &str| (name == "b").then_some(BASIC);
        let profile = Profile::from_toml(text, &tables(), &base).unwrap();
        let basic = alone(BASIC).unwrap();
        assert_eq!((profile.missing, profile.issuer), (MissingIdPolicy::Study, basic.issuer));
        assert_eq!((&profile.remove, &profile.narrative), (&basic.remove, &basic.narrative));
        assert!(profile.options.is_empty() && !basic.options.is_empty());
        let error = |text: &str| Profile::from_toml(text, &tables(), &base).unwrap_err();
        assert_eq!(error(&text.replace("\"b\"", "\"c\"")), ProfileError::Like { line: 2 });
        let chain = |name: &str| (name == "b").then_some(text);
        assert_eq!(Profile::from_toml(text, &tables(), &chain).unwrap_err(), ProfileError::Like { line: 2 });
        assert_eq!(error("name = \"a\"\noptions = []\n"), ProfileError::Missing("sop-classes.allow"));
    }

    #[test]
    fn the_shipped_profiles_parse() {
        let default = default();
        assert_eq!(default.name(), "gift-default-1");
        assert!(default.has(ProfileOption::CleanDescriptors) && !default.has(ProfileOption::RetainUids));
        assert_eq!(alone(BASIC).unwrap().options.len(), 1);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text: &str| alone(text).unwrap_err().to_string();
        assert!(error(&BASIC.replace("clean-pixel-data", "clean-everything")).contains("line "));
        assert!(error(&BASIC.replace("\"0008,2111\"", "\"8,Z\"")).contains("line "));
        assert!(error(&format!("colour = 1\n{BASIC}")).contains("line 1"));
        assert!(error(&BASIC.replace("basic-1", "Basic 1")).contains("line "));
        let both = "\"retain-longitudinal-full-dates\", \"retain-longitudinal-modified-dates\"";
        assert!(error(&BASIC.replace("\"clean-pixel-data\"", both)).contains("exclude"));
    }

    #[test]
    fn documents_and_raw_data_are_refused_and_images_allowed() {
        let basic = profile_with(&[]);
        assert_eq!(basic.sop_class("1.2.840.10008.5.1.4.1.1.2"), SopClass::Allowed);
        for refused in ["1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.1.3.10", "1.3.12.2.1107.5.9.1", ""] {
            assert_eq!(basic.sop_class(refused), SopClass::Refused, "{refused}");
        }
        assert_eq!(basic.sop_class("1.2.840.10008.5.1.4.1.1.77.1.4"), SopClass::Recognizable);
    }
}
