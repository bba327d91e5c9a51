//! The loop: wait for events, feed them to the hold of their device, ask.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::fd::AsFd as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gift_service::Supervisor;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    devices::{Devices, Event},
    events,
    hold::{Asked, Hold},
    settings::Settings,
};

/// How often new devices are looked for. A hold counts as shorter than it was by twice this at most.
const TICK: Duration = Duration::from_millis(250);

/// Watches until it is killed, or the box starts again.
///
/// # Errors
/// Devices that cannot be listed or waited for, a request that cannot be made.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let mut supervisor = Supervisor::new();
    let (mut devices, mut holds) = (Devices::default(), BTreeMap::<OsString, Hold>::new());
    let mut last_look: Option<Instant> = None;
    // What came before was read.
    let mut after = Instant::now();
    supervisor.ready();
    loop {
        supervisor.progress();
        if last_look.is_none_or(|last| last.elapsed() >= TICK) {
            devices.find(&settings.devices).context("input devices")?;
            last_look = Some(Instant::now());
        }
        let waited_from = Instant::now();
        for name in wait(&devices)? {
            let Some(said) = devices.said(&name) else {
                if holds.remove(&name).is_some() {
                    events::gone();
                }
                continue;
            };
            for event in said {
                match event {
                    Event::Key(code, value) if code == settings.key => {
                        let hold = holds.entry(name.clone()).or_insert_with(|| Hold::new(settings.times()));
                        match (value, hold.held(after)) {
                            (0, Some(held)) => events::let_go(held),
                            (1, _) => events::pressed(),
                            _ => {}
                        }
                        if let Some(asked) = hold.event(value, after, Instant::now()) {
                            ask(&settings.request, asked)?;
                        }
                    }
                    Event::Lost => holds.values_mut().for_each(Hold::lost),
                    Event::Key(..) => {}
                }
            }
        }
        after = waited_from;
    }
}

/// The devices that have something to say, after a while at the latest.
fn wait(devices: &Devices) -> Result<Vec<OsString>> {
    let (names, files): (Vec<_>, Vec<_>) = devices.iter().unzip();
    let mut waiting: Vec<_> = files.iter().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut waiting, PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error).context("cannot wait for input"),
    }
    let speaks = |fd: &PollFd<'_>| fd.any() != Some(false);
    Ok(names.into_iter().zip(&waiting).filter(|(_, fd)| speaks(fd)).map(|(name, _)| name.clone()).collect())
}

/// Makes the request, whole before it has its name. A decommissioning that was asked for stays.
fn ask(request: &Path, asked: Asked) -> Result<()> {
    events::asked(asked);
    if fs::read_to_string(request).is_ok_and(|there| there == Asked::Decommission.name()) {
        return Ok(());
    }
    let part = request.with_extension("part");
    fs::write(&part, asked.name()).context("cannot ask")?;
    fs::rename(&part, request).context("cannot ask")
}
