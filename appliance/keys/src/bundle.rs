//! Policy bundles: the signer's key, and signing what was checked. A bundle that the boxes would refuse is not made.

use std::{collections::BTreeSet, io::Cursor, path::Path};

use chrono::{Days, NaiveDate};
use gift_deid::{
    judge::Judge,
    policy::{PolicyError, PolicyTexts},
    settings::ReadLimits,
};
use gift_wire::{Bundle, BundleError, MAX_BUNDLE_BYTES, SignedBundle, WIRE_VERSION};
use minisign::{KeyPair, PError, PublicKey, SecretKeyBox};
use zeroize::Zeroizing;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The key file is none.
    #[error("not a policy key: {0}")]
    Key(#[from] PError),
    /// A directory or a text.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// With it, boxes of that image would have no policy.
    #[error("on top of the image's policy: {0}")]
    Unusable(String),
    /// A name, a serial, a day.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The calendar ends.
    #[error("so many days from now there is no day")]
    Days,
    /// Nothing to say.
    #[error("nothing in it: no text of templates/ or profiles/, nothing withdrawn")]
    Empty,
    /// Longer than boxes take.
    #[error("larger than {MAX_BUNDLE_BYTES} bytes")]
    TooLarge,
}

/// What a bundle is to be.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Directory with `templates/` and `profiles/`.
    pub texts: &'a Path,
    /// The policy of the image that boxes run.
    pub image: &'a Path,
    /// Names of the image's texts that no longer count.
    pub withdrawn: &'a [String],
    /// Its serial.
    pub serial: u64,
    /// The day it is made.
    pub today: NaiveDate,
    /// For how many days boxes take it.
    pub days: u64,
}

/// A signer's fresh key: the text of its file, and the public key that boxes are told.
///
/// # Errors
/// No randomness.
pub fn policy_key() -> Result<(Zeroizing<String>, String), MakeError> {
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let text = pair.sk.to_box(Some("gift policy key"))?.into_string();
    Ok((Zeroizing::new(text), pair.pk.to_base64()))
}

/// Makes and signs a bundle with the key whose file says `key`; JSON, as it travels.
///
/// # Errors
/// [`MakeError`].
pub fn make(order: &Order<'_>, key: &str) -> Result<Vec<u8>, MakeError> {
    let key = SecretKeyBox::from_string(key)?.into_unencrypted_secret_key()?;
    let PolicyTexts { templates, profiles, .. } = PolicyTexts::of_bundle(order.texts)?;
    let named = |root: &'static str| move |(name, text)| (format!("{root}/{name}"), text);
    let texts = templates.into_iter().map(named("templates")).chain(profiles.into_iter().map(named("profiles")));
    let expires = order.today.checked_add_days(Days::new(order.days)).ok_or(MakeError::Days)?;
    let bundle = Bundle {
        version: WIRE_VERSION,
        serial: order.serial,
        created: order.today.to_string(),
        expires: expires.to_string(),
        texts: texts.collect(),
        withdrawn: order.withdrawn.iter().cloned().collect::<BTreeSet<_>>(),
    };
    if bundle.texts.is_empty() && bundle.withdrawn.is_empty() {
        return Err(MakeError::Empty);
    }
    // Unwrap-free: maps of texts have a JSON; and what boxes check is checked here.
    let text = serde_json::to_string(&bundle).map_err(|_| BundleError::Form)?;
    Bundle::parse(&text)?;
    let whole = PolicyTexts::load(order.image, ReadLimits::default())?.with(Some(&bundle));
    Judge::new(&whole).map_err(|error| MakeError::Unusable(error.to_string()))?;
    let comment = format!("gift policy serial {} of {}", bundle.serial, bundle.created);
    let public = PublicKey::from_secret_key(&key)?;
    let signature = minisign::sign(Some(&public), &key, Cursor::new(&text), Some(&comment), None)?.into_string();
    let signed = serde_json::to_vec(&SignedBundle { bundle: text, signature }).map_err(|_| BundleError::Form)?;
    if signed.len() > MAX_BUNDLE_BYTES { Err(MakeError::TooLarge) } else { Ok(signed) }
}
