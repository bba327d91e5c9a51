//! Passwords: Argon2id, at most a few hashes at a time, a minimum length, no obvious ones.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{error::HubError, settings::Passwords};

/// Longest password taken, bytes; hashing more would be a favour to an attacker.
const MAX_BYTES: usize = 1024;
/// Fewest different characters in a password.
const MIN_DIFFERENT: usize = 5;

/// The hasher.
pub struct Hasher {
    argon2: Argon2<'static>,
    parameters: Params,
    /// A hash of nothing anyone knows: verified against when the user does not exist, so that it takes as long.
    decoy: String,
    permits: Arc<Semaphore>,
    min_length: usize,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// Why a new password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("the password is too short: at least {0} characters")]
    Short(usize),
    /// Too long.
    #[error("the password is longer than {MAX_BYTES} bytes")]
    Long,
    /// Too easy to guess.
    #[error("the password is too easy to guess (few different characters, or it holds the user's name)")]
    Obvious,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Right; `rehashed` when the stored hash was made at another cost.
    Right {
        /// The hash to store instead.
        rehashed: Option<String>,
    },
    /// Wrong, or no such user.
    Wrong,
}

impl Hasher {
    /// A hasher with the settings' cost.
    ///
    /// # Errors
    /// Costs that Argon2 does not take.
    pub fn new(settings: &Passwords) -> Result<Self, HubError> {
        let refuse = |error: argon2::Error| HubError::Setup(format!("passwords: {error}"));
        let parameters =
            Params::new(settings.memory_kib, settings.iterations, settings.parallelism, None).map_err(refuse)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.clone());
        let decoy = hash_with(&argon2, super::secret::random_token()?.as_bytes())?;
        let permits = Arc::new(Semaphore::new(settings.concurrent));
        Ok(Self { argon2, parameters, decoy, permits, min_length: settings.min_length })
    }

    /// Hashes a new password of the user `name`.
    ///
    /// # Errors
    /// The outer error is the hub's, the inner one the password's.
    pub fn hash_new(&self, name: &str, password: &str) -> Result<Result<String, PasswordError>, HubError> {
        let different = password.chars().collect::<std::collections::BTreeSet<_>>().len();
        if password.chars().count() < self.min_length {
            return Ok(Err(PasswordError::Short(self.min_length)));
        }
        if password.len() > MAX_BYTES {
            return Ok(Err(PasswordError::Long));
        }
        if different < MIN_DIFFERENT || (name.len() > 3 && password.to_lowercase().contains(&name.to_lowercase())) {
            return Ok(Err(PasswordError::Obvious));
        }
        hash_with(&self.argon2, password.as_bytes()).map(Ok)
    }

    /// Verifies `password` against `stored`, or against the decoy when there is no such user. Takes the same time either way.
    ///
    /// # Errors
    /// The hub's own.
    pub async fn verify(
        self: &Arc<Self>,
        stored: Option<String>,
        password: Zeroizing<String>,
    ) -> Result<Verdict, HubError> {
        if password.len() > MAX_BYTES {
            return Ok(Verdict::Wrong);
        }
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_| HubError::Ended("the password hasher"))?;
        let hasher = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let _held = permit;
            hasher.verify_now(stored.as_deref(), &password)
        });
        task.await.map_err(|_| HubError::Ended("the password hasher"))?
    }

    fn verify_now(&self, stored: Option<&str>, password: &str) -> Result<Verdict, HubError> {
        let text = stored.unwrap_or(&self.decoy);
        let unreadable = || HubError::Setup("a stored password hash cannot be read".to_owned());
        let hash = PasswordHash::new(text).map_err(|_| unreadable())?;
        let right = self.argon2.verify_password(password.as_bytes(), &hash).is_ok();
        if !right || stored.is_none() {
            return Ok(Verdict::Wrong);
        }
        let made_with = Params::try_from(&hash).map_err(|_| unreadable())?;
        let cost = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
        let rehashed = if cost(&made_with) == cost(&self.parameters) {
            None
        } else {
            Some(hash_with(&self.argon2, password.as_bytes())?)
        };
        Ok(Verdict::Right { rehashed })
    }
}

fn hash_with(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, HubError> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|_| HubError::Ended("the random source"))?;
    argon2
        .hash_password_with_salt(password, &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| HubError::Setup(format!("password hash: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(memory_kib: u32) -> Arc<Hasher> {
        let settings = Passwords { memory_kib, iterations: 1, ..Passwords::default() };
        Arc::new(Hasher::new(&settings).unwrap())
    }

    #[tokio::test]
    async fn right_wrong_unknown_and_rehash_at_a_new_cost() {
        let (cheap, dear) = (hasher(64), hasher(128));
        let stored = cheap.hash_new("ada", "correct horse battery").unwrap().unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        let right = || Zeroizing::new("correct horse battery".to_owned());
        let same = cheap.verify(Some(stored.clone()), right()).await.unwrap();
        assert_eq!(same, Verdict::Right { rehashed: None });
        assert_eq!(cheap.verify(Some(stored.clone()), Zeroizing::new("wrong".into())).await.unwrap(), Verdict::Wrong);
        assert_eq!(cheap.verify(None, right()).await.unwrap(), Verdict::Wrong);
        let Verdict::Right { rehashed: Some(new) } = dear.verify(Some(stored), right()).await.unwrap() else {
            panic!("a hash of another cost is replaced");
        };
        assert!(new.contains("m=128"));
    }

    #[test]
    fn short_and_obvious_passwords_are_not_taken() {
        let hasher = hasher(64);
        let new = |password| hasher.hash_new("lovelace", password).unwrap().err();
        assert_eq!(new("fourteen chars"), Some(PasswordError::Short(15)));
        assert_eq!(new("ababababababababab"), Some(PasswordError::Obvious));
        assert_eq!(new("my Lovelace password"), Some(PasswordError::Obvious));
        assert_eq!(new("ÄÖÜäöüßéèêëàáâãå"), None);
    }
}
