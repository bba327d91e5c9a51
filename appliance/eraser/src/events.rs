//! What the eraser says in the log: closed words and numbers.

use gift_wire::OrderKind;
use tracing::{error, info, warn};

use crate::order::Refusal;

pub(crate) fn accepted(number: u64, kind: OrderKind) {
    warn!("order {number} is right: {}", kind.name());
}

pub(crate) fn refused(refusal: Refusal) {
    warn!("an order was refused: {refusal}");
}

pub(crate) fn damaged() {
    warn!("an item of the orders' drop was damaged, and erased");
}

pub(crate) fn foreign() {
    warn!("something that is no item lies in the orders' drop, and cannot be removed");
}

pub(crate) fn begins(kind: OrderKind) {
    warn!("{}: the state is being erased", kind.name());
}

pub(crate) fn begun(kind: OrderKind) {
    warn!("{}: the keys of the state are destroyed; starting again", kind.name());
}

pub(crate) fn left_to_boot(error: &std::io::Error) {
    error!("not everything could be overwritten, the next boot does it: {error}");
}

pub(crate) fn finished(kind: OrderKind) {
    warn!("{}: the state is erased, a new one can be made", kind.name());
}

pub(crate) fn nothing_to_finish() {
    info!("no erasing was begun");
}
