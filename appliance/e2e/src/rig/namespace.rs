//! Network namespaces of the rig: the scanner's, the WAN's, and one that has nothing at all.
//!
//! Everything stays on loopback: each namespace has a loopback of its own, so a socket bound in one cannot be reached
//! from another, which is exactly the box's promise. Listening sockets are made inside a namespace by a short-lived
//! thread and handed to the process that serves them, as socket activation does.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};

/// A named network namespace; deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up.
    ///
    /// # Errors
    /// Not root, or no `ip` on this machine.
    pub fn new(name: &str) -> Result<Self> {
        ip(&["netns", "add", name])?;
        let namespace = Self { name: name.to_owned() };
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A socket listening inside this namespace.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let path = self.path();
        let made = std::thread::spawn(move || {
            // Only this thread enters the namespace, and it ends here; the socket stays where it was made.
            enter(&path)?;
            TcpListener::bind(address)
        });
        made.join().unwrap_or_else(|_| Err(io::Error::other("the binding thread panicked")))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

/// Puts the calling thread into the network namespace that `path` stands for.
pub(super) fn enter(path: &Path) -> io::Result<()> {
    Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output().context("cannot run ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
