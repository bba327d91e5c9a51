//! `gift-hub`: the research side's one process.
//!
//! May touch: its data directory, the sockets it is given or told to bind. May not touch: anything of a box, any network
//! beyond its two listeners (it dials nobody). A compromise yields the de-identified archive, the subject labels and the
//! fleet's states; no pseudonym key and no identity are here to take, and boxes take no order from the hub that is not signed
//! offline.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    gift_hub::events::start_log();
    private_umask();
    gift_hub::admin::run(gift_hub::admin::Cli::parse())
}

/// Everything this process makes is its own user's only.
fn private_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}
