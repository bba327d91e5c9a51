//! The upload loop: what goes next, what came of it, when to pause. Decides and carries out; the rules themselves are in
//! `lanes` (who), `breaker` (when) and `failure` (why not).

use std::{
    fs::File,
    io::Seek as _,
    sync::Arc,
    time::{Duration, Instant},
};

use gift_wire::{CANARY_PROJECT, Manifest, Receipt};
use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinSet},
    time,
};

use crate::{
    board::Board,
    breaker::{Breaker, Epoch, Gate, chance, pause},
    clerk::{Clerk, Unwritten},
    enroller::HubInUse,
    error::{AttemptError, UplinkError},
    events,
    house::House,
    hub::Hub,
    key::Key,
    lanes::{Entry, Lanes},
    ledger::Settlement,
    outbox::Arrival,
    pulse::Pulse,
    queue_file::{self, QueueFault},
    reconcile::Found,
    report_slot::ReportSlot,
    settings::Settings,
};

/// The loop turns at least this often, and says that it lives.
const TURN: Duration = Duration::from_millis(500);
/// How often the queue is told to the board: finding the oldest of a backlog looks at every entry.
const TELL_INTERVAL: Duration = Duration::from_millis(500);

/// What one attempt came to.
#[derive(Debug)]
enum Outcome {
    /// The receipt matched; ledger and directory are settled. The last value is true for a canary.
    Acknowledged(Key, Box<Receipt>, bool),
    /// Nothing was settled for the object.
    Failed(Key, AttemptError),
    /// The hub refused it for good; the ledger says so.
    Refused(Key, u16),
    /// Its file was damaged (`true`) or gone; the ledger says so.
    Lost(Key, bool),
    /// The disk could not take the ledger's row: upload again later.
    Unsettled(Key),
    /// Its file could not be read now (no descriptors, no memory, a disk that fails): it stays queued.
    Unread(Key),
    /// The clerk is gone.
    Ending,
    /// A health report was sent, or failed.
    Report(u64, Result<(), AttemptError>),
}

/// The courier.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) settings: Arc<Settings>,
    pub(crate) house: House,
    pub(crate) clerk: Clerk,
    pub(crate) reports: Arc<ReportSlot>,
    pub(crate) board: Arc<Board>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) hub: HubInUse,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
}

/// What the loop carries from turn to turn.
struct Round {
    lanes: Lanes,
    breaker: Breaker,
    attempts: JoinSet<(Epoch, Outcome)>,
    /// The one attempt in flight while the breaker probes.
    probe: Option<Epoch>,
    report_waits: bool,
    report_away: bool,
    next_tell: Instant,
}

impl Courier {
    /// Uploads until `stop` says true, then lets attempts in flight end within the grace time.
    ///
    /// # Errors
    /// A part that failed; what was in flight is repeated after the next start.
    pub(crate) async fn run(mut self, found: Found, mut stop: watch::Receiver<bool>) -> Result<(), UplinkError> {
        let mut round = self.begin(found);
        loop {
            self.pulse.beat();
            let now = Instant::now();
            self.start_what_may(&mut round, now);
            if now >= round.next_tell {
                self.tell(&round);
                round.next_tell = now + TELL_INTERVAL;
            }
            let wake = self.next_wake(&round, now);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(done) = round.attempts.join_next() => {
                    let (epoch, outcome) = done.map_err(|_| UplinkError::Ended("an upload"))?;
                    self.settle(&mut round, epoch, outcome)?;
                }
                arrival = self.arrivals.recv() => match arrival {
                    Some(Arrival::Object(entry)) => round.lanes.arrive(entry),
                    Some(Arrival::Report) => round.report_waits = true,
                    None => return Err(UplinkError::Ended("the taking side")),
                },
                changed = self.hub.changed() => {
                    changed.map_err(|_| UplinkError::Ended("the enrolment"))?;
                    // A new certificate: whatever was refused before is worth another try now.
                    round.breaker = Breaker::new(self.settings.retry);
                    round.lanes.outage_over();
                }
                () = time::sleep_until(wake.into()) => {}
            }
        }
        self.end(round).await
    }

    fn begin(&self, found: Found) -> Round {
        let settings = &self.settings;
        let mut lanes = Lanes::new(settings.concurrency, settings.small_object_bytes);
        found.queued.into_iter().for_each(|entry| lanes.arrive(entry));
        let (now, now_ms) = (Instant::now(), gift_service::now_ms());
        for (entry, refused_ms) in found.refused {
            let age = Duration::from_millis(now_ms.saturating_sub(refused_ms));
            lanes.arrive_refused(entry, now + settings.retry.refused().saturating_sub(age));
        }
        Round {
            lanes,
            breaker: Breaker::new(settings.retry),
            attempts: JoinSet::new(),
            probe: None,
            report_waits: true,
            report_away: false,
            next_tell: now,
        }
    }

    /// Starts the health report first, then objects, as far as the breaker allows.
    fn start_what_may(&self, round: &mut Round, now: Instant) {
        let Some(hub) = self.hub.borrow().clone() else { return };
        loop {
            let epoch = round.breaker.epoch();
            let may = match round.breaker.gate(now) {
                Gate::Closed => true,
                Gate::Paused(_) => false,
                Gate::Probing => round.probe != Some(epoch),
            };
            if !may || !(self.start_report(round, &hub, epoch) || self.start_object(round, &hub, epoch, now)) {
                return;
            }
            round.probe = Some(epoch);
        }
    }

    fn start_report(&self, round: &mut Round, hub: &Arc<Hub>, epoch: Epoch) -> bool {
        if !round.report_waits || round.report_away {
            return false;
        }
        round.report_waits = false;
        // A slot that cannot be read is as good as an empty one: the next report comes in a minute.
        let Ok(Some((report, number))) = self.reports.peek() else { return false };
        round.report_away = true;
        let hub = hub.clone();
        round.attempts.spawn(async move { (epoch, Outcome::Report(number, hub.report(report).await)) });
        true
    }

    fn start_object(&self, round: &mut Round, hub: &Arc<Hub>, epoch: Epoch, now: Instant) -> bool {
        let Some(entry) = round.lanes.pick(now) else { return false };
        let (hub, house, clerk) = (hub.clone(), self.house.clone(), self.clerk.clone());
        round.attempts.spawn(async move { (epoch, upload(hub, house, clerk, entry).await) });
        true
    }

    fn settle(&self, round: &mut Round, epoch: Epoch, outcome: Outcome) -> Result<(), UplinkError> {
        let now = Instant::now();
        round.probe = round.probe.filter(|probe| *probe != epoch);
        match outcome {
            Outcome::Acknowledged(key, receipt, canary) => {
                if let Some(reason) = receipt.isolated {
                    events::object_isolated(key, reason);
                }
                round.lanes.settled(key);
                self.board.acknowledged(gift_service::now_ms(), receipt.isolated.is_some(), canary);
                self.reached(round);
            }
            Outcome::Refused(key, status) => {
                events::object_refused(key, status);
                self.board.failed(&AttemptError::Refused { status });
                round.lanes.refuse(key, now + self.settings.retry.refused());
                self.reached(round);
            }
            Outcome::Failed(key, error) => self.object_failed(round, now, epoch, key, &error),
            Outcome::Lost(key, damaged) => {
                if damaged {
                    events::damaged_object(key);
                } else {
                    events::row_without_file(key);
                }
                self.board.damaged(1);
                round.lanes.settled(key);
            }
            Outcome::Unsettled(key) => {
                events::disk_full();
                round.lanes.strike(key, now + pause(&self.settings.retry, 4, chance()));
            }
            Outcome::Unread(key) => {
                events::object_unread(key);
                let strikes = round.lanes.strikes(key).saturating_add(1);
                round.lanes.strike(key, now + pause(&self.settings.retry, strikes, chance()));
            }
            Outcome::Ending => return Err(UplinkError::Ended("the ledger")),
            Outcome::Report(number, sent) => {
                round.report_away = false;
                match sent {
                    Ok(()) => {
                        self.done_with_report(number);
                        self.reached(round);
                    }
                    Err(error @ AttemptError::Refused { .. }) => {
                        self.board.failed(&error);
                        self.done_with_report(number);
                        self.reached(round);
                    }
                    Err(error) => {
                        round.report_waits = true;
                        self.hub_failed(round, now, epoch, &error);
                    }
                }
            }
        }
        Ok(())
    }

    fn object_failed(&self, round: &mut Round, now: Instant, epoch: Epoch, key: Key, error: &AttemptError) {
        let status = if let AttemptError::Busy { status, .. } = error { Some(*status) } else { None };
        events::attempt_failed(key, error.failure(), status);
        if *error == AttemptError::ReceiptMismatch {
            events::receipt_mismatch(key);
        }
        // While others go through, a failure may be the object's own; during an outage it says nothing about it.
        if round.breaker.gate(now) == Gate::Closed {
            let strikes = round.lanes.strikes(key).saturating_add(1);
            round.lanes.strike(key, now + pause(&self.settings.retry, strikes, chance()));
        } else {
            round.lanes.put_back(key);
        }
        self.hub_failed(round, now, epoch, error);
    }

    fn hub_failed(&self, round: &mut Round, now: Instant, epoch: Epoch, error: &AttemptError) {
        self.board.failed(error);
        let wish = if let AttemptError::Busy { retry_after, .. } = error { *retry_after } else { None };
        round.breaker.failed(now, epoch, wish, chance());
    }

    fn reached(&self, round: &mut Round) {
        self.board.reached();
        if round.breaker.succeeded() {
            round.lanes.outage_over();
        }
    }

    fn done_with_report(&self, number: u64) {
        if self.reports.done(number).is_err() {
            // It is sent once more at the next start; the hub sorts by sequence number.
            events::report_stays();
        }
    }

    fn tell(&self, round: &Round) {
        let lanes = &round.lanes;
        self.board.queue(lanes.objects(), lanes.bytes(), lanes.oldest_posted_ms(), lanes.refused());
    }

    fn next_wake(&self, round: &Round, now: Instant) -> Instant {
        let mut wake = now + TURN;
        match round.breaker.gate(now) {
            Gate::Paused(until) => wake = wake.min(until),
            Gate::Closed | Gate::Probing => wake = round.lanes.next_due().map_or(wake, |due| wake.min(due)),
        }
        // Never in a hurry: what is due and could not start waits for a place, and its end wakes the loop.
        wake.max(now + Duration::from_millis(10))
    }

    async fn end(self, mut round: Round) -> Result<(), UplinkError> {
        events::stopping(round.attempts.len());
        let grace = Duration::from_millis(self.settings.stop_grace_ms);
        let rest = async {
            while let Some(done) = round.attempts.join_next().await {
                if let Ok((_, Outcome::Acknowledged(key, receipt, canary))) = done {
                    round.lanes.settled(key);
                    self.board.acknowledged(gift_service::now_ms(), receipt.isolated.is_some(), canary);
                }
            }
        };
        // What does not end in time is cut off: the object is still queued and is sent again after the next start.
        let _ = time::timeout(grace, rest).await;
        round.attempts.shutdown().await;
        self.tell(&round);
        Ok(())
    }
}

/// One attempt for one object: check its bytes, send it, settle it.
async fn upload(hub: Arc<Hub>, house: House, clerk: Clerk, entry: Entry) -> Outcome {
    let key = entry.key;
    // Before every upload: what went wrong on this disk since the last one must not reach the hub.
    let checked = task::spawn_blocking(move || whole(&house, key));
    let (manifest, file) = match checked.await {
        Ok(Ok(Some(whole))) => whole,
        Ok(Ok(None)) => return settle(&clerk, key, Settlement::Missing, Outcome::Lost(key, false)).await,
        Ok(Err(QueueFault::Damaged)) => {
            return settle(&clerk, key, Settlement::SetAside, Outcome::Lost(key, true)).await;
        }
        // What the disk cannot give now it may give later: setting aside would end the only way to the hub there is.
        Ok(Err(QueueFault::Read(_))) => return Outcome::Unread(key),
        Err(_) => return Outcome::Ending,
    };
    match hub.store(&manifest, tokio::fs::File::from_std(file)).await {
        Ok(receipt) => {
            let (receipt, canary) = (Box::new(receipt), manifest.project == CANARY_PROJECT);
            let outcome = Outcome::Acknowledged(key, receipt.clone(), canary);
            settle(&clerk, key, Settlement::Acknowledged { receipt, canary }, outcome).await
        }
        Err(AttemptError::Refused { status }) => {
            settle(&clerk, key, Settlement::Refused { status }, Outcome::Refused(key, status)).await
        }
        Err(error) => Outcome::Failed(key, error),
    }
}

/// The object's manifest and file, at its beginning, once its bytes are what the manifest states; `None` without a file.
fn whole(house: &House, key: Key) -> Result<Option<(Manifest, File)>, QueueFault> {
    let Some(mut file) = house.open_queued(key)? else { return Ok(None) };
    let sealed = queue_file::read_sealed(&file)?;
    queue_file::check_body(&mut file, &sealed.manifest)?;
    file.rewind()?;
    Ok(Some((sealed.manifest, file)))
}

async fn settle(clerk: &Clerk, key: Key, settlement: Settlement, outcome: Outcome) -> Outcome {
    match clerk.settle(key, settlement).await {
        Ok(()) => outcome,
        Err(Unwritten::Full) => Outcome::Unsettled(key),
        Err(Unwritten::Gone) => Outcome::Ending,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::queue_file::{Sealed, seal, tests::manifest_for};

    #[test]
    fn only_bytes_that_are_wrong_are_damage_and_a_failing_disk_is_not() {
        let home = tempfile::tempdir().unwrap();
        let house = House::open(&home.path().join("uplink")).unwrap();
        let [good, torn, unreadable, missing] = [1, 2, 3, 4].map(Key::from_number);
        let mut file = File::create_new(house.queued(good)).unwrap();
        fs::write(house.queued(good), b"body").unwrap();
        seal(&mut file, 4, &Sealed { manifest: manifest_for(b"body"), posted_ms: 5 }).unwrap();
        fs::write(house.queued(torn), b"torn").unwrap();
        // Opens, and fails every read: as a disk does that is going.
        fs::create_dir(house.queued(unreadable)).unwrap();
        assert!(matches!(whole(&house, good), Ok(Some((manifest, _))) if manifest.size == 4));
        assert!(matches!(whole(&house, torn), Err(QueueFault::Damaged)));
        assert!(matches!(whole(&house, unreadable), Err(QueueFault::Read(_))));
        assert!(matches!(whole(&house, missing), Ok(None)));
    }
}
