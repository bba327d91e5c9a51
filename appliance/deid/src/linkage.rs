//! Linkage domains: sites that share a key for patients whom a valid national number names, so that a person who was at two of
//! them is one subject. What the worker may ask stays as narrow as it was: one patient an object.

use gift_deidentify::pseudonym::{Answer, Ask, LinkageKey, Place, PseudonymError, Pseudonymise};
use serde::{Deserialize, Serialize};

use crate::key::{Credential, SiteKey};

/// Most places of a domain, and most issuers and types of a place: all of them travel with each object's order.
const MAX_PLACES: usize = 16;
/// Longest issuer or type: LO has at most 64 characters (PS3.5 §6.2), and a character at most four bytes.
const MAX_VALUE_BYTES: usize = 256;

/// A linkage domain, as set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinkageSetting {
    /// The name routes use; stands in certificates.
    pub name: String,
    /// Name of the linkage key.
    #[serde(default = "LinkageSetting::default_key")]
    pub key: String,
    /// Where national numbers stand, the most trusted first.
    #[serde(rename = "place")]
    pub places: Vec<Place>,
}

impl LinkageSetting {
    fn default_key() -> String {
        "linkage-key".to_owned()
    }

    /// True when there is a place, each has an issuer, and all of it fits an order.
    pub fn is_possible(&self) -> bool {
        let fits = |values: &[String]| values.len() <= MAX_PLACES && values.iter().all(|v| v.len() <= MAX_VALUE_BYTES);
        (1..=MAX_PLACES).contains(&self.places.len())
            && self.places.iter().all(|place| !place.issuers.is_empty() && fits(&place.issuers) && fits(&place.types))
    }
}

/// A linkage domain with its key.
#[derive(Debug)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Where national numbers stand.
    pub places: Vec<Place>,
    /// The key.
    pub key: LinkageKey,
}

impl Domain {
    /// The domain `setting` with the key of `credential`.
    pub fn new(setting: &LinkageSetting, credential: &Credential) -> Self {
        Self { name: setting.name.clone(), places: setting.places.clone(), key: credential.linkage_key() }
    }
}

/// The keys of one route.
#[derive(Debug, Clone, Copy)]
pub struct RouteKeys<'k> {
    /// The site's.
    pub site: &'k SiteKey,
    /// The domain's, when the route is of one.
    pub domain: Option<&'k Domain>,
}

impl Pseudonymise for RouteKeys<'_> {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        self.site.answer_with(self.domain.map(|domain| &domain.key), asks)
    }
}

#[cfg(test)]
mod tests {
    use gift_deidentify::pseudonym::{NationalNumber, Scheme};

    use super::*;

    const SETTING: &str =
        "name = \"uk-fetal\"\n[[place]]\nscheme = \"nhs\"\nattribute = \"patient-id\"\nissuers = [\"NHS\"]\n";

    fn setting(text: &str) -> LinkageSetting {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn two_sites_of_a_domain_answer_alike_for_a_national_number_and_a_route_without_one_does_not_answer() {
        let number = NationalNumber::parse(Scheme::Nhs, "9434765919").unwrap();
        let asks = [Ask::LinkedSubject(number.clone()), Ask::LinkedDateShift(number)];
        let linkage = Credential::new(3, [9; 32]);
        let answers = |site: u8| {
            let site = SiteKey::new(&Credential::new(1, [site; 32]));
            let domain = Domain::new(&setting(SETTING), &linkage);
            RouteKeys { site: &site, domain: Some(&domain) }.answer(&asks).unwrap()
        };
        assert_eq!(answers(1), answers(2));
        let site = SiteKey::new(&Credential::new(1, [1; 32]));
        assert_eq!(RouteKeys { site: &site, domain: None }.answer(&asks), Err(PseudonymError::Refused));
    }

    #[test]
    fn a_place_without_issuer_or_too_many_of_them_is_not_possible() {
        assert!(setting(SETTING).is_possible());
        let with = |issuers: &str| setting(&SETTING.replace("[\"NHS\"]", issuers)).is_possible();
        assert!(!with("[]") && with("[\"\"]") && !with(&format!("[\"{}\"]", "x".repeat(257))));
        assert!(!with(&format!("[{}]", "\"NHS\",".repeat(17))));
        let places = |count| {
            let place = setting(SETTING).places.remove(0);
            LinkageSetting { places: vec![place; count], ..setting(SETTING) }.is_possible()
        };
        assert!(!places(0) && places(16) && !places(17));
    }
}
