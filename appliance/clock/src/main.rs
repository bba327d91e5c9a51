//! gift-clock: takes certificate chains that the uplink met and found *not valid yet*, and where one is the hub's, moves the machine's clock
//! forward to the instant from which it is valid.
//!
//! A certificate is a statement about time that the hub's CA signed: when it was made, that instant had come. So it is a floor for a clock that
//! has lost the time (an empty battery, no time server that answers), and it needs no further key, message or trust. The clock never goes
//! back by it.
//!
//! *May touch*: the clock, its drop (takes), the hub's roots (reads). *May not touch*: any network, any image, any key.
//! *A compromise yields*: a wrong clock.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain;
mod events;
mod take;

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser as _;
use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_settime},
};

fn main() -> anyhow::Result<()> {
    let options = take::Options::parse();
    gift_service::start_log_of("clock");
    take::take(&options, take::Clock { now: &SystemTime::now, set: &set })
}

/// Sets the machine's clock (CAP_SYS_TIME).
fn set(to: SystemTime) -> io::Result<()> {
    let since = to.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(since))?)
}
