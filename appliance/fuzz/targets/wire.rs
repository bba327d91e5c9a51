//! Every message between box and hub, the status records that are made of the same types, and what is signed for boxes.
//!
//! The first byte says which. Asserted: nothing panics; what parses, serialised and parsed again, is the same, and serialises to the
//! same bytes; a manifest that passes its check has no text in it that is not a UID, a name or hexadecimal digits; an update that
//! passes its own is no larger than an archive may be, and an order names a box by what cannot be mistaken for anything else.
#![no_main]

use gift_fuzz::byte;
use gift_wire::{
    EnrolRequest, EnrolResponse, HealthReport, MAX_ARCHIVE_BYTES, Manifest, ObjectId, Order, Receipt, ReleaseItem,
    Sha256Hex, SignedOrder, SignedUpdate, Update,
    status::{DeidStatus, ReceiverStatus, StatusRecord, UplinkStatus},
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let which = byte(&mut data);
    if let Some(signed) = which.checked_sub(FIRST_SIGNED) {
        return for_boxes(signed, data);
    }
    match which % 11 {
        0 => {
            if let Some(manifest) = same::<Manifest>(data) {
                checked(&manifest);
            }
        }
        1 => drop(same::<Receipt>(data)),
        2 => drop(same::<HealthReport>(data)),
        3 => drop(same::<ReleaseItem>(data)),
        4 => drop(again::<EnrolRequest>(data)),
        5 => drop(again::<EnrolResponse>(data)),
        6 => drop(same::<StatusRecord<ReceiverStatus>>(data)),
        9 => drop(same::<StatusRecord<DeidStatus>>(data)),
        10 => drop(same::<StatusRecord<UplinkStatus>>(data)),
        7 => drop(same::<ObjectId>(data)),
        _ => drop(same::<Sha256Hex>(data)),
    }
});

/// First bytes from here on stand for what is signed for boxes.
const FIRST_SIGNED: u8 = 220;

fn for_boxes(which: u8, data: &[u8]) {
    match which % 4 {
        0 => {
            if let Ok(signed) = SignedUpdate::from_json(data) {
                assert!(signed.signed_bytes().ends_with(signed.update.as_bytes()));
                drop(same::<SignedUpdate>(data));
            }
        }
        1 => {
            if let Some(Ok(update)) = std::str::from_utf8(data).ok().map(Update::parse) {
                assert!(update.archive_bytes() <= MAX_ARCHIVE_BYTES && update.parts().all(|(_, part)| part.length > 0));
                drop(same::<Update>(data));
            }
        }
        2 => {
            if let Ok(signed) = SignedOrder::from_json(data) {
                assert!(signed.signed_bytes().ends_with(signed.order.as_bytes()));
                drop(same::<SignedOrder>(data));
            }
        }
        _ => {
            if let Some(Ok(order)) = std::str::from_utf8(data).ok().map(Order::parse) {
                let named = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                assert!(named(&order.serial) && named(&order.identity) && order.number > 0);
                drop(same::<Order>(data));
            }
        }
    }
}

/// For types without equality: the bytes stay the same.
fn again<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<(T, T)> {
    let first: T = serde_json::from_slice(data).ok()?;
    let bytes = serde_json::to_vec(&first).expect("it was parsed");
    let second: T = serde_json::from_slice(&bytes).expect("what was serialised does not parse");
    assert_eq!(bytes, serde_json::to_vec(&second).expect("it was parsed"), "serialised twice, it differs");
    Some((first, second))
}

fn same<T: Serialize + DeserializeOwned + PartialEq>(data: &[u8]) -> Option<T> {
    let (first, second) = again::<T>(data)?;
    assert!(first == second, "serialised and parsed, it is another");
    Some(first)
}

fn checked(manifest: &Manifest) {
    if manifest.check().is_err() {
        return;
    }
    let json = serde_json::to_value(manifest).expect("it was parsed");
    let mut left = vec![&json];
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::String(text) => assert!(
                text.len() <= 64 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')),
                "a manifest passes with free text in it"
            ),
            serde_json::Value::Array(values) => left.extend(values),
            serde_json::Value::Object(fields) => left.extend(fields.values()),
            _ => {}
        }
    }
}
