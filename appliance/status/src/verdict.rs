//! One verdict, computed in one place: LEDs and fleet page show the same words.

use serde::{Deserialize, Serialize};

use crate::{
    DeidStatus, EnrolmentState, HubLink, ReceiverStatus, RunState, StatusRecord, UpdateState, UpdaterStatus,
    UplinkStatus,
};

/// A record older than this means that its process no longer lives: three times the publishing interval of 3 s.
pub const STALE_AFTER_MS: u64 = 9_000;

/// Ordinal of the canary among the receiver's scanners: what it sends says nothing about a scanner.
pub const CANARY_SCANNER: u16 = u16::MAX;

/// Instances accepted within this time count as "receiving".
const RECEIVING_WITHIN_MS: u64 = 5_000;

/// What `health` knows when it judges.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// Now, ms since the Unix epoch.
    pub now_ms: u64,
    /// The receiver's record, if it could be read.
    pub receiver: Option<&'a StatusRecord<ReceiverStatus>>,
    /// The de-identifier's record.
    pub deid: Option<&'a StatusRecord<DeidStatus>>,
    /// The uplink's record.
    pub uplink: Option<&'a StatusRecord<UplinkStatus>>,
    /// The updater's record, if there is one; it does not age.
    pub updater: Option<&'a StatusRecord<UpdaterStatus>>,
    /// The state disk.
    pub disk: DiskState,
    /// What is asked of the canary; without it, nothing is.
    pub canary: Option<CanaryRule>,
    /// For how long the judge has watched, ms, by a clock that nobody sets.
    pub watched_ms: u64,
    /// A process of which nothing was heard yet is starting until the judge has watched for so long, ms; then it is down.
    pub start_within_ms: u64,
    /// Which processes were started again and again of late.
    pub unstable: Unstable,
    /// The judge's own settings cannot be used: those of the image stand in for them.
    pub settings_refused: bool,
    /// The machine has no hardware watchdog, and is to have one.
    pub no_watchdog: bool,
    /// The scanner's port has no address that works: no cable, no lease, no port at all.
    pub no_scanner_network: bool,
}

/// Processes that were started again and again of late: between two deaths each looks alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unstable {
    /// The receiver.
    pub receiver: bool,
    /// The de-identifier.
    pub deid: bool,
    /// The uplink.
    pub uplink: bool,
}

/// What is asked of the canary, the synthetic patient that goes the whole way to the hub each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanaryRule {
    /// The hub must have been content with one within this time, ms.
    pub longest_age_ms: u64,
    /// The first one may take so long, ms; until then the box is starting.
    pub first_within_ms: u64,
}

/// How full the state disk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskState {
    /// Bytes free to unprivileged processes.
    pub free_bytes: u64,
    /// Size of the file system, bytes.
    pub total_bytes: u64,
    /// Below this, the receiver refuses instances.
    pub reserve_bytes: u64,
}

/// The verdict's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// Works.
    Ok,
    /// Coming up.
    Starting,
    /// Works, but a person should look.
    Attention,
    /// Does not do its job.
    Fault,
}

/// Why the verdict is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The receiver does not report, or is started again and again.
    ReceiverDown,
    /// The de-identifier does not report, or is started again and again.
    DeidDown,
    /// The uplink does not report, or is started again and again.
    UplinkDown,
    /// A store failed and is being re-verified.
    StoreDegraded,
    /// The disk is short: instances are refused.
    DiskFull,
    /// Less than twice the reserve is free.
    DiskLow,
    /// The hub cannot be reached.
    HubUnreachable,
    /// The network path to the hub is intercepted.
    PathIntercepted,
    /// Not enrolled yet.
    NotEnrolled,
    /// The device certificate is expired or revoked.
    EnrolmentRefused,
    /// Objects stand in quarantine.
    ObjectsHeld,
    /// The hub refused objects for good.
    ObjectsRefused,
    /// Damaged spool items were set aside.
    DamagedItems,
    /// A system update is being written, or on trial.
    UpdateRunning,
    /// A system update was refused.
    UpdateRefused,
    /// A system update did not work or could not be written: the box runs the image before.
    UpdateFailed,
    /// No canary came through for too long, though the hub can be reached.
    CanaryOverdue,
    /// The hub found something wrong with the last canary: what it must not see came through, or the picture was changed.
    CanaryFailed,
    /// The quarantine is full: images are still taken and wait, none is judged.
    QuarantineFull,
    /// A scanner has filled its share of the quarantine: its further images wait.
    ShareFull,
    /// The settings for verdict and LEDs cannot be used: those of the image stand in for them.
    SettingsRefused,
    /// The machine has no hardware watchdog: one that hangs stays as it is.
    WatchdogMissing,
    /// Nothing reaches the scanner's port: no cable, no lease, or no port at all.
    ScannerNetworkDown,
}

/// Power/ready LED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerLed {
    /// Coming up.
    Starting,
    /// Ready.
    Ready,
    /// Ready, and a system update is being written or on trial: do not pull the plug.
    Updating,
    /// Every process runs, but the daily canary does not prove that the box does its job.
    Unproven,
    /// A process is down.
    Fault,
}

/// Scanner LED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScannerLed {
    /// Nothing was ever received since the start.
    Waiting,
    /// Idle, has received before.
    Idle,
    /// Receiving now.
    Receiving,
    /// Instances are refused.
    Refusing,
    /// Nothing reaches the port: no cable, no lease, or no port at all.
    Unplugged,
    /// The receiver is down.
    Down,
}

/// Uplink LED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UplinkLed {
    /// Connected, nothing waits.
    Connected,
    /// Connected, uploading.
    Uploading,
    /// No hub in reach.
    Offline,
    /// Network path intercepted.
    Intercepted,
    /// Not enrolled.
    NotEnrolled,
    /// The uplink is down.
    Down,
}

/// Attention LED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionLed {
    /// Nothing to do.
    None,
    /// The research engineer should look (objects held, disk low).
    Look,
    /// Call support.
    Call,
}

/// What the four LEDs say, in words; `config/leds.toml` maps words to patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leds {
    /// Power/ready.
    pub power: PowerLed,
    /// Scanner side.
    pub scanner: ScannerLed,
    /// Uplink side.
    pub uplink: UplinkLed,
    /// Attention.
    pub attention: AttentionLed,
}

/// The verdict: a word, its causes (sorted, without repetition), the LEDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The word.
    pub word: VerdictWord,
    /// Why.
    pub causes: Vec<Cause>,
    /// What the LEDs show.
    pub leds: Leds,
}

/// Judges the box from what its processes say. Pure: the same inputs give the same verdict.
pub fn verdict(inputs: &Inputs<'_>) -> Verdict {
    let now = inputs.now_ms;
    let mut causes = Vec::new();
    let mut starting = false;
    let receiver = live(inputs.receiver, inputs, Cause::ReceiverDown, &mut causes, &mut starting);
    let deid = live(inputs.deid, inputs, Cause::DeidDown, &mut causes, &mut starting);
    let uplink = live(inputs.uplink, inputs, Cause::UplinkDown, &mut causes, &mut starting);
    let unstable = inputs.unstable;
    // A port may take as long as a process to come up. The canary does not see it: it comes over the loopback.
    let unplugged = inputs.no_scanner_network && inputs.watched_ms >= inputs.start_within_ms;
    for (holds, cause) in [
        (unstable.receiver, Cause::ReceiverDown),
        (unstable.deid, Cause::DeidDown),
        (unstable.uplink, Cause::UplinkDown),
        (inputs.settings_refused, Cause::SettingsRefused),
        (inputs.no_watchdog, Cause::WatchdogMissing),
        (unplugged, Cause::ScannerNetworkDown),
    ] {
        if holds {
            causes.push(cause);
        }
    }

    let refusing = receiver.is_some_and(|r| r.disk_short) || inputs.disk.free_bytes < inputs.disk.reserve_bytes;
    if refusing {
        causes.push(Cause::DiskFull);
    } else if inputs.disk.free_bytes < inputs.disk.reserve_bytes.saturating_mul(2) {
        causes.push(Cause::DiskLow);
    }
    if let Some(deid) = deid {
        if deid.quarantine_objects.values().any(|&n| n > 0) {
            causes.push(Cause::ObjectsHeld);
        }
        if deid.quarantine_full {
            causes.push(Cause::QuarantineFull);
        }
        if deid.deferred_objects > 0 {
            causes.push(Cause::ShareFull);
        }
        if deid.damaged_total > 0 {
            causes.push(Cause::DamagedItems);
        }
    }
    if let Some(uplink) = uplink {
        if uplink.refused_objects > 0 {
            causes.push(Cause::ObjectsRefused);
        }
        if uplink.damaged_total > 0 {
            causes.push(Cause::DamagedItems);
        }
        match uplink.enrolment {
            EnrolmentState::None => causes.push(Cause::NotEnrolled),
            EnrolmentState::Refused => causes.push(Cause::EnrolmentRefused),
            EnrolmentState::Enrolled => {}
        }
        match uplink.hub {
            HubLink::Unreachable => causes.push(Cause::HubUnreachable),
            HubLink::Intercepted => causes.push(Cause::PathIntercepted),
            HubLink::Unknown | HubLink::Connected => {}
        }
    }
    let mut updating = false;
    if let Some(update) = inputs.updater.map(|record| &record.body) {
        match update.state {
            UpdateState::Installing | UpdateState::Installed | UpdateState::Trying => {
                updating = true;
                causes.push(Cause::UpdateRunning);
            }
            UpdateState::RolledBack | UpdateState::Failed => causes.push(Cause::UpdateFailed),
            UpdateState::None | UpdateState::Confirmed => {}
        }
        if update.refusal.is_some() {
            causes.push(Cause::UpdateRefused);
        }
    }
    let mut unproven = false;
    let no_hub = causes.iter().any(|cause| keeps_from_the_hub(*cause));
    match inputs.canary.map(|rule| canary(&rule, uplink, inputs)) {
        None | Some(Canary::Proven) => {}
        // A box that came up and has no hub is not starting any more: its first canary comes through when the hub is there.
        Some(Canary::Awaited) if no_hub && inputs.watched_ms >= inputs.start_within_ms => unproven = true,
        Some(Canary::Awaited) => starting = true,
        Some(Canary::Overdue) => {
            unproven = true;
            // Of what a canary needs, whatever else is known to be missing is the better name for its absence.
            if uplink.is_some() && !no_hub {
                causes.push(Cause::CanaryOverdue);
            }
        }
        Some(Canary::Failed) => {
            unproven = true;
            causes.push(Cause::CanaryFailed);
        }
    }
    causes.sort_unstable();
    causes.dedup();

    let down = causes.iter().any(|c| {
        matches!(
            c,
            Cause::ReceiverDown
                | Cause::DeidDown
                | Cause::UplinkDown
                | Cause::DiskFull
                | Cause::StoreDegraded
                | Cause::QuarantineFull
        )
    });
    let word = if down {
        VerdictWord::Fault
    } else if starting {
        VerdictWord::Starting
    } else if causes.iter().all(|cause| *cause == Cause::UpdateRunning) {
        VerdictWord::Ok
    } else {
        VerdictWord::Attention
    };
    let leds = Leds {
        power: match word {
            VerdictWord::Fault => PowerLed::Fault,
            VerdictWord::Starting => PowerLed::Starting,
            VerdictWord::Ok | VerdictWord::Attention if updating => PowerLed::Updating,
            VerdictWord::Ok | VerdictWord::Attention if unproven => PowerLed::Unproven,
            VerdictWord::Ok | VerdictWord::Attention => PowerLed::Ready,
        },
        scanner: match receiver {
            None => ScannerLed::Down,
            Some(_) if refusing => ScannerLed::Refusing,
            Some(_) if unplugged => ScannerLed::Unplugged,
            Some(r) => match r
                .last_instance_ms
                .iter()
                .filter(|(ordinal, _)| **ordinal != CANARY_SCANNER)
                .map(|(_, ms)| *ms)
                .max()
            {
                None => ScannerLed::Waiting,
                Some(last) if now.saturating_sub(last) < RECEIVING_WITHIN_MS => ScannerLed::Receiving,
                Some(_) => ScannerLed::Idle,
            },
        },
        uplink: match uplink {
            None => UplinkLed::Down,
            Some(u) if u.enrolment != EnrolmentState::Enrolled => UplinkLed::NotEnrolled,
            Some(u) => match u.hub {
                HubLink::Intercepted => UplinkLed::Intercepted,
                HubLink::Unreachable => UplinkLed::Offline,
                _ if u.queue_objects > 0 => UplinkLed::Uploading,
                HubLink::Connected | HubLink::Unknown => UplinkLed::Connected,
            },
        },
        attention: if down || causes.iter().any(|cause| is_for_support(*cause)) {
            AttentionLed::Call
        } else if causes.iter().all(|cause| matches!(cause, Cause::HubUnreachable | Cause::UpdateRunning)) {
            AttentionLed::None
        } else {
            AttentionLed::Look
        },
    };
    Verdict { word, causes, leds }
}

/// What the last canaries say.
enum Canary {
    /// One came through, not too long ago.
    Proven,
    /// None did, but it is too early to ask for one.
    Awaited,
    /// None did for too long.
    Overdue,
    /// The hub found something wrong with the last one.
    Failed,
}

fn canary(rule: &CanaryRule, uplink: Option<&UplinkStatus>, inputs: &Inputs<'_>) -> Canary {
    let watched_ms = inputs.watched_ms;
    let Some(uplink) = uplink else { return Canary::Overdue };
    if uplink.canary_failed_ms > uplink.canary_ms {
        return Canary::Failed;
    }
    // A time that lies as far ahead is no proof either: the clock was wrong when it was noted, or is now.
    let age_ms = inputs.now_ms.abs_diff(uplink.canary_ms);
    if uplink.canary_ms != 0 && age_ms <= rule.longest_age_ms {
        Canary::Proven
    } else if watched_ms < rule.first_within_ms && age_ms > watched_ms {
        // None since the judge began to watch.
        Canary::Awaited
    } else {
        Canary::Overdue
    }
}

/// True for what keeps any object from the hub, and so the canary too.
const fn keeps_from_the_hub(cause: Cause) -> bool {
    matches!(cause, Cause::HubUnreachable | Cause::PathIntercepted | Cause::NotEnrolled | Cause::EnrolmentRefused)
}

/// True for what neither the technician nor the research engineer can put right.
const fn is_for_support(cause: Cause) -> bool {
    matches!(cause, Cause::PathIntercepted | Cause::EnrolmentRefused | Cause::CanaryFailed | Cause::SettingsRefused)
}

/// The body of a record that is fresh; notes a missing, stale or degraded one in `causes`. One of the future is not fresh: a clock that
/// was set back would make a process that has died since look alive. Records of the boot before are gone, so a process of which there is
/// none soon after the start has not begun yet.
fn live<'a, T>(
    record: Option<&'a StatusRecord<T>>,
    inputs: &Inputs<'_>,
    down: Cause,
    causes: &mut Vec<Cause>,
    starting: &mut bool,
) -> Option<&'a T> {
    if record.is_none() && inputs.watched_ms < inputs.start_within_ms {
        *starting = true;
        return None;
    }
    let Some(record) = record.filter(|r| inputs.now_ms.abs_diff(r.updated_ms) <= STALE_AFTER_MS) else {
        causes.push(down);
        return None;
    };
    match record.state {
        RunState::Starting => *starting = true,
        RunState::Degraded => causes.push(Cause::StoreDegraded),
        RunState::Stopping => causes.push(down),
        RunState::Ready => {}
    }
    Some(&record.body)
}

#[cfg(test)]
mod tests;
