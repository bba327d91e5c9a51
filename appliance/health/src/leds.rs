//! Drives the LEDs: `/sys/class/leds/<name>/` or a directory of plain files.
//!
//! [`LedPanel::show`] is called with every verdict. In the kernel's LED class it writes what is to be shown for the next seconds
//! and then what an unattended LED shows (`[lapsed]` in `leds.toml`): *ready* lapses by itself when this process is dead, stopped or
//! stuck. Phases are those of one clock, so a blink goes on where it was however often it is refreshed.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
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
    directory: PathBuf,
    /// Power, scanner, uplink, attention, as the settings name them.
    names: [String; 4],
    patterns: Patterns,
    /// The clock of all phases.
    began: Instant,
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
            directory: settings.directory.clone(),
            names: names.map(Clone::clone),
            patterns: Patterns::load(&settings.patterns)?,
            began: Instant::now(),
            failing: BTreeSet::new(),
            failures_total: 0,
        })
    }

    /// Makes the LEDs show `leds`.
    pub(crate) fn show(&mut self, leds: Leds) {
        let (shown, lapsed) = (self.patterns.shown(leds), self.patterns.lapsed().lit);
        self.set_all(&shown, lapsed);
    }

    /// Makes all LEDs dark, for good: nobody judges any more, and that in order (the box restarts, say). A lapsed light would call somebody.
    pub(crate) fn dark(&mut self) {
        let shown = [(); 4].map(|()| Shown { light: Light::Off, pattern: "off".to_owned(), word: "unattended" });
        self.set_all(&shown, [false; 4]);
    }

    /// Settings that failed since the start.
    pub(crate) fn failures_total(&self) -> u64 {
        self.failures_total
    }

    /// `lapsed`: what each is when this is not called again.
    fn set_all(&mut self, shown: &[Shown; 4], lapsed: [bool; 4]) {
        let after_ms = self.patterns.lapsed().after_ms;
        let at_ms = self.began.elapsed().as_millis();
        for ((name, shown), lit) in self.names.iter().zip(shown).zip(lapsed) {
            let path = &named(&self.directory, name);
            let set = match self.kind {
                LedKind::Sysfs => set_sysfs(path, &phases(shown.light, at_ms, after_ms, lit)),
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

/// The LED of this name; of `*` and an end, the one of that name, or else the first one that ends so: a driver says before it what
/// and where it is, and the kernel numbers some in the order in which it found them.
fn named(directory: &Path, name: &str) -> PathBuf {
    let Some(end) = name.strip_prefix('*') else { return directory.join(name) };
    let plain = directory.join(end);
    if plain.exists() {
        return plain;
    }
    let ends = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end));
    let found = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).filter(ends).min();
    found.unwrap_or(plain)
}

/// What an LED shows from `at_ms` of the panel's clock on: (lit, ms), for `lapse_ms` in all, and then `lapsed`, which stays.
fn phases(light: Light, at_ms: u128, lapse_ms: u32, lapsed: bool) -> Vec<(bool, u32)> {
    let mut phases = Vec::new();
    match light {
        Light::Off => phases.push((false, lapse_ms)),
        Light::On => phases.push((true, lapse_ms)),
        Light::Blink { on_ms, off_ms } => {
            // Below a period, which is two u32.
            let mut into = u64::try_from(at_ms % (u128::from(on_ms) + u128::from(off_ms))).unwrap_or(0);
            let mut left = lapse_ms;
            for (lit, ms) in [(true, on_ms), (false, off_ms)].into_iter().cycle() {
                let rest = u32::try_from(u64::from(ms).saturating_sub(into)).unwrap_or(0).min(left);
                into = into.saturating_sub(u64::from(ms));
                if rest > 0 {
                    phases.push((lit, rest));
                }
                left -= rest;
                if left == 0 {
                    break;
                }
            }
        }
    }
    phases.push((lapsed, 100));
    phases
}

/// Sets an LED of the kernel's LED class by its trigger `pattern` (Documentation/ABI/testing/sysfs-class-led-trigger-pattern): pairs of
/// brightness and ms, a step being the same brightness for a time and for none; played once. The trigger's files appear when it is
/// chosen, and udev gives them to this process a moment later, so a first failure there heals with the next call.
fn set_sysfs(led: &Path, phases: &[(bool, u32)]) -> io::Result<()> {
    // `trigger` lists all triggers, the active one in brackets.
    if !read(&led.join("trigger"))?.split_whitespace().any(|word| word == "[pattern]") {
        fs::write(led.join("trigger"), "pattern")?;
    }
    let full = read(&led.join("max_brightness"))?;
    let steps: Vec<String> = phases
        .iter()
        .map(|(lit, ms)| {
            let brightness = if *lit { &full } else { "0" };
            format!("{brightness} {ms} {brightness} 0")
        })
        .collect();
    fs::write(led.join("pattern"), steps.join(" "))?;
    // A pattern that came to its end has used its repetition up, though `repeat` still shows 1; to write it starts the pattern anew.
    fs::write(led.join("repeat"), "1")
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

    /// Files as the LED class shows them; the kernel's own behaviour is for the machine tests (hw-tests/test_leds.py).
    #[test]
    fn sysfs_files_get_a_pattern_that_lapses() {
        let root = tempfile::tempdir().unwrap();
        let led = |name: &str, file: &str| root.path().join(name).join(file);
        for name in ["power", "scanner", "uplink"] {
            fs::create_dir(root.path().join(name)).unwrap();
            for (file, text) in [("trigger", "none [mmc0] pattern\n"), ("max_brightness", "31\n"), ("repeat", "-1\n")] {
                fs::write(led(name, file), text).unwrap();
            }
        }
        let mut panel = panel(root.path(), LedKind::Sysfs);
        panel.show(Leds { power: PowerLed::Fault, ..GOOD });
        let text = |name: &str, file: &str| fs::read_to_string(led(name, file)).unwrap();
        assert_eq!((text("power", "trigger"), text("power", "repeat")), ("pattern".into(), "1".into()));
        assert_eq!(text("scanner", "pattern"), "31 8000 31 0 0 100 0 0");
        let first = text("power", "pattern").split(' ').nth(1).unwrap().parse::<u32>().unwrap();
        assert!((100..=125).contains(&first), "the rest of the first 125 ms");
        assert_eq!(panel.failures_total(), 1, "the missing attention LED is counted and stops nothing");
        fs::create_dir(root.path().join("attention")).unwrap();
        for (file, text) in [("trigger", "none [pattern]\n"), ("max_brightness", "1\n")] {
            fs::write(led("attention", file), text).unwrap();
        }
        panel.show(GOOD);
        assert_eq!(text("attention", "pattern"), "0 8000 0 0 1 100 1 0", "nobody watches: lit");
        panel.dark();
        assert_eq!(text("attention", "pattern"), "0 8000 0 0 0 100 0 0", "ended in order: dark");
    }

    #[test]
    fn an_led_that_the_kernel_numbers_is_found_by_its_end() {
        let root = tempfile::tempdir().unwrap();
        for name in ["input7::capslock", "input7::numlock", "input8::numlock", "apu:green:uplink", "uplink"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(named(root.path(), "*::numlock"), root.path().join("input7::numlock"));
        assert_eq!(named(root.path(), "*::scrolllock"), root.path().join("::scrolllock"));
        assert_eq!(named(root.path(), "*uplink"), root.path().join("uplink"));
        assert_eq!(named(root.path(), "*green:uplink"), root.path().join("apu:green:uplink"));
        assert_eq!(named(root.path(), "power"), root.path().join("power"));
    }

    #[test]
    fn a_blink_goes_on_where_it_was_and_ends_with_the_lapsed_light() {
        let blink = Light::Blink { on_ms: 80, off_ms: 2920 };
        for at_ms in [0, 1, 79, 80, 81, 2_999, 3_000, 1_000_000_000_079] {
            let phases = phases(blink, at_ms, 8_000, true);
            assert_eq!(phases.last(), Some(&(true, 100)));
            let shown = &phases[..phases.len() - 1];
            assert_eq!(shown.iter().map(|(_, ms)| *ms).sum::<u32>(), 8_000);
            let mut now = at_ms;
            for (lit, ms) in shown {
                for tick in [now, now + u128::from(*ms) - 1] {
                    assert_eq!(*lit, tick % 3_000 < 80, "at {tick} of {at_ms}");
                }
                now += u128::from(*ms);
            }
        }
        assert_eq!(super::phases(Light::Off, 7, 8_000, true), [(false, 8_000), (true, 100)]);
    }

    /// The kernel takes one page.
    #[test]
    fn the_longest_pattern_fits_a_page() {
        let phases = phases(Light::Blink { on_ms: 50, off_ms: 50 }, 1, 9_000, false);
        assert!(phases.len() * "255 50 255 0 ".len() < 4096, "{}", phases.len());
    }
}
