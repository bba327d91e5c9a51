//! What the button's watch says in the log: closed words.

use std::time::Duration;

use tracing::{info, warn};

use crate::hold::Asked;

pub(crate) fn gone() {
    warn!("a device with the button is gone");
}

pub(crate) fn pressed() {
    info!("the button is pressed");
}

pub(crate) fn let_go(held: Duration) {
    info!("the button is let go, held for {:.1} s at least", held.as_secs_f64());
}

pub(crate) fn asked(what: Asked) {
    warn!("the button was held: {}", what.name());
}
