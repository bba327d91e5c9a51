//! What can go wrong, sorted by what is done about it.

/// Settings that parse but contradict themselves. The texts name keys, never values from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsProblem {
    /// Not an address or CIDR.
    #[error("not an IP address or CIDR network")]
    Address,
    /// Ordinals must tell scanners apart.
    #[error("scanners: each ordinal must be from 1 and used once")]
    Ordinal,
    /// A scanner that everything would match.
    #[error("scanners: ordinal {0} needs calling-ae, address or both")]
    Nameless(u16),
    /// Not an AE title.
    #[error("an AE title has 1 to 16 printable ASCII characters and no backslash")]
    AeTitle,
    /// Not a UID.
    #[error("private-sop-classes and transfer-syntax-order hold UIDs")]
    Uid,
    /// Below the smallest useful maximum.
    #[error("max-pdu-bytes is at least 4096")]
    MaxPdu,
    /// Nothing would be left for unknown addresses.
    #[error("limits: reserved-for-known must be below max-associations")]
    Reserve,
    /// A cap of nothing.
    #[error("limits: per-address, max-half-open and half-open-per-address are at least 1")]
    Zero,
}

/// Why the process ends by itself, other than on request: the service manager starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fatal {
    /// A write, fsync or rename failed: the page cache can no longer be believed; start anew and re-verify.
    #[error("the intake store failed")]
    Store,
}
