//! A key on its way to a box: encrypted to the box's public key (age v1: X25519, ChaCha20-Poly1305), so that the hub, which
//! carries it, has ciphertext only.
//!
//! Encryption says nothing of who encrypted: a hub could send a key of its own, and then undo every pseudonym made with it. So
//! whoever unwraps says which key is expected, by its identifier, which came another way.

use std::{io::Read as _, iter, str::FromStr as _};

use age::{
    Decryptor,
    armor::ArmoredReader,
    secrecy::ExposeSecret as _,
    x25519::{Identity, Recipient},
};
use gift_deid::key::Credential;
use zeroize::Zeroizing;

use crate::files::MAX_BYTES;

/// Why a key could not be wrapped or unwrapped. Never says anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// Not a public key.
    #[error("not a box's public key (age1…): mistyped?")]
    Recipient,
    /// Not an identity file.
    #[error("not an identity file of `gift-keys box-identity`")]
    Identity,
    /// Encryption failed.
    #[error("the key could not be encrypted")]
    Encrypt,
    /// Not for this box.
    #[error("this key was wrapped to another box, or altered on its way")]
    NotForThisBox,
    /// What was wrapped is no key.
    #[error("what was wrapped is not a key file")]
    NotAKey,
    /// Another key than expected.
    #[error("what was wrapped is another key than the one expected")]
    Unexpected,
}

/// A new identity of a box: the text of its file, and its public key.
pub fn box_identity() -> (Zeroizing<String>, String) {
    let identity = Identity::generate();
    let secret = identity.to_string();
    (Zeroizing::new(format!("{}\n", secret.expose_secret())), identity.to_public().to_string())
}

/// The public key of the identity file `text`.
///
/// # Errors
/// [`WrapError::Identity`].
pub fn public_key(text: &str) -> Result<String, WrapError> {
    Ok(identity(text)?.to_public().to_string())
}

/// The public key of a box in `text`, checked (its checksum too).
///
/// # Errors
/// [`WrapError::Recipient`].
pub fn public_identity(text: &str) -> Result<String, WrapError> {
    Ok(Recipient::from_str(text.trim()).map_err(|_| WrapError::Recipient)?.to_string())
}

fn identity(text: &str) -> Result<Identity, WrapError> {
    Identity::from_str(text.trim()).map_err(|_| WrapError::Identity)
}

/// `credential` for the box whose public key is `to`: ASCII armour.
///
/// # Errors
/// [`WrapError::Recipient`], [`WrapError::Encrypt`].
pub fn wrap(credential: &Credential, to: &str) -> Result<String, WrapError> {
    let recipient = Recipient::from_str(to.trim()).map_err(|_| WrapError::Recipient)?;
    age::encrypt_and_armor(&recipient, credential.to_text().as_bytes()).map_err(|_| WrapError::Encrypt)
}

/// The key in `wrapped`, by the identity file `text`, when it is the one called `expected`.
///
/// # Errors
/// See [`WrapError`].
pub fn unwrap(wrapped: &str, text: &str, expected: &str) -> Result<Credential, WrapError> {
    let identity = identity(text)?;
    let not_ours = |_| WrapError::NotForThisBox;
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(wrapped.as_bytes())).map_err(not_ours)?;
    let plain = decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(not_ours)?;
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut key = Zeroizing::new(String::with_capacity(MAX_BYTES));
    plain.take(MAX_BYTES as u64).read_to_string(&mut key).map_err(|_| WrapError::NotForThisBox)?;
    let credential = Credential::from_text(&key).ok_or(WrapError::NotAKey)?;
    // No secret: the identifier may stand in settings and on paper.
    if credential.identifier() == expected.trim().to_ascii_lowercase() {
        Ok(credential)
    } else {
        Err(WrapError::Unexpected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_box_it_was_wrapped_to_reads_it_and_only_unaltered() {
        let key = Credential::new(2, [5; 32]);
        let (ours, public) = box_identity();
        let (others, _) = box_identity();
        assert_eq!(public_key(&ours).unwrap(), public);
        let wrapped = wrap(&key, &public).unwrap();
        assert!(!wrapped.contains(&hex::encode([5; 8])));
        let back = unwrap(&wrapped, &ours, &key.identifier()).unwrap();
        assert_eq!((back.expose_secret(), back.version), (&[5; 32], 2));
        assert_ne!(wrap(&key, &public).unwrap(), wrapped, "equal keys are not seen to be equal");

        let fails = |wrapped: &str, identity: &str| unwrap(wrapped, identity, &key.identifier()).unwrap_err();
        assert_eq!(fails(&wrapped, &others), WrapError::NotForThisBox);
        assert_eq!(fails(&wrapped, "AGE-SECRET-KEY-1"), WrapError::Identity);
        assert_eq!(fails("", &ours), WrapError::NotForThisBox);
        for at in (40..wrapped.len() - 40).step_by(7) {
            let mut altered = wrapped.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(fails(std::str::from_utf8(&altered).unwrap(), &ours), WrapError::NotForThisBox, "byte {at}");
        }
    }

    #[test]
    fn a_hub_that_sends_a_key_of_its_own_is_refused() {
        let (ours, public) = box_identity();
        let hubs = wrap(&Credential::new(2, [6; 32]), &public).unwrap();
        assert_eq!(unwrap(&hubs, &ours, &Credential::new(2, [5; 32]).identifier()).unwrap_err(), WrapError::Unexpected);
        let recipient = Recipient::from_str(&public).unwrap();
        let junk = age::encrypt_and_armor(&recipient, b"version = 1\nkey = \"00\"").unwrap();
        assert_eq!(unwrap(&junk, &ours, "").unwrap_err(), WrapError::NotAKey);
    }

    #[test]
    fn a_mistyped_public_key_is_found() {
        let (_, public) = box_identity();
        let key = Credential::new(1, [5; 32]);
        for at in 4..public.len() {
            let mut typo = public.clone().into_bytes();
            typo[at] = if typo[at] == b'q' { b'p' } else { b'q' };
            assert_eq!(wrap(&key, std::str::from_utf8(&typo).unwrap()), Err(WrapError::Recipient));
        }
    }
}
