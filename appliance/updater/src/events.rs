//! What the updater says in the log: closed words and numbers.

use gift_status::{UpdateRefusal, UpdateState};
use tracing::{info, warn};

pub(crate) fn state(serial: u64, state: UpdateState) {
    match state {
        UpdateState::RolledBack => warn!("update {serial}: did not work, the image before it runs"),
        UpdateState::Failed => warn!("update {serial}: could not be written"),
        state => info!("update {serial}: {state:?}"),
    }
}

pub(crate) fn refused(refusal: UpdateRefusal) {
    warn!("an update was refused: {refusal:?}");
}

pub(crate) fn record_set_aside() {
    warn!("the updater's record says what this image does not know, and was set aside");
}

pub(crate) fn damaged() {
    warn!("an item of the update drop was damaged, and erased");
}

pub(crate) fn foreign() {
    warn!("something that is no item lies in the update drop, and cannot be removed");
}

pub(crate) fn status_failed() {
    warn!("the status record cannot be written");
}

pub(crate) fn restarting(quiet: bool) {
    info!("starting again into the new image{}", if quiet { "" } else { ", though a scanner is connected" });
}

pub(crate) fn works(seconds: u64) {
    info!("every process has worked for {seconds} s");
}
