//! How long the button is held: key events in, what is asked for out, when it is let go. Time is an argument, twice: an event came after one moment
//! and was read at another (late, when this process had to wait); what counts is how long it was held at least. The kernel's stamps are not
//! used: they are of a clock that may be set, and were seen to be some seconds wrong (docs/decisions/0016).

use std::time::{Duration, Instant};

/// What the button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Let go after the first time.
    FactoryReset,
    /// Let go after the second.
    Decommission,
}

impl Asked {
    /// What is written into the request; gift-eraser reads it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FactoryReset => "factory-reset",
            Self::Decommission => "decommission",
        }
    }
}

/// How long the button must be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// Then letting go asks for a factory reset.
    pub(crate) reset: Duration,
    /// Then letting go asks for a decommissioning; `None`: the button cannot do that.
    pub(crate) decommission: Option<Duration>,
    /// Nobody holds it for longer than that: it is stuck, and letting go asks for nothing.
    pub(crate) longest: Duration,
}

impl Times {
    fn ask_for(&self, held: Duration) -> Option<Asked> {
        if held > self.longest {
            None
        } else if self.decommission.is_some_and(|enough| held >= enough) {
            Some(Asked::Decommission)
        } else {
            (held >= self.reset).then_some(Asked::FactoryReset)
        }
    }
}

/// The button of one device. Only letting go asks: a driver (gpio-keys) says *pressed* of a button that is stuck whenever it is opened.
#[derive(Debug)]
pub(crate) struct Hold {
    times: Times,
    since: Option<Instant>,
}

impl Hold {
    pub(crate) fn new(times: Times) -> Self {
        Self { times, since: None }
    }

    /// A key event of the button that came after `after` and was read at `now`: `value` is 0 (let go), 1 (pressed), 2 (repeated; says
    /// nothing).
    pub(crate) fn event(&mut self, value: i32, after: Instant, now: Instant) -> Option<Asked> {
        match value {
            0 => {
                let held = self.held(after);
                self.since = None;
                self.times.ask_for(held?)
            }
            // A second press without letting go: that was lost, and with it how long it was held.
            1 => {
                self.since = Some(now);
                None
            }
            _ => None,
        }
    }

    /// For how long it has been held at `now`, at least; `None`: it is not.
    pub(crate) fn held(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.since?))
    }

    /// It is not known any more whether it is held: it is not.
    pub(crate) fn lost(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMES: Times = Times {
        reset: Duration::from_secs(10),
        decommission: Some(Duration::from_secs(30)),
        longest: Duration::from_secs(60),
    };

    /// Plays `(at ms, value)`; what was asked for, and when.
    fn play_with(times: Times, events: &[(u64, i32)]) -> Vec<(u64, Asked)> {
        let (mut hold, start) = (Hold::new(times), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let said = |(when, value): &(u64, i32)| hold.event(*value, at(*when), at(*when)).map(|what| (*when, what));
        events.iter().filter_map(said).collect()
    }

    fn play(events: &[(u64, i32)]) -> Vec<(u64, Asked)> {
        play_with(TIMES, events)
    }

    #[test]
    fn a_short_touch_does_nothing_and_letting_go_after_ten_seconds_resets() {
        assert_eq!(play(&[(1_000, 1), (1_200, 0)]), []);
        assert_eq!(play(&[(1_000, 1), (10_999, 0)]), []);
        assert_eq!(play(&[(1_000, 1), (11_000, 0)]), [(11_000, Asked::FactoryReset)]);
        assert_eq!(play(&[(1_000, 1), (13_000, 0)]), [(13_000, Asked::FactoryReset)]);
        // Time held does not add up.
        assert_eq!(play(&[(0, 1), (6_000, 0), (6_100, 1), (12_100, 0), (12_200, 1), (21_000, 0)]), []);
    }

    #[test]
    fn held_on_it_decommissions_when_it_is_let_go_and_only_where_that_is_set() {
        assert_eq!(play(&[(1_000, 1)]), [], "stuck, from the start or since: nothing, for ever");
        assert_eq!(play(&[(1_000, 1), (30_900, 0)]), [(30_900, Asked::FactoryReset)]);
        assert_eq!(play(&[(1_000, 1), (31_000, 0)]), [(31_000, Asked::Decommission)]);
        assert_eq!(play(&[(1_000, 1), (61_000, 0)]), [(61_000, Asked::Decommission)]);
        assert_eq!(play(&[(1_000, 1), (61_001, 0)]), [], "stuck, and mended");
        let never = Times { decommission: None, ..TIMES };
        assert_eq!(play_with(never, &[(0, 1), (50_000, 0)]), [(50_000, Asked::FactoryReset)]);
    }

    #[test]
    fn repeats_say_nothing_and_a_button_that_was_stuck_before_is_not_pressed() {
        let repeats = |from: u64, to: u64| (from..to).step_by(30).map(|ms| (ms, 2));
        assert_eq!(play(&repeats(0, 60_000).collect::<Vec<_>>()), []);
        let mut stuck: Vec<_> = repeats(0, 20_000).collect();
        stuck.push((20_000, 0));
        assert_eq!(play(&stuck), []);
        let mut held = vec![(0, 1)];
        held.extend(repeats(250, 12_000));
        held.push((12_000, 0));
        assert_eq!(play(&held), [(12_000, Asked::FactoryReset)]);
    }

    #[test]
    fn what_is_not_known_any_more_does_not_count() {
        let (mut hold, start) = (Hold::new(TIMES), Instant::now());
        let minute = start + Duration::from_secs(60);
        hold.event(1, start, start);
        hold.lost();
        assert_eq!(hold.event(0, minute, minute), None);
        // A touch, whose end, or all of it, was read a minute late.
        hold.event(1, start, start);
        assert_eq!(hold.event(0, start, minute), None);
        hold.event(1, start, minute);
        assert_eq!(hold.event(0, start, minute), None);
        hold.event(1, start, start);
        assert_eq!(hold.event(0, minute, minute), Some(Asked::Decommission));
        // Letting go was lost: the second press begins anew.
        assert_eq!(play(&[(0, 1), (9_000, 1), (12_000, 0)]), []);
    }

    proptest! {
        /// Whatever comes, nothing is asked for without a press that was held for the first time at least.
        #[test]
        fn no_sequence_of_short_touches_asks_for_anything(touches in proptest::collection::vec((1_u64..9_999, 1_u64..5_000, 0_i32..5), 0..20)) {
            let (mut events, mut now) = (Vec::new(), 0);
            for (held, pause, value) in touches {
                events.extend([(now, 1), (now + held / 2, if value == 1 { 2 } else { value }), (now + held, 0)]);
                now += held + pause;
            }
            prop_assert_eq!(play(&events), []);
        }
    }
}
