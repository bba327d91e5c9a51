//! The state did not open (another TPM, words added to the command line, a disk that fails): nothing of the box can run, and there is
//! nothing to judge. The LEDs say so as they say everything, so that a technician does not stand before a dark box.

use std::time::Duration;

use gift_service::Supervisor;
use gift_status::{AttentionLed, Leds, PowerLed, ScannerLed, UplinkLed};

use crate::{error::HealthError, events, leds::LedPanel, settings, signals::Stop};

/// Below the time after which an LED lapses (`config/leds.toml`).
const REFRESH: Duration = Duration::from_secs(1);

/// What a box shows whose state is closed.
const CLOSED: Leds =
    Leds { power: PowerLed::Fault, scanner: ScannerLed::Down, uplink: UplinkLed::Down, attention: AttentionLed::Call };

/// Shows it until asked to stop.
///
/// # Errors
/// The pattern file's.
pub(crate) fn run(leds: &settings::Leds, stop: &Stop) -> Result<(), HealthError> {
    let mut panel = LedPanel::open(leds)?;
    let mut supervisor = Supervisor::new();
    events::state_closed();
    supervisor.ready();
    loop {
        panel.show(CLOSED);
        supervisor.progress();
        if stop.wait(REFRESH) {
            supervisor.stopping();
            panel.dark();
            return Ok(());
        }
    }
}
