//! Which boot this is: 32 hexadecimal digits that change with every boot, so that the hub tells a restart of the box from a
//! gap in its reports.

use std::{fs, io};

use gift_spool::ItemId;

/// Where the kernel names the boot.
const KERNEL: &str = "/proc/sys/kernel/random/boot_id";
/// Set by the unit (`%b`), because its view of `/proc` holds processes only.
const ENVIRONMENT: &str = "GIFT_BOOT_ID";

/// The boot's identifier: the unit's, the kernel's, the one of `previous` (an earlier run's record), or a random one.
///
/// # Errors
/// The random source's, when nothing else knows.
pub(crate) fn identifier(previous: Option<&str>) -> io::Result<String> {
    let unit = std::env::var(ENVIRONMENT).ok();
    let kernel = || fs::read_to_string(KERNEL).ok();
    let known = unit.as_deref().and_then(digits).or_else(|| kernel().as_deref().and_then(digits));
    match known.or_else(|| previous.and_then(digits)) {
        Some(boot) => Ok(boot),
        None => Ok(ItemId::random()?.to_string()),
    }
}

/// Version of the box's software: of the image that runs (os-release(5), IMAGE_VERSION), else of this program.
pub(crate) fn software() -> String {
    let release = fs::read_to_string("/usr/lib/os-release").unwrap_or_default();
    let image = release.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION="));
    let image = image.map(|image| image.trim_matches('"')).and_then(gift_wire::ImageVersion::parse);
    image.map_or_else(|| env!("CARGO_PKG_VERSION").to_owned(), |image| image.to_string())
}

/// The digits of a UUID or of an identifier without dashes; `None` for anything else.
fn digits(text: &str) -> Option<String> {
    let bare = text.trim().replace('-', "").to_ascii_lowercase();
    ItemId::parse(&bare).map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_becomes_32_digits_and_nothing_else_is_accepted() {
        assert_eq!(digits("0b5e3F70-1111-4222-8333-444455556666\n").unwrap(), "0b5e3f70111142228333444455556666");
        assert_eq!(digits("host name"), None);
        assert_eq!(identifier(None).unwrap().len(), 32);
    }
}
