//! Drives the LEDs: `/sys/class/leds/<name>/` or a directory of plain files.
//!
//! [`LedPanel::show`] is called with every verdict and writes only what differs from what the LED shows *now*, so it repairs
//! an LED that someone else set, and a blink is not restarted every second.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use gift_status::Leds;

use crate::{
    error::HealthError,
    events,
    patterns::{Light, Patterns, Shown},
    settings::{self, LedKind},
};

/// The four LEDs.
#[derive(Debug)]
pub(crate) struct LedPanel {
    kind: LedKind,
    /// Power, scanner, uplink, attention.
    paths: [PathBuf; 4],
    patterns: Patterns,
    failing: BTreeSet<PathBuf>,
    failures_total: u64,
}

impl LedPanel {
    /// The LEDs that the settings name.
    ///
    /// # Errors
    /// The pattern file's; a missing LED is none.
    pub(crate) fn open(settings: &settings::Leds) -> Result<Self, HealthError> {
        let names = [&settings.power, &settings.scanner, &settings.uplink, &settings.attention];
        Ok(Self {
            kind: settings.kind,
            paths: names.map(|name| settings.directory.join(name)),
            patterns: Patterns::load(&settings.patterns)?,
            failing: BTreeSet::new(),
            failures_total: 0,
        })
    }

    /// Makes the LEDs show `leds`.
    pub(crate) fn show(&mut self, leds: Leds) {
        let shown = self.patterns.shown(leds);
        self.set_all(&shown);
    }

    /// Makes all LEDs dark: nobody judges any more.
    pub(crate) fn dark(&mut self) {
        let shown = [(); 4].map(|()| Shown { light: Light::Off, pattern: "off".to_owned(), word: "unattended" });
        self.set_all(&shown);
    }

    /// Settings that failed since the start.
    pub(crate) fn failures_total(&self) -> u64 {
        self.failures_total
    }

    fn set_all(&mut self, shown: &[Shown; 4]) {
        for (path, shown) in self.paths.iter().zip(shown) {
            let set = match self.kind {
                LedKind::Sysfs => set_sysfs(path, shown.light),
                LedKind::Plain => set_plain(path, shown),
            };
            match set {
                Ok(()) => _ = self.failing.remove(path),
                Err(error) => {
                    self.failures_total += 1;
                    if self.failing.insert(path.clone()) {
                        events::led_failed(path, &error);
                    }
                }
            }
        }
    }
}

/// Sets an LED of the kernel's LED class (Documentation/leds/leds-class.rst). The trigger `timer` makes `delay_on` and
/// `delay_off` appear; udev gives them to this process a moment later, so a first failure there heals with the next call.
fn set_sysfs(led: &Path, light: Light) -> io::Result<()> {
    let (trigger, values) = match light {
        Light::Off => ("none", vec![("brightness", "0".to_owned())]),
        Light::On => ("none", vec![("brightness", read(&led.join("max_brightness"))?)]),
        Light::Blink { on_ms, off_ms } => {
            ("timer", vec![("delay_on", on_ms.to_string()), ("delay_off", off_ms.to_string())])
        }
    };
    // `trigger` lists all triggers, the active one in brackets.
    let active = format!("[{trigger}]");
    if !read(&led.join("trigger"))?.split_whitespace().any(|word| word == active) {
        fs::write(led.join("trigger"), trigger)?;
    }
    for (name, value) in values {
        let path = led.join(name);
        if read(&path)? != value {
            fs::write(path, value)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

/// Writes `<pattern> <word>` to a plain file, whole.
fn set_plain(led: &Path, shown: &Shown) -> io::Result<()> {
    let text = format!("{} {}\n", shown.pattern, shown.word);
    if fs::read_to_string(led).is_ok_and(|now| now == text) {
        return Ok(());
    }
    let part = led.with_extension("part");
    fs::write(&part, text)?;
    fs::rename(part, led)
}

#[cfg(test)]
mod tests {
    use gift_status::{AttentionLed, PowerLed, ScannerLed, UplinkLed};

    use super::*;
    use crate::patterns::tests::SHIPPED;

    const GOOD: Leds = Leds {
        power: PowerLed::Ready,
        scanner: ScannerLed::Idle,
        uplink: UplinkLed::Connected,
        attention: AttentionLed::None,
    };

    fn panel(root: &Path, kind: LedKind) -> LedPanel {
        fs::write(root.join("leds.toml"), SHIPPED).unwrap();
        LedPanel::open(&settings::Leds {
            kind,
            directory: root.to_owned(),
            patterns: root.join("leds.toml"),
            power: "power".into(),
            scanner: "scanner".into(),
            uplink: "uplink".into(),
            attention: "attention".into(),
        })
        .unwrap()
    }

    #[test]
    fn a_plain_directory_holds_pattern_and_word() {
        let root = tempfile::tempdir().unwrap();
        let mut panel = panel(root.path(), LedKind::Plain);
        panel.show(Leds { scanner: ScannerLed::Receiving, ..GOOD });
        let text = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!((text("power"), text("scanner")), ("steady ready\n".into(), "flicker receiving\n".into()));
        assert_eq!((text("uplink"), text("attention")), ("steady connected\n".into(), "off none\n".into()));
        panel.dark();
        assert_eq!(text("power"), "off unattended\n");
        assert_eq!(panel.failures_total(), 0);
    }

    /// Files as the LED class shows them; the kernel's own behaviour is for the virtual machine tests.
    #[test]
    fn sysfs_files_get_trigger_times_and_full_brightness_and_are_repaired() {
        let root = tempfile::tempdir().unwrap();
        let led = |name: &str, file: &str| root.path().join(name).join(file);
        for name in ["power", "scanner", "uplink"] {
            fs::create_dir(root.path().join(name)).unwrap();
            for (file, text) in [
                ("trigger", "none [mmc0] timer\n"),
                ("brightness", "0\n"),
                ("max_brightness", "31\n"),
                ("delay_on", "500\n"),
                ("delay_off", "500\n"),
            ] {
                fs::write(led(name, file), text).unwrap();
            }
        }
        let mut panel = panel(root.path(), LedKind::Sysfs);
        panel.show(Leds { power: PowerLed::Fault, ..GOOD });
        let text = |name: &str, file: &str| fs::read_to_string(led(name, file)).unwrap();
        assert_eq!((text("power", "trigger"), text("power", "delay_on")), ("timer".into(), "125".into()));
        assert_eq!((text("scanner", "trigger"), text("scanner", "brightness")), ("none".into(), "31".into()));
        assert_eq!(panel.failures_total(), 1, "the missing attention LED is counted and stops nothing");

        fs::write(led("scanner", "trigger"), "[none] timer").unwrap();
        fs::write(led("scanner", "brightness"), "0").unwrap();
        panel.show(GOOD);
        assert_eq!((text("scanner", "trigger"), text("scanner", "brightness")), ("[none] timer".into(), "31".into()));
    }
}
