//! `config/canary.toml`, which the hub is built with too: what is planted, and the picture.

use dicom_core::{Tag, VR};
use serde::{Deserialize, de::Error as _};

use crate::error::CanaryError;

/// What a canary is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Definition {
    /// How it calls itself.
    pub(crate) calling_ae: String,
    /// How it calls the box.
    pub(crate) called_ae: String,
    /// How its UIDs begin.
    pub(crate) uid_prefix: String,
    /// What must not arrive; for the hub, and for tests.
    #[cfg_attr(not(test), allow(dead_code, reason = "the hub's"))]
    pub(crate) secrets: Vec<String>,
    /// Identifiers.
    pub(crate) planted: Vec<Planted>,
    /// The picture.
    pub(crate) picture: Picture,
}

/// An attribute that identifies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Planted {
    /// Its tag; a private one gets a creator.
    #[serde(deserialize_with = "tag")]
    pub(crate) tag: Tag,
    /// Its VR.
    #[serde(deserialize_with = "vr")]
    pub(crate) vr: VR,
    /// Its value, ASCII.
    pub(crate) value: String,
}

/// The picture, RGB with 8 bits a sample.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Picture {
    /// What redaction goes by.
    pub(crate) manufacturer: String,
    /// The same.
    pub(crate) model: String,
    /// Width, px.
    pub(crate) columns: u16,
    /// Height, px.
    pub(crate) rows: u16,
    /// By component: what a column adds to a sample.
    pub(crate) x_factors: [u32; 3],
    /// What a row adds.
    pub(crate) y_factors: [u32; 3],
    /// The sample at the origin.
    pub(crate) offsets: [u32; 3],
    /// Where print stands: x, y, width, height, px.
    pub(crate) regions: Vec<[u16; 4]>,
    /// One line for each region.
    pub(crate) print: Vec<String>,
}

impl Definition {
    /// The one that this program was built with.
    ///
    /// # Errors
    /// A file that is none.
    pub(crate) fn built_in() -> Result<Self, CanaryError> {
        toml::from_str(include_str!("../../../config/canary.toml"))
            .map_err(|error| CanaryError::Definition(error.message().to_owned()))
    }
}

fn tag<'d, D: serde::Deserializer<'d>>(from: D) -> Result<Tag, D::Error> {
    String::deserialize(from)?.parse().map_err(|_| D::Error::custom("a tag is eight hexadecimal digits"))
}

fn vr<'d, D: serde::Deserializer<'d>>(from: D) -> Result<VR, D::Error> {
    String::deserialize(from)?.parse().map_err(|_| D::Error::custom("not a VR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_planted_or_printed_has_a_secret_in_it_and_every_secret_is_planted() {
        let definition = Definition::built_in().unwrap();
        let holds = |text: &str, secret: &str| text.to_ascii_lowercase().contains(&secret.to_ascii_lowercase());
        let texts = || {
            let planted = definition.planted.iter().map(|planted| planted.value.as_str());
            planted.chain(definition.picture.print.iter().map(String::as_str))
        };
        for text in texts() {
            assert!(text.is_ascii() && definition.secrets.iter().any(|secret| holds(text, secret)), "{text}");
        }
        for secret in &definition.secrets {
            // A shorter one would turn up in pseudonyms by chance.
            assert!(secret.len() >= 8 && texts().any(|text| holds(text, secret)), "{secret}");
        }
    }

    #[test]
    fn the_template_blanks_the_regions_of_this_picture() {
        let picture = Definition::built_in().unwrap().picture;
        let text = include_str!("../../../config/templates/canary.toml");
        let template = &text.parse::<toml::Table>().unwrap()["template"][0];
        assert_eq!(template["regions"].clone().try_into::<Vec<[u16; 4]>>().unwrap(), picture.regions);
        let matched = &template["match"];
        assert_eq!(matched["model"].as_str(), Some(picture.model.as_str()));
        assert_eq!(matched["manufacturer"].as_str(), Some(picture.manufacturer.as_str()));
        let size = [matched["columns"].as_integer(), matched["rows"].as_integer()];
        assert_eq!(size, [Some(i64::from(picture.columns)), Some(i64::from(picture.rows))]);
        assert_eq!(picture.print.len(), picture.regions.len());
    }
}
