//! Everything this process may log. Values are random identifiers, counts, closed words and the settings' own text: no
//! value of a data set, no answer of the hub in its own words.

use gift_signer::ClientError;
use gift_status::{HoldReason, HubLink, Process, UploadFailure};

use crate::{error::UplinkError, key::Key};

/// Starts the log.
pub(crate) fn start() {
    gift_service::start_log(Process::Uplink);
}

/// The process serves; so many objects were waiting from before.
pub(crate) fn started(queued: usize, refused: usize) {
    tracing::info!(queued, refused, "uplink started");
}

/// The process ends on request.
pub(crate) fn stopping(uploads_in_flight: usize) {
    tracing::info!(uploads_in_flight, "uplink stopping");
}

/// The process ends because of an error.
pub(crate) fn failed(error: &UplinkError) {
    tracing::error!(%error, "uplink ends");
}

/// The ledger was damaged; a new one is made from the queue.
pub(crate) fn ledger_rebuilt() {
    tracing::error!("ledger damaged: moved aside, rebuilding it from the queue");
}

/// The hub is found in another way than before.
pub(crate) fn hub_link(link: HubLink) {
    match link {
        HubLink::Connected => tracing::info!("hub reached"),
        HubLink::Unreachable => tracing::warn!("hub not reached"),
        HubLink::Intercepted => {
            tracing::error!("network path intercepted: the hub's certificate is not from a pinned root");
        }
        HubLink::Unknown => {}
    }
}

/// An update of the hub lies in the updater's drop.
pub(crate) fn update_handed_over(bytes: usize) {
    tracing::info!(bytes, "system update handed over");
}

/// What came from the hub is not the archive that its update names.
pub(crate) fn update_damaged() {
    tracing::warn!("a system update was damaged on its way, and is fetched again");
}

/// The hub had more to download than a day may have.
pub(crate) fn updates_too_large() {
    tracing::error!("more system updates than a day may have: none is fetched before the day has passed");
}

/// A policy bundle of the hub lies in deid's drop.
pub(crate) fn policy_handed_over(bytes: usize) {
    tracing::info!(bytes, "policy bundle handed over");
}

/// An order of the hub lies in the eraser's drop.
pub(crate) fn order_handed_over(bytes: usize) {
    tracing::info!(bytes, "order handed over");
}

/// One attempt failed.
pub(crate) fn attempt_failed(key: Key, reason: UploadFailure, status: Option<u16>) {
    tracing::debug!(object = %key, %reason, status, "upload attempt failed");
}

/// The hub refused an object.
pub(crate) fn object_refused(key: Key, status: u16) {
    tracing::warn!(object = %key, status, "object refused by the hub: kept, offered again later");
}

/// The hub took an object but keeps it apart.
pub(crate) fn object_isolated(key: Key, reason: HoldReason) {
    tracing::warn!(object = %key, %reason, "object isolated by the hub");
}

/// The receipt of an object did not match.
pub(crate) fn receipt_mismatch(key: Key) {
    tracing::warn!(object = %key, "receipt missing or not for this object");
}

/// The hub refused our certificate.
pub(crate) fn certificate_refused() {
    tracing::error!("device certificate refused by the hub");
}

/// A certificate was had.
pub(crate) fn enrolled() {
    tracing::info!("enrolled: device certificate stored");
}

/// Enrolment did not succeed.
pub(crate) fn enrolment_failed(reason: UploadFailure) {
    tracing::warn!(%reason, "enrolment attempt failed");
}

/// The settings name a signer, and the box has a device key in a file from before.
pub(crate) fn file_key_kept() {
    tracing::warn!("the device key is in a file from before and stays there: the signer is not used");
}

/// The signer gave no key or no signature.
pub(crate) fn signer_failed(error: &ClientError) {
    tracing::error!(%error, "no signature of the device key");
}

/// There is no token to enrol with.
pub(crate) fn no_token() {
    tracing::warn!("no certificate and no enrolment token");
}

/// The hub's answer to the enrolment holds no certificate for our key.
pub(crate) fn certificate_unusable() {
    tracing::error!("the hub's answer to the enrolment holds no certificate for this device key");
}

/// The certificate should be renewed.
pub(crate) fn renewal_due() {
    tracing::info!("two thirds of the device certificate's validity are over: renewing");
}

/// An outbox item was damaged.
pub(crate) fn damaged_item(item: &str) {
    tracing::error!(item, "damaged item in the outbox: set aside");
}

/// An original whose copy is queued could not be erased yet.
pub(crate) fn original_stays(item: &str) {
    tracing::warn!(item, "outbox item taken but not erased yet");
}

/// A health report was sent but stays in its slot.
pub(crate) fn report_stays() {
    tracing::warn!("sent health report not erased");
}

/// A queued object was damaged on this disk.
pub(crate) fn damaged_object(key: Key) {
    tracing::error!(object = %key, "queued object damaged on this disk: set aside");
}

/// A queued object could not be read now.
pub(crate) fn object_unread(key: Key) {
    tracing::error!(object = %key, "queued object cannot be read: tried again later");
}

/// A queue file had no row.
pub(crate) fn orphan_queued(key: Key) {
    tracing::warn!(object = %key, "queue file without a ledger row: queued again");
}

/// A row had no file.
pub(crate) fn row_without_file(key: Key) {
    tracing::error!(object = %key, "ledger row without its file");
}

/// A chain that is not valid yet is in the clock's drop.
pub(crate) fn early_handed_over() {
    tracing::warn!("the hub's certificate is not valid yet by this machine's clock: handed over to gift-clock");
}

/// No room to take more.
pub(crate) fn disk_full() {
    tracing::error!("no room in the queue: objects stay in the outbox");
}

/// The status record could not be written.
pub(crate) fn status_failed() {
    tracing::warn!("status record not written");
}

/// Part of the process shows no sign of life: the watchdog is no longer fed.
pub(crate) fn hangs(part: &'static str) {
    tracing::error!(part, "no sign of life");
}
