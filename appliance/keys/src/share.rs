//! Shamir shares of a key (GF(256), crate `blahaj`): any K of N give the key back, K - 1 give nothing.
//!
//! A share is a text that can be printed and typed in again. It names its key and its splitting (shares of two splittings of one
//! key do not fit together), its index and the threshold, and carries a checksum, so that a typo is found before anything is
//! computed. What is recovered must have the identifier that the shares name, or it is refused.

use std::fmt::Write as _;

use blahaj::{Share as Point, Sharks};
use gift_deid::key::{Credential, KEY_BYTES};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// First line of a share.
const HEAD: &str = "gift-keys share 1";
/// Hexadecimal digits of a checksum.
const CHECKSUM_DIGITS: usize = 8;
/// Hexadecimal digits that are written together.
const GROUP: usize = 4;

/// Why shares could not be made or joined. Never says anything of their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not two or more of at most 255.
    #[error("a key is shared out to N holders, of whom K together recover it: 2 ≤ K ≤ N ≤ 255")]
    Numbers,
    /// No randomness.
    #[error("no randomness")]
    Random,
    /// Not a share.
    #[error("share {0}: not a share of this tool (a line is missing, or not of its form)")]
    Form(usize),
    /// Its checksum does not hold.
    #[error("share {0}: its checksum does not hold: it was mistyped or altered")]
    Checksum(usize),
    /// Not of the same splitting as the first.
    #[error("share {0} is of another key or another splitting than the first")]
    Mixed(usize),
    /// The same share twice.
    #[error("share {0} was given before")]
    Twice(usize),
    /// Not enough.
    #[error("{needed} shares are needed, {given} were given")]
    TooFew {
        /// Threshold.
        needed: u8,
        /// Shares given.
        given: usize,
    },
    /// What they give is not the key that they name.
    #[error("these shares do not give the key that they name: at least one was altered")]
    Wrong,
}

/// One share.
pub struct Share {
    /// Identifier of the key.
    pub key: String,
    /// Version of the key.
    pub key_version: u32,
    /// Random name of the splitting, 8 hexadecimal digits.
    pub splitting: String,
    /// Shares that are needed.
    pub threshold: u8,
    /// Shares that there are.
    pub shares: u8,
    /// Which one this is, from 1.
    pub index: u8,
    value: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} of {}, key {})", self.index, self.shares, self.key)
    }
}

/// Shares `credential` out to `shares` holders, of whom `threshold` together recover it.
///
/// # Errors
/// [`ShareError::Numbers`], [`ShareError::Random`].
pub fn split(credential: &Credential, shares: u8, threshold: u8) -> Result<Vec<Share>, ShareError> {
    if threshold < 2 || shares < threshold {
        return Err(ShareError::Numbers);
    }
    let mut name = [0; 4];
    getrandom::fill(&mut name).map_err(|_| ShareError::Random)?;
    let points = Sharks(threshold).dealer(credential.expose_secret()).take(usize::from(shares));
    let all: Vec<Share> = points
        .zip(1..=shares)
        .map(|(point, index)| {
            // The point's own index is written apart, for people.
            let mut bytes = Vec::from(&point);
            let value = Zeroizing::new(bytes.split_off(1));
            debug_assert_eq!(bytes, [index]);
            Share {
                key: credential.identifier(),
                key_version: credential.version,
                splitting: hex::encode(name),
                threshold,
                shares,
                index,
                value,
            }
        })
        .collect();
    // A holder's share must be worth its paper: the first and the last of them are tried before any is handed out.
    for some in [&all[..usize::from(threshold)], &all[usize::from(shares - threshold)..]] {
        join(some)?;
    }
    Ok(all)
}

/// The key of `shares`; more than needed must agree too.
///
/// # Errors
/// [`ShareError`]; numbers in it count from 1, in the order given.
pub fn join(shares: &[Share]) -> Result<Credential, ShareError> {
    let Some(first) = shares.first() else { return Err(ShareError::TooFew { needed: 2, given: 0 }) };
    let of =
        |share: &Share| (share.key.clone(), share.key_version, share.splitting.clone(), share.threshold, share.shares);
    for (at, share) in shares.iter().enumerate() {
        if of(share) != of(first) {
            return Err(ShareError::Mixed(at + 1));
        }
        if shares[..at].iter().any(|before| before.index == share.index) {
            return Err(ShareError::Twice(at + 1));
        }
    }
    if shares.len() < usize::from(first.threshold) {
        return Err(ShareError::TooFew { needed: first.threshold, given: shares.len() });
    }
    // All that were given, not only as many as needed: one more that does not fit shows.
    let points: Vec<Point> = shares.iter().map(Share::point).collect::<Result<_, _>>()?;
    let bytes = Sharks(first.threshold).recover(&points).map_err(|_| ShareError::Wrong)?;
    let bytes = Zeroizing::new(bytes);
    let mut secret: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| ShareError::Wrong)?;
    let credential = Credential::new(first.key_version, secret);
    secret.zeroize();
    if credential.identifier() == first.key { Ok(credential) } else { Err(ShareError::Wrong) }
}

impl Share {
    fn point(&self) -> Result<Point, ShareError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + KEY_BYTES));
        bytes.push(self.index);
        bytes.extend_from_slice(&self.value);
        Point::try_from(bytes.as_slice()).map_err(|_| ShareError::Wrong)
    }

    fn checksum(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.lines().as_bytes());
        hex::encode(digest.finalize())[..CHECKSUM_DIGITS].to_owned()
    }

    /// Everything but the checksum.
    fn lines(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(&*self.value));
        // Room for all of it: a growing text would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(512));
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "{HEAD}\nkey {}\nkey-version {}\nsplitting {}\nthreshold {}\nshare {} of {}\nvalue",
            self.key, self.key_version, self.splitting, self.threshold, self.index, self.shares
        );
        for (at, digit) in digits.chars().enumerate() {
            if at % GROUP == 0 {
                text.push(' ');
            }
            text.push(digit);
        }
        text.push('\n');
        text
    }

    /// The share as text.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}checksum {}\n", self.lines().as_str(), self.checksum()))
    }

    /// Takes the text of a share, the `number`th given. Blank lines, case and spaces do not count.
    ///
    /// # Errors
    /// [`ShareError::Form`], [`ShareError::Checksum`].
    pub fn from_text(text: &str, number: usize) -> Result<Self, ShareError> {
        let (share, checksum) = parse(text).ok_or(ShareError::Form(number))?;
        if share.checksum() == checksum { Ok(share) } else { Err(ShareError::Checksum(number)) }
    }
}

fn parse(text: &str) -> Option<(Share, String)> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut field = |name: &str| lines.next()?.strip_prefix(name).filter(|rest| rest.starts_with(' ')).map(str::trim);
    (field("gift-keys")? == HEAD.strip_prefix("gift-keys ")?).then_some(())?;
    let word = |text: &str, digits: usize| {
        let text = text.to_ascii_lowercase();
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
    };
    let key = word(field("key")?, 16)?;
    let key_version = field("key-version")?.parse().ok()?;
    let splitting = word(field("splitting")?, 8)?;
    let threshold = field("threshold")?.parse().ok()?;
    let (index, shares) = field("share")?.split_once(" of ")?;
    let (index, shares) = (index.trim().parse().ok()?, shares.trim().parse().ok()?);
    let digits = Zeroizing::new(field("value")?.split_whitespace().collect::<String>());
    let mut value = Zeroizing::new(vec![0; KEY_BYTES]);
    hex::decode_to_slice(digits.as_str(), &mut value).ok()?;
    let checksum = word(field("checksum")?, CHECKSUM_DIGITS)?;
    let sound = 2 <= threshold && threshold <= shares && (1..=shares).contains(&index) && lines.next().is_none();
    sound.then_some((Share { key, key_version, splitting, threshold, shares, index, value }, checksum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: u8) -> Credential {
        Credential::new(3, [secret; KEY_BYTES])
    }

    fn again(share: &Share) -> Share {
        Share::from_text(&share.to_text(), 1).unwrap()
    }

    fn some(shares: &[Share], which: &[usize]) -> Vec<Share> {
        which.iter().map(|at| again(&shares[*at])).collect()
    }

    #[test]
    fn any_three_of_five_give_the_key_back_and_two_give_nothing() {
        let shares = split(&key(7), 5, 3).unwrap();
        for (a, b, c) in (0..5).flat_map(|a| (0..5).flat_map(move |b| (0..5).map(move |c| (a, b, c)))) {
            if a == b || b == c || a == c {
                continue;
            }
            let back = join(&some(&shares, &[a, b, c])).unwrap();
            assert_eq!((back.expose_secret(), back.version), (&[7; KEY_BYTES], 3));
        }
        assert!(join(&some(&shares, &[4, 0, 2, 1, 3])).is_ok());
        assert_eq!(join(&some(&shares, &[0, 1])).unwrap_err(), ShareError::TooFew { needed: 3, given: 2 });
        // Even who joins two as if they were enough gets something else, and nothing says how near it is.
        let mut two = some(&shares, &[0, 1]);
        two.iter_mut().for_each(|share| share.threshold = 2);
        assert_eq!(join(&two).unwrap_err(), ShareError::Wrong);
    }

    /// That K - 1 shares say nothing at all: with each possible byte as the last share's, a polynomial through them exists, so
    /// every secret is equally likely. Here: the shares of two very different keys are not told apart by their bytes.
    #[test]
    fn two_shares_of_three_do_not_depend_on_the_key() {
        let mean = |secret: u8| {
            let sum: u64 = (0..400)
                .flat_map(|_| split(&key(secret), 3, 3).unwrap().into_iter().take(2))
                .map(|share| share.value.iter().map(|b| u64::from(*b)).sum::<u64>())
                .sum();
            sum as f64 / (400.0 * 2.0 * KEY_BYTES as f64)
        };
        // 25,600 uniform bytes: mean 127.5, standard deviation of the mean 0.46.
        for secret in [1, 255] {
            assert!((mean(secret) - 127.5).abs() < 4.0);
        }
    }

    #[test]
    fn a_typo_anywhere_is_found() {
        let text = split(&key(7), 3, 2).unwrap()[1].to_text();
        for (at, original) in text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
            let typo = if original == '3' { '5' } else { '3' };
            let mut changed = text.to_string();
            changed.replace_range(at..=at, &typo.to_string());
            assert!(Share::from_text(&changed, 1).is_err(), "character {at}");
        }
        let spaced = text.to_uppercase().replace("GIFT-KEYS SHARE", "gift-keys share");
        assert!(Share::from_text(&spaced, 1).is_err(), "words are as they are");
        let value = text.lines().find(|l| l.starts_with("value")).unwrap();
        let retyped = text.replace(value, &value.replace(' ', "").to_uppercase().replace("VALUE", "\n  value   "));
        assert!(Share::from_text(&retyped, 1).is_ok(), "grouping, case and blank lines do not count");
    }

    #[test]
    fn altered_mixed_repeated_and_missing_shares_are_refused_for_what_they_are() {
        let (shares, others, anew) =
            (split(&key(7), 3, 2).unwrap(), split(&key(8), 3, 2).unwrap(), split(&key(7), 3, 2).unwrap());
        let with = |share: &Share| join(&[again(&shares[0]), again(share)]).unwrap_err();
        assert_eq!(with(&others[1]), ShareError::Mixed(2));
        assert_eq!(with(&anew[1]), ShareError::Mixed(2), "another splitting of the same key");
        assert_eq!(with(&shares[0]), ShareError::Twice(2));
        assert_eq!(join(&[]).unwrap_err(), ShareError::TooFew { needed: 2, given: 0 });
        // Altered by someone who knows the form: the checksum holds, the key does not.
        let mut altered = again(&shares[1]);
        altered.value[5] ^= 1;
        assert_eq!(with(&again(&altered)), ShareError::Wrong);
        let three = [again(&shares[0]), again(&altered), again(&shares[2])];
        assert_eq!(join(&three).unwrap_err(), ShareError::Wrong, "one too many must fit as well");
        let text = shares[1].to_text();
        assert_eq!(Share::from_text(&text.replace("of 3", "of 4"), 2).unwrap_err(), ShareError::Checksum(2));
        assert_eq!(Share::from_text("", 4).unwrap_err(), ShareError::Form(4));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_and_debug_shows_no_value() {
        for (shares, threshold) in [(0, 0), (3, 1), (2, 3), (1, 1), (5, 0)] {
            assert_eq!(split(&key(1), shares, threshold).unwrap_err(), ShareError::Numbers);
        }
        assert_eq!(split(&key(1), 255, 255).unwrap().len(), 255);
        let share = &split(&key(1), 2, 2).unwrap()[0];
        assert!(!format!("{share:?}").contains(&hex::encode(&share.value[..4])));
    }
}
