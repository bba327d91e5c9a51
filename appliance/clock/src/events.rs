//! What gift-clock says in the log: closed words and numbers.

use std::time::Duration;

use tracing::{info, warn};

use crate::chain::Refusal;

pub(crate) fn moved(by: Duration) {
    warn!(
        "a certificate of the hub is from a later time: the clock was {} s behind it, and is moved there",
        by.as_secs()
    );
}

pub(crate) fn not_behind() {
    info!("a certificate of the hub was handed over, and the clock is not behind it");
}

pub(crate) fn refused(refusal: Refusal) {
    warn!("a certificate chain was refused: {refusal}");
}

pub(crate) fn damaged() {
    warn!("an item of the clock's drop was damaged, and erased");
}

pub(crate) fn foreign() {
    warn!("something that is no item lies in the clock's drop, and cannot be removed");
}
