//! Which network device is at which port.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Waits up to `patience` for a network device whose bus address is `port`; its name.
///
/// # Errors
/// `NotFound` when none came.
pub(crate) fn device_at(devices: &Path, port: &str, patience: Duration) -> io::Result<String> {
    let started = Instant::now();
    loop {
        if let Some(name) = look(devices, port)? {
            return Ok(name);
        }
        if started.elapsed() >= patience {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn look(devices: &Path, port: &str) -> io::Result<Option<String>> {
    for entry in fs::read_dir(devices)? {
        let entry = entry?;
        // Loopback and tunnels have none. A paravirtual device is below the one that has the address.
        let Ok(device) = fs::canonicalize(entry.path().join("device")) else { continue };
        let at =
            |path: &PathBuf| path.iter().any(|part| part.to_str().is_some_and(|part| part.eq_ignore_ascii_case(port)));
        if at(&device)
            && let Some(name) = entry.file_name().to_str()
        {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_port_is_found_by_its_address_whatever_its_name() {
        let sys = tempfile::tempdir().unwrap();
        let class = sys.path().join("class");
        for (name, below) in
            [("eth1", "pci0000:00/0000:00:03.0"), ("eth0", "pci0000:00/0000:00:04.0/virtio2"), ("lo", "")]
        {
            fs::create_dir_all(class.join(name)).unwrap();
            if !below.is_empty() {
                fs::create_dir_all(sys.path().join(below)).unwrap();
                symlink(sys.path().join(below), class.join(name).join("device")).unwrap();
            }
        }
        let found = |port: &str| device_at(&class, port, Duration::ZERO).map_err(|error| error.kind());
        assert_eq!(found("0000:00:03.0").as_deref(), Ok("eth1"));
        assert_eq!(found("0000:00:04.0").as_deref(), Ok("eth0"));
        assert_eq!(found("0000:00:05.0"), Err(io::ErrorKind::NotFound));
        assert_eq!(found("0000:00:0"), Err(io::ErrorKind::NotFound), "no part of an address is one");
    }
}
