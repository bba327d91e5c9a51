//! The device key inside the TPM. Nothing of ours stays in it: its parent is derived from the owner hierarchy's seed each
//! time, by the template that the TCG gives for storage keys, and the key comes from the store, wrapped.
//!
//! Neither has a value to be authorised by, and both are free of the TPM's protection against dictionary attacks (noDA): there is
//! nothing to be guessed, and a TPM that power cuts put into lockout still signs.

use gift_signer::{PublicKeyInfo, protocol::DIGEST_BYTES};
use tss_esapi::{
    Context, Error,
    attributes::{ObjectAttributes, ObjectAttributesBuilder},
    constants::{
        response_code::Tss2ResponseCode,
        tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK},
    },
    handles::KeyHandle,
    interface_types::{
        algorithm::{HashingAlgorithm, PublicAlgorithm},
        ecc::EccCurve,
        resource_handles::Hierarchy,
        session_handles::AuthSession,
    },
    structures::{
        Digest, EccParameter, EccPoint, EccScheme, HashScheme, HashcheckTicket, KeyDerivationFunctionScheme, Private,
        Public, PublicBuilder, PublicEccParameters, Signature, SignatureScheme, SymmetricDefinitionObject,
    },
    tcti_ldr::TctiNameConf,
    traits::{Marshall as _, UnMarshall as _},
    tss2_esys::TPMT_TK_HASHCHECK,
};

use crate::{ecdsa, error::SignerError, store::StoredKey};

/// Length of a coordinate of P-256, bytes.
const COORDINATE_BYTES: usize = 32;

/// The device key, in the TPM.
pub(crate) struct TpmKey {
    context: Context,
    handle: KeyHandle,
    public: PublicKeyInfo,
}

impl TpmKey {
    /// Makes a key. It is of no use before its stored form is kept and loaded.
    ///
    /// # Errors
    /// The TPM's.
    pub(crate) fn make(tpm: &TctiNameConf) -> Result<StoredKey, SignerError> {
        let doing = "making the device key";
        let (mut context, parent) = open(tpm)?;
        let template = device_key(EccPoint::default()).map_err(SignerError::tpm(doing))?;
        let made = with_no_value(&mut context, |context| context.create(parent, template, None, None, None, None));
        flush(&mut context, parent)?;
        let made = made.map_err(SignerError::tpm(doing))?;
        let public = made.out_public.marshall().map_err(SignerError::tpm(doing))?;
        Ok(StoredKey { public, private: made.out_private.to_vec() })
    }

    /// Loads a stored key.
    ///
    /// # Errors
    /// [`SignerError::Key`] when it is damaged, another TPM's, or not one that [`TpmKey::make`] makes; the TPM's.
    pub(crate) fn load(tpm: &TctiNameConf, stored: &StoredKey) -> Result<Self, SignerError> {
        let damaged = |_| SignerError::Key("damaged");
        let public = Public::unmarshall(&stored.public).map_err(damaged)?;
        let private = Private::try_from(stored.private.clone()).map_err(damaged)?;
        let Public::Ecc { unique, .. } = &public else { return Err(SignerError::Key("not a P-256 key")) };
        let info = PublicKeyInfo::of_point(unique.x().value(), unique.y().value());
        let info = info.ok_or(SignerError::Key("not a P-256 key"))?;
        // The TPM would load what was made elsewhere and brought in, too.
        if device_key(unique.clone()).map_err(damaged)? != public {
            return Err(SignerError::Key("not one that was made here"));
        }
        let (mut context, parent) = open(tpm)?;
        let loaded = with_no_value(&mut context, |context| context.load(parent, private, public));
        flush(&mut context, parent)?;
        let handle = loaded.map_err(|error| match error {
            // The TPM's judgement on what it was given (integrity, size, value).
            Error::Tss2Error(Tss2ResponseCode::FormatOne(_)) => SignerError::Key("damaged, or another TPM's"),
            error => SignerError::tpm("loading the device key")(error),
        })?;
        Ok(Self { context, handle, public: info })
    }

    /// The public half.
    pub(crate) fn public(&self) -> PublicKeyInfo {
        self.public
    }

    /// An ECDSA signature of `digest`, DER.
    ///
    /// # Errors
    /// The TPM's.
    pub(crate) fn sign(&mut self, digest: [u8; DIGEST_BYTES]) -> Result<Vec<u8>, SignerError> {
        let doing = "signing";
        let digest = Digest::try_from(digest.to_vec()).map_err(SignerError::tpm(doing))?;
        let ticket = no_ticket().map_err(SignerError::tpm(doing))?;
        let handle = self.handle;
        let signature =
            with_no_value(&mut self.context, |context| context.sign(handle, digest, SignatureScheme::Null, ticket));
        match signature.map_err(SignerError::tpm(doing))? {
            Signature::EcDsa(signature) => {
                ecdsa::signature(signature.signature_r().value(), signature.signature_s().value())
                    .ok_or(SignerError::Sense("a signature out of range"))
            }
            _ => Err(SignerError::Sense("a signature of another kind")),
        }
    }
}

/// Opens the TPM and derives the parent.
fn open(tpm: &TctiNameConf) -> Result<(Context, KeyHandle), SignerError> {
    let mut context = Context::new(tpm.clone()).map_err(SignerError::tpm("opening"))?;
    let doing = "deriving the storage key";
    let template = storage_key().map_err(SignerError::tpm(doing))?;
    let parent = with_no_value(&mut context, |context| {
        context.create_primary(Hierarchy::Owner, template, None, None, None, None)
    });
    Ok((context, parent.map_err(SignerError::tpm(doing))?.key_handle))
}

/// Calls `work` with an empty value where an authorisation is asked for.
fn with_no_value<T>(context: &mut Context, work: impl FnOnce(&mut Context) -> T) -> T {
    context.execute_with_session(Some(AuthSession::Password), work)
}

/// The parent is not needed any more, and a TPM has few places.
fn flush(context: &mut Context, handle: KeyHandle) -> Result<(), SignerError> {
    context.flush_context(handle.into()).map_err(SignerError::tpm("flushing the storage key"))
}

/// A digest that was not made by the TPM, for a key that signs any digest.
fn no_ticket() -> Result<HashcheckTicket, Error> {
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: Default::default(),
    })
}

/// Never leaves this TPM, made by it, used without a value.
fn attributes(
    kind: impl FnOnce(ObjectAttributesBuilder) -> ObjectAttributesBuilder,
) -> Result<ObjectAttributes, Error> {
    let builder = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true);
    kind(builder).build()
}

fn ecc(attributes: ObjectAttributes, parameters: PublicEccParameters, unique: EccPoint) -> Result<Public, Error> {
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(unique)
        .build()
}

/// The TCG's template of a storage root key on P-256 (TPM 2.0 Provisioning Guidance, 7.5.1): the unique part is zeros.
fn storage_key() -> Result<Public, Error> {
    let attributes = attributes(|builder| builder.with_restricted(true).with_decrypt(true))?;
    let parameters = PublicEccParameters::new(
        SymmetricDefinitionObject::AES_128_CFB,
        EccScheme::Null,
        EccCurve::NistP256,
        KeyDerivationFunctionScheme::Null,
    );
    let zeros = EccParameter::try_from(vec![0; COORDINATE_BYTES])?;
    ecc(attributes, parameters, EccPoint::new(zeros.clone(), zeros))
}

/// P-256, signs, by ECDSA with SHA-256 alone.
fn device_key(unique: EccPoint) -> Result<Public, Error> {
    let attributes = attributes(|builder| builder.with_sign_encrypt(true))?;
    let parameters = PublicEccParameters::new(
        SymmetricDefinitionObject::Null,
        EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)),
        EccCurve::NistP256,
        KeyDerivationFunctionScheme::Null,
    );
    ecc(attributes, parameters, unique)
}
