//! Takes orders from the drop. One that is right stays there until it is carried out with everything else: a power cut between
//! the two has the next boot take it again. What is not right is erased.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result};
use chrono::Utc;
use clap::Args;
use gift_provision::Trust;
use gift_spool::{Collector, Limits, SpoolError};
use gift_wire::{MAX_ORDER_JSON_BYTES, Order, SignedOrder};
use nix::unistd::User;

use crate::events;

/// The drop's own record beside an order, bytes.
const MARGIN_BYTES: u64 = 64 << 10;
/// So long an order that is right keeps this running: the unit that starts us would do so again at once.
const WAIT: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 120 });

/// Where things are.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The drop that the uplink posts orders into.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/orders/inbox")]
    inbox: PathBuf,
    /// Where its damaged items go.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/orders/set-aside")]
    set_aside: PathBuf,
    /// The account that posts there.
    #[arg(long, value_name = "NAME", default_value = "gift-uplink")]
    writer: String,
    /// Public keys of those who may sign an order.
    #[arg(long, value_name = "FILE", default_value = "/usr/share/gift/trust/order.pub")]
    trust: PathBuf,
    /// What gift-provision says of this box: `serial` and `identity`.
    #[arg(long, value_name = "DIR", default_value = "/run/gift/box")]
    this_box: PathBuf,
    /// Made when an order is right: what it asks for (gift-erase.path waits for it).
    #[arg(long, value_name = "FILE", default_value = "/run/gift/eraser/request")]
    request: PathBuf,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not the form of one.
    #[error("it is none")]
    Form,
    /// No trusted key signed it.
    #[error("no trusted key signed it")]
    Signature,
    /// Of another serial.
    #[error("it is for another box")]
    Box,
    /// Of another identity.
    #[error("it is for another identity of this box")]
    Identity,
    /// Too late.
    #[error("its last day has passed")]
    Expired,
}

/// Which box this is.
#[derive(Debug)]
struct ThisBox {
    serial: String,
    identity: String,
}

/// Takes the orders in the drop, and asks for what the first one that is right says.
///
/// # Errors
/// What keeps it from knowing: trust, this box's names, the drop. A bad order is no error.
pub(crate) fn take(options: &Options) -> Result<()> {
    let asked = round(options);
    if fs::read_dir(&options.inbox).is_ok_and(|mut entries| entries.next().is_some()) {
        thread::sleep(WAIT);
    }
    asked
}

fn round(options: &Options) -> Result<()> {
    let trust = Trust::parse(&fs::read_to_string(&options.trust).context("trusted keys")?)?;
    let said =
        |name: &str| fs::read_to_string(options.this_box.join(name)).with_context(|| format!("this box's {name}"));
    let this = ThisBox { serial: said("serial")?, identity: said("identity")? };
    let writer = User::from_name(&options.writer)?.with_context(|| format!("no account {}", options.writer))?;
    if gift_spool::clear_foreign(&options.inbox).context("orders' drop")? > 0 {
        events::foreign();
    }
    let limits = Limits { max_item_bytes: MAX_ORDER_JSON_BYTES as u64 + MARGIN_BYTES, ..Limits::default() };
    let drop = Collector::open(&options.inbox, &options.set_aside, &[writer.uid.as_raw()])?.with_limits(limits);
    for id in drop.scan()? {
        let mut bytes = Vec::new();
        match drop.take_into(&id, &mut bytes) {
            Ok(_) => match believed(&bytes, &trust, &this, &Utc::now().format("%Y-%m-%d").to_string()) {
                Ok(order) => {
                    events::accepted(order.number, order.kind);
                    // Whole before it has its name.
                    let part = options.request.with_extension("part");
                    fs::write(&part, order.kind.name()).context("cannot ask")?;
                    return fs::rename(&part, &options.request).context("cannot ask");
                }
                Err(refusal) => events::refused(refusal),
            },
            Err(SpoolError::Damaged | SpoolError::Gone) => events::damaged(),
            Err(error) => return Err(error.into()),
        }
        drop.finish(&id)?;
        drop.sync()?;
    }
    Ok(())
}

/// The order in `json`, if it counts for this box today.
fn believed(json: &[u8], trust: &Trust, this: &ThisBox, today: &str) -> Result<Order, Refusal> {
    let signed = SignedOrder::from_json(json).map_err(|_| Refusal::Form)?;
    if !trust.signed(&signed.signed_bytes(), &signed.signature) {
        return Err(Refusal::Signature);
    }
    let order = Order::parse(&signed.order).map_err(|_| Refusal::Form)?;
    if order.serial != this.serial.trim() {
        return Err(Refusal::Box);
    }
    if order.identity != this.identity.trim() {
        return Err(Refusal::Identity);
    }
    if today > order.expires.as_str() {
        return Err(Refusal::Expired);
    }
    Ok(order)
}

#[cfg(test)]
mod tests;
