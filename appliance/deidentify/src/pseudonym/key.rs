//! The site's key and what is computed with it: HMAC-SHA-256 under keys that HKDF-SHA-256 separates by purpose.
//!
//! Every input is length-prefixed, so that no two different inputs are the same bytes. Nothing here can be undone without the
//! key; with it, the same input gives the same pseudonym on any box and at any time.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Answer, Ask, LinkageKey, PseudonymError, Pseudonymise};

/// HKDF salt: separates these keys from whatever else is derived from the same secret.
pub(super) const SALT: &[u8] = b"gift-deidentify pseudonyms v1";
/// Largest shift of a date, days; every number of days from one to this, back or forth, is equally likely.
const MAX_SHIFT_DAYS: i32 = 365;
/// Longest value of a question, bytes.
const MAX_VALUE: usize = 1 << 16;

/// A derived key.
pub(super) type Subkey = Zeroizing<[u8; 32]>;

/// The secret of one site (or linkage domain) and its version. No `Clone`, no `Serialize`, a silent `Debug`, wiped when
/// dropped.
pub struct PseudonymKey {
    version: u32,
    patient: Subkey,
    uid: Subkey,
    date: Subkey,
    text: Subkey,
    input: Subkey,
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PseudonymKey(version {})", self.version)
    }
}

impl PseudonymKey {
    /// Derives the separate keys from the site's 256-bit secret. The caller keeps and wipes its own copy of the secret.
    pub fn new(secret: &[u8; 32], version: u32) -> Self {
        let derive = |label: &[u8]| derive(secret, label);
        Self {
            version,
            patient: derive(b"patient"),
            uid: derive(b"uid"),
            date: derive(b"date"),
            text: derive(b"text"),
            input: derive(b"input digest"),
        }
    }

    /// Version of the key, for the certificate.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Starts the keyed digest of an object as received: without the key it says nothing of the object.
    pub fn input_digest(&self) -> InputDigest {
        InputDigest(hmac(&self.input))
    }

    fn subject(&self, issuer: &str, id: &str) -> String {
        pseudonym(&self.patient, &[issuer, id])
    }

    /// 2.25.‹128-bit HMAC in decimal›, with the version (8) and variant bits of a UUID (PS3.5 B.2, RFC 9562 §5.8).
    fn uid(&self, uid: &str) -> String {
        let digest = mac(&self.uid, &[uid]);
        let mut bits = [0; 16];
        bits.copy_from_slice(&digest[..16]);
        bits[6] = bits[6] & 0x0F | 0x80;
        bits[8] = bits[8] & 0x3F | 0x80;
        format!("2.25.{}", u128::from_be_bytes(bits))
    }

    fn date_shift(&self, issuer: &str, id: &str) -> i32 {
        shift(&self.date, &[issuer, id])
    }

    fn text(&self, domain: &str, value: &str) -> String {
        pseudonym(&self.text, &[domain, value])
    }

    /// Answers all of `asks`, in order: patients that a national number names under `linkage`, everything else under this key.
    ///
    /// # Errors
    /// [`PseudonymError::Refused`] for a value that is empty or too long, and for a national number when there is no linkage.
    pub fn answer(&self, linkage: Option<&LinkageKey>, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        let fits = |texts: &[&String]| texts.iter().all(|t| t.len() <= MAX_VALUE);
        let linkage = || linkage.ok_or(PseudonymError::Refused);
        asks.iter()
            .map(|ask| match ask {
                Ask::Subject { issuer, id } if !id.is_empty() && fits(&[issuer, id]) => {
                    Ok(Answer::Subject(self.subject(issuer, id)))
                }
                Ask::DateShift { issuer, id } if !id.is_empty() && fits(&[issuer, id]) => {
                    Ok(Answer::DateShift(self.date_shift(issuer, id)))
                }
                Ask::LinkedSubject(number) => Ok(Answer::Subject(linkage()?.subject(number))),
                Ask::LinkedDateShift(number) => Ok(Answer::DateShift(linkage()?.date_shift(number))),
                Ask::Uid(uid) if !uid.is_empty() && fits(&[uid]) => Ok(Answer::Uid(self.uid(uid))),
                Ask::Text { domain, value } if fits(&[domain, value]) => Ok(Answer::Text(self.text(domain, value))),
                _ => Err(PseudonymError::Refused),
            })
            .collect()
    }
}

/// The key that HKDF separates by `label` from a 256-bit secret.
pub(super) fn derive(secret: &[u8; 32], label: &[u8]) -> Subkey {
    let mut key = Subkey::default();
    // Unwrap safety: expand fails only above 255 × 32 bytes.
    #[allow(clippy::expect_used, reason = "constant length")]
    Hkdf::<Sha256>::new(Some(SALT), secret)
        .expand(label, key.as_mut_slice())
        .expect("32 bytes are within HKDF's range");
    key
}

/// 128 bits of an HMAC over the parts, as 32 hexadecimal digits.
pub(super) fn pseudonym(key: &Subkey, parts: &[&str]) -> String {
    hex::encode(&mac(key, parts)[..16])
}

/// A shift of 1 to [`MAX_SHIFT_DAYS`] days, back or forth, from an HMAC over the parts.
pub(super) fn shift(key: &Subkey, parts: &[&str]) -> i32 {
    let digest = mac(key, parts);
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest[..16]);
    // 2^128 mod 730 values are favoured by 2^-118: no one can tell.
    let n = (u128::from_be_bytes(bits) % (2 * MAX_SHIFT_DAYS as u128)) as i32;
    if n < MAX_SHIFT_DAYS { n - MAX_SHIFT_DAYS } else { n - MAX_SHIFT_DAYS + 1 }
}

fn hmac(key: &Subkey) -> Hmac<Sha256> {
    // Unwrap safety: HMAC takes keys of any length.
    #[allow(clippy::expect_used, reason = "constant length")]
    Hmac::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length")
}

/// HMAC over the parts, each after its length.
fn mac(key: &Subkey, parts: &[&str]) -> [u8; 32] {
    let mut mac = hmac(key);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Keyed digest under way; see [`PseudonymKey::input_digest`].
pub struct InputDigest(Hmac<Sha256>);

impl std::fmt::Debug for InputDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InputDigest")
    }
}

impl InputDigest {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hex::encode(self.0.finalize().into_bytes())
    }
}

/// Answers from the keys themselves.
#[derive(Debug)]
pub struct KeyedPseudonymiser {
    key: PseudonymKey,
    linkage: Option<LinkageKey>,
}

impl KeyedPseudonymiser {
    /// Answers from `key`, and for no national number.
    pub fn new(key: PseudonymKey) -> Self {
        Self { key, linkage: None }
    }

    /// Answers from `key`, and for national numbers from `linkage`.
    pub fn linked(key: PseudonymKey, linkage: LinkageKey) -> Self {
        Self { key, linkage: Some(linkage) }
    }

    /// The key.
    pub fn key(&self) -> &PseudonymKey {
        &self.key
    }
}

impl Pseudonymise for KeyedPseudonymiser {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        self.key.answer(self.linkage.as_ref(), asks)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(secret: u8) -> PseudonymKey {
        PseudonymKey::new(&[secret; 32], 1)
    }

    #[test]
    fn a_replaced_box_with_the_same_key_gives_the_same_pseudonyms_and_another_key_none_of_them() {
        let (a, again, other) = (key(1), key(1), key(2));
        assert_eq!(a.subject("NHS", "9434765919"), again.subject("NHS", "9434765919"));
        assert_eq!(a.uid("1.2.3"), again.uid("1.2.3"));
        assert_ne!(a.subject("NHS", "9434765919"), other.subject("NHS", "9434765919"));
        assert_ne!(a.uid("1.2.3"), other.uid("1.2.3"));
        // Pinned, and computed once with another implementation: a change of the derivation would silently part a subject from its earlier images.
        assert_eq!(a.subject("NHS", "9434765919"), "3570a4ae7b2a52e56cbf487dceb4ba95");
        assert_eq!(a.uid("1.2.3"), "2.25.134953775425433125009879550897827543631");
        assert_eq!(a.date_shift("NHS", "9434765919"), 76);
    }

    #[test]
    fn issuer_and_id_are_separated() {
        let key = key(1);
        assert_ne!(key.subject("A", "BC"), key.subject("AB", "C"));
        assert_ne!(key.subject("", "X"), key.subject("X", ""));
        assert_ne!(key.text("a", "bc"), key.text("ab", "c"));
    }

    #[test]
    fn uids_are_valid_and_carry_uuid_version_8() {
        let key = key(3);
        for n in 0..500 {
            let uid = key.uid(&format!("1.2.{n}"));
            assert!(uid.len() <= 64);
            let bits: u128 = uid.strip_prefix("2.25.").unwrap().parse().unwrap();
            assert_eq!(bits >> 76 & 0xF, 8);
            assert_eq!(bits >> 62 & 0x3, 2);
        }
    }

    #[test]
    fn shifts_cover_the_year_both_ways_and_are_never_zero() {
        let key = key(4);
        let shifts: BTreeSet<i32> = (0..20_000).map(|n| key.date_shift("", &n.to_string())).collect();
        assert_eq!((shifts.first(), shifts.last(), shifts.len()), (Some(&-365), Some(&365), 730));
        assert!(!shifts.contains(&0));
    }

    #[test]
    fn debug_says_nothing_and_empty_questions_are_refused() {
        assert_eq!(format!("{:?}", key(7)), "PseudonymKey(version 1)");
        let mut who = KeyedPseudonymiser::new(key(7));
        for ask in [Ask::Uid(String::new()), Ask::Subject { issuer: "A".into(), id: String::new() }] {
            assert_eq!(who.answer(&[ask]), Err(PseudonymError::Refused));
        }
    }

    #[test]
    fn the_input_digest_is_keyed() {
        let digest = |secret| {
            let mut digest = key(secret).input_digest();
            digest.update(b"an obj");
            digest.update(b"ect");
            digest.finish()
        };
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
    }
}
