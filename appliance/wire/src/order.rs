//! An order to erase a box that was signed offline: what the hub carries to the one box it names without being able to change it.
//!
//! A box carries it out when a key that its verified image trusts for orders signed it, it names the box's serial and the public key of the
//! identity that the box has *now*, and its last day has not passed. Erasing destroys that identity, so an order is used up by being carried
//! out, though the box that is erased remembers nothing.

use serde::{Deserialize, Serialize};

use crate::{WIRE_VERSION, bundle::is_day};

/// Largest [`SignedOrder`] as JSON, bytes.
pub const MAX_ORDER_JSON_BYTES: usize = 8 << 10;
/// What keys of orders sign begins with this, so that a signature for something else is none for an order.
pub const ORDER_CONTEXT: &str = "gift-edge order 1\n";

/// Length of an age public key (X25519): `age1` and 58 characters of Bech32.
const IDENTITY_CHARS: usize = 62;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// The state is erased: the box begins anew, with another identity, and needs another provisioning.
    FactoryReset,
    /// The provisioning is erased, too: nothing that the box was told is left.
    Decommission,
}

impl OrderKind {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FactoryReset => "factory-reset",
            Self::Decommission => "decommission",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FactoryReset, Self::Decommission].into_iter().find(|kind| kind.name() == name)
    }
}

/// What is signed (after [`ORDER_CONTEXT`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// Grows with every order for one box; from 1. The hub gives the greatest.
    pub number: u64,
    /// What is to be done.
    pub kind: OrderKind,
    /// Serial of the one box that it is for, as in its provisioning.
    pub serial: String,
    /// Public key of the identity that this box has now (`age1…`).
    pub identity: String,
    /// Day of making, `YYYY-MM-DD` (UTC).
    pub created: String,
    /// Last day on which the box carries it out, `YYYY-MM-DD` (UTC).
    pub expires: String,
}

/// An order and its signature, as they travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrder {
    /// The JSON of an [`Order`], byte for byte as it was signed.
    pub order: String,
    /// A minisign signature (four lines of text) of [`ORDER_CONTEXT`] and it.
    pub signature: String,
}

/// Why a text is no order. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not the JSON of one.
    #[error("not a signed order")]
    Form,
    /// A version that is not known here.
    #[error("an order of an unknown version")]
    Version,
    /// Number 0.
    #[error("an order's number begins at 1")]
    Number,
    /// Serial or identity.
    #[error("a serial is 1 to 32 of A-Z 0-9 and '-'; an identity is a public key that begins with age1")]
    Box,
    /// A day that is none, or an end before the beginning.
    #[error("the days of an order must be YYYY-MM-DD, and the last one not before the first")]
    Days,
}

impl Order {
    /// Reads and checks what was signed.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let order: Self = serde_json::from_str(text).map_err(|_| OrderError::Form)?;
        order.check()?;
        Ok(order)
    }

    /// What a signer checks before it signs, and a box before it believes.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn check(&self) -> Result<(), OrderError> {
        if self.version != WIRE_VERSION {
            return Err(OrderError::Version);
        }
        if self.number == 0 || i64::try_from(self.number).is_err() {
            return Err(OrderError::Number);
        }
        let serial = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        let key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !(1..=32).contains(&self.serial.len())
            || !self.serial.bytes().all(serial)
            || self.identity.len() != IDENTITY_CHARS
            || !self.identity.starts_with("age1")
            || !self.identity.bytes().all(key)
        {
            return Err(OrderError::Box);
        }
        if !is_day(&self.created) || !is_day(&self.expires) || self.expires < self.created {
            return Err(OrderError::Days);
        }
        Ok(())
    }
}

impl SignedOrder {
    /// Reads one as it travels. Says nothing about the signature.
    ///
    /// # Errors
    /// [`OrderError::Form`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, OrderError> {
        if bytes.len() > MAX_ORDER_JSON_BYTES {
            return Err(OrderError::Form);
        }
        serde_json::from_slice(bytes).map_err(|_| OrderError::Form)
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        [ORDER_CONTEXT, &self.order].concat().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            version: WIRE_VERSION,
            number: 2,
            kind: OrderKind::Decommission,
            serial: "GE-0001".into(),
            identity: format!("age1{}", "q".repeat(58)),
            created: "2026-11-29".into(),
            expires: "2026-12-29".into(),
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written_and_what_breaks_its_rules_is_none() {
        let parse = |order: &Order| Order::parse(&serde_json::to_string(order).unwrap());
        assert_eq!(parse(&order()), Ok(order()));
        let with = |change: fn(&mut Order)| {
            let mut order = order();
            change(&mut order);
            parse(&order).unwrap_err()
        };
        assert_eq!(with(|o| o.version = 2), OrderError::Version);
        assert_eq!(with(|o| o.number = 0), OrderError::Number);
        assert_eq!(with(|o| o.number = u64::MAX), OrderError::Number);
        for serial in ["", "ge-0001", "GE 1", "../X"] {
            assert_eq!(parse(&Order { serial: serial.into(), ..order() }), Err(OrderError::Box), "{serial}");
        }
        for identity in
            ["".to_owned(), "age1".into(), format!("AGE1{}", "Q".repeat(58)), format!("age2{}", "q".repeat(58))]
        {
            assert_eq!(parse(&Order { identity, ..order() }), Err(OrderError::Box));
        }
        assert_eq!(with(|o| o.expires = "2026-11-28".into()), OrderError::Days);
        let text = serde_json::to_string(&order()).unwrap();
        for other in ["erase-all", "Decommission", "decommission "] {
            assert_eq!(Order::parse(&text.replace("decommission", other)), Err(OrderError::Form), "{other}");
        }
        assert_eq!(Order::parse(&text.replace('{', "{\"more\":1,")), Err(OrderError::Form));
        assert_eq!(SignedOrder::from_json(&vec![b' '; MAX_ORDER_JSON_BYTES + 1]), Err(OrderError::Form));
    }

    #[test]
    fn kinds_are_called_alike_everywhere() {
        for kind in [OrderKind::FactoryReset, OrderKind::Decommission] {
            assert_eq!(OrderKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
        assert_eq!(OrderKind::parse(""), None);
    }
}
