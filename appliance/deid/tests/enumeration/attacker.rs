//! Whoever has all output, the hub's database and all code, but not the key: takes every value that could be a pseudonym out of
//! what he has, and tries to make one of them from each candidate number, by every scheme he can think of.

use std::collections::{BTreeSet, HashMap};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

/// Shortest prefix of a digest that counts: ten hexadecimal digits, what one real project uses.
const PREFIX: usize = 5;
/// Public constants of the code: salts and labels of the derivations, and names that stand in settings and certificates.
const PUBLIC: &[&[u8]] = &[
    b"",
    b"gift-deidentify pseudonyms v1",
    b"patient",
    b"uid",
    b"date",
    b"text",
    b"input digest",
    b"linked patient",
    b"linked date",
    b"gift-deid",
    b"quarantine wrap v1",
    b"fingerprint v1",
    b"key identifier v1",
    b"fetal-surgery",
    b"gift-default-1",
    b"uk-fetal",
    b"nhs",
    b"NHS",
    b"site-key",
    b"linkage-key",
];
/// Labels under which the code derives keys whose results go out.
const LABELS: [&[u8]; 4] = [b"patient", b"uid", b"text", b"linked patient"];
/// Name spaces of RFC 9562 §6.6: DNS, URL, OID, X.500.
const NAME_SPACES: [u128; 4] = [
    0x6ba7b810_9dad_11d1_80b4_00c04fd430c8,
    0x6ba7b811_9dad_11d1_80b4_00c04fd430c8,
    0x6ba7b812_9dad_11d1_80b4_00c04fd430c8,
    0x6ba7b814_9dad_11d1_80b4_00c04fd430c8,
];

/// Values of the output, by their first bytes.
#[derive(Debug, Default)]
pub(crate) struct Targets(HashMap<[u8; PREFIX], Vec<Vec<u8>>>);

impl Targets {
    /// Every run of ten or more hexadecimal digits, and every UID under 2.25, in `bytes`.
    pub(crate) fn gather(&mut self, bytes: &[u8]) {
        for run in bytes.split(|b| !b.is_ascii_hexdigit()).filter(|run| (2 * PREFIX..=128).contains(&run.len())) {
            if let Ok(value) = hex::decode(&run[..run.len() / 2 * 2]) {
                self.add(value);
            }
        }
        for run in bytes.split(|b| !b.is_ascii_digit() && *b != b'.') {
            let number =
                std::str::from_utf8(run).ok().and_then(|text| text.strip_prefix("2.25.")?.parse::<u128>().ok());
            if let Some(number) = number {
                self.add(number.to_be_bytes().to_vec());
            }
        }
    }

    fn add(&mut self, value: Vec<u8>) {
        let Some(prefix) = value.first_chunk::<PREFIX>() else { return };
        let values = self.0.entry(*prefix).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// True when a value begins as `digest` does, for the length that both have; a UUID's version and variant do not count.
    fn hit(&self, digest: &[u8]) -> bool {
        let Some(values) = digest.first_chunk::<PREFIX>().and_then(|prefix| self.0.get(prefix)) else { return false };
        values.iter().any(|value| {
            value.iter().zip(digest).enumerate().all(|(at, (a, b))| match at {
                6 => a & 0x0F == b & 0x0F,
                8 => a & 0x3F == b & 0x3F,
                _ => a == b,
            })
        })
    }
}

/// Ways to make a pseudonym.
pub(crate) struct Attacker {
    keys: Vec<Hmac<Sha256>>,
}

impl Attacker {
    /// Who knows no secret: tries the code's public constants, keys derived from secrets that are none, and a guess.
    pub(crate) fn without_the_key() -> Self {
        let mut guess = [0; 32];
        getrandom::fill(&mut guess).unwrap();
        let mut attacker = Self { keys: PUBLIC.iter().map(|key| keyed(key)).collect() };
        // All zero, and the secrets of this repository's own tests.
        for secret in [[0; 32], [1; 32], [9; 32], guess] {
            attacker.add_secret(&secret);
        }
        attacker
    }

    /// Who has `secrets`: the control.
    pub(crate) fn with(secrets: &[[u8; 32]]) -> Self {
        let mut attacker = Self { keys: Vec::new() };
        secrets.iter().for_each(|secret| attacker.add_secret(secret));
        attacker
    }

    fn add_secret(&mut self, secret: &[u8; 32]) {
        self.keys.push(keyed(secret));
        let hkdf = Hkdf::<Sha256>::new(Some(b"gift-deidentify pseudonyms v1"), secret);
        for label in LABELS {
            let mut key = [0; 32];
            hkdf.expand(label, &mut key).unwrap();
            self.keys.push(keyed(&key));
        }
    }

    /// Digests that one candidate costs.
    pub(crate) fn digests_each(&self) -> usize {
        5 * 4 + 2 * NAME_SPACES.len() + 4 * self.keys.len()
    }

    /// The numbers among `candidates` of which some value of `targets` can be made.
    pub(crate) fn recovered(&self, targets: &Targets, candidates: impl Iterator<Item = u64>) -> BTreeSet<u64> {
        candidates.filter(|number| self.makes(targets, *number)).collect()
    }

    fn makes(&self, targets: &Targets, number: u64) -> bool {
        let digits = format!("{number:010}");
        let grouped = format!("{} {} {}", &digits[..3], &digits[3..6], &digits[6..]);
        // As the product feeds them: each part after its length, issuer or scheme before.
        let parts = |first: &str| {
            let part = |text: &str| [&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat();
            [part(first), part(&digits)].concat()
        };
        let inputs: [&[u8]; 5] = [digits.as_bytes(), grouped.as_bytes(), &parts(""), &parts("nhs"), &parts("NHS")];
        let unkeyed = |input: &&[u8]| {
            targets.hit(&Md5::digest(input))
                || targets.hit(&Sha1::digest(input))
                || targets.hit(&Sha256::digest(input))
                || targets.hit(&Sha512::digest(input))
        };
        let named = |space: &u128| {
            let name = [&space.to_be_bytes(), digits.as_bytes()].concat();
            targets.hit(&Sha1::digest(&name)) || targets.hit(&Md5::digest(&name))
        };
        let under = |key: &Hmac<Sha256>| {
            [inputs[0], inputs[2], inputs[3], inputs[4]].iter().any(|input| {
                let mut mac = key.clone();
                mac.update(input);
                targets.hit(&mac.finalize().into_bytes())
            })
        };
        inputs.iter().any(unkeyed) || NAME_SPACES.iter().any(named) || self.keys.iter().any(under)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap()
}
