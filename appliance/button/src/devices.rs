//! Input devices of the kernel (evdev): which are there, and what they say. Only their events are read; no device is asked for anything, so
//! no system call is needed but `read`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::OFlag;

/// Bytes of an event (`struct input_event` of a 64-bit system): seconds, microseconds, type, code, value.
const EVENT_BYTES: usize = 24;
/// Events read at once.
const AT_ONCE: usize = 64;
/// Type of what is no change of a key or axis, and its code for "events were lost".
const EV_SYN: u16 = 0;
const SYN_DROPPED: u16 = 3;
/// Type of a key's change.
const EV_KEY: u16 = 1;

/// What of an event matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The key of this code: 0 let go, 1 pressed, 2 repeated.
    Key(u16, i32),
    /// Events were lost.
    Lost,
}

/// The devices that are open, by name.
#[derive(Debug, Default)]
pub(crate) struct Devices(BTreeMap<OsString, File>);

impl Devices {
    /// Opens those that are new in `directory`.
    ///
    /// # Errors
    /// The directory cannot be read. A device that cannot be opened is left for the next time.
    pub(crate) fn find(&mut self, directory: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            // Without an input device there is no directory either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if self.0.contains_key(&name) || !name.as_encoded_bytes().starts_with(b"event") {
                continue;
            }
            let flags = OFlag::O_NONBLOCK.bits();
            if let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(entry.path()) {
                self.0.insert(name, file);
            }
        }
        Ok(())
    }

    /// The open ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsString, &File)> {
        self.0.iter()
    }

    /// What a device said since it was asked last; `None` when it is gone.
    pub(crate) fn said(&mut self, name: &OsString) -> Option<Vec<Event>> {
        let mut file = self.0.get(name)?;
        let (mut events, mut bytes) = (Vec::new(), [0; EVENT_BYTES * AT_ONCE]);
        loop {
            match file.read(&mut bytes) {
                Ok(length) if length > 0 => {
                    events.extend(bytes.get(..length)?.chunks_exact(EVENT_BYTES).filter_map(event))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Its end, or unplugged.
                Ok(_) | Err(_) => {
                    self.0.remove(name);
                    return None;
                }
            }
        }
    }
}

fn event(bytes: &[u8]) -> Option<Event> {
    let short = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let value = i32::from_ne_bytes(bytes.get(20..24)?.try_into().ok()?);
    match (short(16)?, short(18)?) {
        (EV_SYN, SYN_DROPPED) => Some(Event::Lost),
        (EV_KEY, code) => Some(Event::Key(code, value)),
        _ => None,
    }
}
