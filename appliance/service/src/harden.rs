//! What a process gives up by itself, whatever the unit says: core dumps, being traced, wide file modes.

use nix::sys::{prctl, resource, stat};

/// Turns core dumps and ptrace attachment by the same uid off, forbids gaining privileges, and sets umask 0027 (posted items
/// must be readable by the drop's group, nothing by others).
///
/// # Errors
/// The system call's error; the process must not go on.
pub fn harden() -> nix::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0)?;
    stat::umask(stat::Mode::from_bits_truncate(0o027));
    Ok(())
}
