//! gift-eraser: takes a signed order to erase this box, destroys the key material of the state, and finishes that at the next boot. Each
//! verb is run by a unit of its own, with no more than it needs.
//!
//! *May touch*: `order`: the orders' drop (takes), its own request below `/run`; no disk. `erase`: the beginning of the state's partition;
//! nothing that came from outside. `finish` (at boot, before the state is opened): the same, and the provisioning's partition.
//! *May not touch*: any network, any image, any key; any other partition.
//! *A compromise yields*: of `order`, an erased box; of the others, the disk's content as it is at rest, and its loss. `order` believes
//! nothing but what a key of the verified image signed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod disk;
mod erase;
mod events;
mod luks;
mod mark;
mod order;
mod partition;
mod request;

use arguments::{Arguments, Verb};
use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::start_log_of("eraser");
    match arguments.verb {
        Verb::Order(options) => order::take(&options),
        Verb::Erase(options) => request::carry_out(&arguments.devices, &options),
        Verb::Finish(options) => request::finish(&arguments.devices, &options),
    }
}
