//! Orders to erase a box: what a box would not read is not signed.

use std::io::Cursor;

use chrono::{Days, NaiveDate};
use gift_wire::{Order, OrderError, OrderKind, SignedOrder, WIRE_VERSION};
use minisign::{PError, PublicKey, SecretKeyBox};

/// Why no order was made.
#[derive(Debug, thiserror::Error)]
pub enum OrderMakeError {
    /// The key file is none.
    #[error("not a signer's key: {0}")]
    Key(#[from] PError),
    /// It does not hold together.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The calendar ends.
    #[error("so many days from now there is no day")]
    Days,
}

/// What an order is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What is to be done.
    pub kind: OrderKind,
    /// Serial of the box.
    pub serial: String,
    /// Its identity's public key.
    pub identity: String,
    /// The order's number.
    pub number: u64,
    /// The day it is made.
    pub today: NaiveDate,
    /// For how many days the box carries it out.
    pub days: u64,
}

/// Signs it with the key whose file says `key`; JSON, as it travels.
///
/// # Errors
/// [`OrderMakeError`].
pub fn make(wanted: Wanted, key: &str) -> Result<Vec<u8>, OrderMakeError> {
    let key = SecretKeyBox::from_string(key)?.into_unencrypted_secret_key()?;
    let order = Order {
        version: WIRE_VERSION,
        number: wanted.number,
        kind: wanted.kind,
        serial: wanted.serial,
        identity: wanted.identity,
        created: wanted.today.to_string(),
        expires: wanted.today.checked_add_days(Days::new(wanted.days)).ok_or(OrderMakeError::Days)?.to_string(),
    };
    order.check()?;
    let order_text = serde_json::to_string(&order).map_err(|_| OrderError::Form)?;
    let mut signed = SignedOrder { order: order_text, signature: String::new() };
    let comment = format!("gift order {} of {}", order.number, order.created);
    let public = PublicKey::from_secret_key(&key)?;
    let document = Cursor::new(signed.signed_bytes());
    signed.signature = minisign::sign(Some(&public), &key, document, Some(&comment), None)?.into_string();
    Ok(serde_json::to_vec(&signed).map_err(|_| OrderError::Form)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_signed_for_one_box_and_one_identity_and_counts_for_nothing_else() {
        let (secret, public) = crate::bundle::policy_key().unwrap();
        let (_, identity) = crate::wrap::box_identity();
        let wanted = Wanted {
            kind: OrderKind::FactoryReset,
            serial: "GE-0001".into(),
            identity: identity.clone(),
            number: 3,
            today: NaiveDate::from_ymd_opt(2026, 11, 29).unwrap(),
            days: 30,
        };
        let signed = SignedOrder::from_json(&make(wanted.clone(), &secret).unwrap()).unwrap();
        let trust = gift_provision::Trust::parse(&public).unwrap();
        assert!(trust.signed(&signed.signed_bytes(), &signed.signature));
        assert!(!trust.signed(signed.order.as_bytes(), &signed.signature), "the context is part of what is signed");
        let order = Order::parse(&signed.order).unwrap();
        assert_eq!((order.number, order.kind, order.expires.as_str()), (3, OrderKind::FactoryReset, "2026-12-29"));
        assert_eq!((order.serial.as_str(), order.identity), ("GE-0001", identity));
        // What no box would take is not signed.
        for wrong in [
            Wanted { serial: "ge".into(), ..wanted.clone() },
            Wanted { identity: "age1x".into(), ..wanted.clone() },
            Wanted { number: 0, ..wanted },
        ] {
            assert!(matches!(make(wrong, &secret), Err(OrderMakeError::Order(_))));
        }
    }
}
