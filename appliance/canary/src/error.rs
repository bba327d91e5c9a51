//! Why no canary could be sent. Names no address and no value.

/// See the module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CanaryError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] gift_service::SettingsError),
    /// A setting that cannot work.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// `config/canary.toml`.
    #[error("config/canary.toml: {0}")]
    Definition(String),
    /// No randomness.
    #[error("the random source failed")]
    Random,
    /// The data set could not be encoded.
    #[error("the data set cannot be encoded")]
    Encode,
    /// The receiver did not accept the association.
    #[error("the receiver accepts no association")]
    Association,
    /// The association broke off.
    #[error("the association broke off")]
    Broken,
    /// The receiver answered the C-STORE with another status than success (PS3.4 Table B.2-1).
    #[error("the receiver refused the object: {0:04X}H")]
    Refused(u16),
}
