//! One lane: takes an item, has it judged by its worker, and brings it to its next place: the release side or quarantine.
//!
//! The order is what makes a crash harmless. Take (copy into a file without name) → judge → ledger row → deposit, or held
//! file and row → only then is the original erased. A crash in between repeats the work, with the same pseudonyms and the
//! same bytes.

use std::{io::Read as _, path::PathBuf, sync::Arc, time::Instant};

use gift_service::now_ms;
use gift_spool::{IntakeRecord, ItemId, SpoolError};
use gift_status::HoldReason;
use gift_wire::Manifest;

use crate::{
    ask::Desk,
    child::{Child, Death, Judgement, Recipe},
    error::{DeidError, Response},
    events,
    eyes::Looked,
    ledger::{HeldRow, VerdictRow},
    linkage::RouteKeys,
    manifest::Ground,
    policy::Policy,
    protocol::Job,
    quarantine::{HeldMeta, QuarantineError},
    queue::Task,
    release::{self, ReleaseError},
    route,
    settings::Mode,
    shared::Shared,
    work::{At, WorkFiles},
};

/// Version of [`IntakeRecord`] this program knows.
const INTAKE_VERSION: u16 = 1;
/// Bytes hashed at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// How long an idle lane waits before it looks around.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

/// A lane; each has a thread, a worker and three files of its own.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<Shared>,
    number: usize,
    recipe: Recipe,
    files: WorkFiles,
    worker: Option<(Child, Arc<Policy>)>,
}

/// An object that lies in the lane's input.
#[derive(Debug)]
struct Case {
    item: ItemId,
    /// What the receiver said, when it could be read.
    record: Option<IntakeRecord>,
    input_bytes: u64,
    input_digest: String,
    /// It is held for what the second look came to.
    looked_at: bool,
}

impl Case {
    fn scanner(&self) -> u16 {
        self.record.as_ref().map_or(0, |record| record.scanner)
    }
}

/// What is to be done with an object.
enum Verdict {
    Release(Box<Manifest>),
    Hold(HoldReason, Option<String>),
}

impl Lane {
    /// A lane whose workers run `program`, with files in `work`.
    ///
    /// # Errors
    /// The files cannot be made.
    pub fn new(
        shared: Arc<Shared>,
        number: usize,
        program: PathBuf,
        work: &std::path::Path,
    ) -> Result<Self, DeidError> {
        let files = WorkFiles::new(work).map_err(DeidError::io("work files"))?;
        let settings = &shared.settings;
        let (bounds, ocr, video) = (settings.worker_bounds(), settings.ocr.clone(), settings.video.clone());
        let recipe = Recipe { program, bounds, asks: settings.asks, ocr, video };
        Ok(Self { shared, number, recipe, files, worker: None })
    }

    /// Works until the queue is closed.
    ///
    /// # Errors
    /// What the process cannot go on with ([`Response::Stop`]).
    pub fn run(mut self) -> Result<(), DeidError> {
        while !self.shared.stopping() {
            self.shared.alive(self.number);
            let Some(task) = self.shared.queue.next(PATIENCE) else { continue };
            self.step(&task)?;
        }
        Ok(())
    }

    /// One task; its item goes to its next place, or back into the queue.
    fn step(&mut self, task: &Task) -> Result<(), DeidError> {
        let (Task::Intake(id) | Task::Replay(id)) = task;
        let mut scanner = 0;
        let outcome = match task {
            Task::Intake(id) => self.intake(id, &mut scanner),
            Task::Replay(id) => self.replay(id),
        };
        let cleared = self.files.clear().map_err(DeidError::io("work files"));
        let error = match outcome.and(cleared) {
            Ok(()) => {
                self.shared.queue.done(id);
                return Ok(());
            }
            Err(error) => error,
        };
        match error.response() {
            Response::Stop => return Err(error),
            Response::Later => {
                events::later(id.as_str(), &error);
                self.shared.queue.later(id, Instant::now());
            }
            Response::WhenQuarantineHasRoom => {
                if self.shared.queue.defer(id, scanner) {
                    events::scanner_share_full(scanner);
                }
            }
        }
        if matches!(task, Task::Replay(_)) {
            self.shared.replay_again();
        }
        Ok(())
    }

    fn intake(&mut self, id: &ItemId, scanner: &mut u16) -> Result<(), DeidError> {
        self.files.clear().map_err(DeidError::io("work files"))?;
        let collector = &self.shared.collector;
        // Whoever wrote it chose its length, and a sparse file costs nothing: the copy must not fill the disk.
        let taken = match collector.size(id).map(|size| self.shared.has_room_for(size)) {
            Ok(Ok(true)) => collector.take_into(id, &mut At::start(&self.files.input)),
            Ok(Ok(false)) => Err(SpoolError::Full),
            Ok(Err(error)) => return Err(error),
            Err(error) => Err(error),
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(SpoolError::Gone) => return Ok(()),
            Err(SpoolError::Damaged) => return self.shared.set_aside(id),
            Err(error) => return Err(error.into()),
        };
        let record = serde_json::from_slice(&taken.meta).ok().filter(|r: &IntakeRecord| r.version == INTAKE_VERSION);
        let input_digest = self.input_digest(record.as_ref())?;
        let case = Case { item: taken.id, record, input_bytes: taken.body_len, input_digest, looked_at: false };
        *scanner = case.scanner();
        let Some(policy) = self.shared.policy() else { return Ok(()) };
        let Some(verdict) = self.judge(&case, &policy)? else { return Ok(()) };
        match verdict {
            Verdict::Release(manifest) => match self.release(&case, *manifest)? {
                Some(reason) => self.hold(&case, &policy, reason, None)?,
                None => self.shared.collector.finish(id)?,
            },
            Verdict::Hold(reason, fingerprint) => self.hold(&case, &policy, reason, fingerprint)?,
        }
        self.shared.tally(|status| status.taken_total += 1);
        Ok(())
    }

    /// Judges a held object again.
    fn replay(&mut self, id: &ItemId) -> Result<(), DeidError> {
        let Some(row) = self.shared.ledger.held_item(id.as_str())? else { return Ok(()) };
        let Some(policy) = self.shared.policy() else { return Ok(()) };
        let looked_at = matches!(row.reason, HoldReason::TextInPixels | HoldReason::SecondLookFailed);
        // What a second look found is not released for want of one.
        let blind = row.reason == HoldReason::TextInPixels && self.shared.settings.ocr.mode == Mode::Off;
        if row.damaged || blind || row.judged == policy.digest(row.reason) {
            return Ok(());
        }
        self.files.clear().map_err(DeidError::io("work files"))?;
        let meta = match self.shared.quarantine.open_held(id.as_str(), &mut At::start(&self.files.input)) {
            Ok(meta) => meta,
            Err(QuarantineError::Damaged) => {
                events::held_damaged(id.as_str());
                let row = HeldRow { damaged: true, ..row };
                return Ok(self.shared.quarantine.keep(&self.shared.ledger, &verdict_of(&row, ""), &row)?);
            }
            Err(error) => return Err(error.into()),
        };
        let input_bytes = self.files.input.metadata().map_err(DeidError::io("work files"))?.len();
        let input_digest = self.input_digest(meta.record.as_ref())?;
        let case = Case { item: id.clone(), record: meta.record, input_bytes, input_digest, looked_at };
        let (reason, fingerprint) = match self.judge(&case, &policy)? {
            None => return Ok(()),
            Some(Verdict::Release(manifest)) => match self.release(&case, *manifest)? {
                None => return Ok(self.shared.quarantine.erase(&self.shared.ledger, id.as_str(), None)?),
                Some(reason) => (reason, None),
            },
            Some(Verdict::Hold(reason, fingerprint)) => (reason, fingerprint),
        };
        events::still_held(id.as_str(), row.scanner, reason);
        let fingerprint = fingerprint.map(|text| self.shared.fingerprint_digest(&text));
        let row = HeldRow { reason, fingerprint, judged: policy.digest(reason).to_owned(), ..row };
        Ok(self.shared.quarantine.keep(&self.shared.ledger, &verdict_of(&row, &case.input_digest), &row)?)
    }

    /// The verdict on a case; `None` when the process is stopping and nothing was decided.
    fn judge(&mut self, case: &Case, policy: &Arc<Policy>) -> Result<Option<Verdict>, DeidError> {
        let hold = |reason| Ok(Some(Verdict::Hold(reason, None)));
        let Some(record) = &case.record else { return hold(HoldReason::Malformed) };
        let shared = Arc::clone(&self.shared);
        let Some(route) = route::find(&shared.settings.routes, record) else { return hold(HoldReason::Unrouted) };
        if case.input_bytes > gift_wire::MAX_OBJECT_BYTES {
            return hold(HoldReason::LimitExceeded);
        }
        // Result, scratch, and the copy at the release side; of video the stream as received and as encoded besides.
        let room = case.input_bytes.saturating_mul(if shared.settings.video.is_on() { 5 } else { 3 });
        if !shared.has_room_for(room)? {
            return Err(SpoolError::Full.into());
        }
        let key = shared.key(&route.key)?;
        let domain = shared.domain(route)?;
        for tries_left in (0..shared.settings.workers.tries).rev() {
            self.files.output.set_len(0).map_err(DeidError::io("work files"))?;
            self.files.scratch.set_len(0).map_err(DeidError::io("work files"))?;
            let mut pseudonyms = RouteKeys { site: key, domain };
            let mut desk = Desk::new(&mut pseudonyms, shared.settings.asks);
            let job = Job {
                input_bytes: case.input_bytes,
                transfer_syntax_uid: record.transfer_syntax_uid.clone(),
                sop_class_uid: record.sop_class_uid.clone(),
                sop_instance_uid: record.sop_instance_uid.clone(),
                profile: route.profile.clone(),
                places: domain.map(|domain| domain.places.clone()).unwrap_or_default(),
                look: case.looked_at,
            };
            let (limit, number) = (shared.settings.object_timeout(), self.number);
            let worker = self.worker(policy)?;
            let judged = worker.judge(job, &mut desk, limit, || shared.alive(number));
            if let Some(fault) = worker.look_fault.take() {
                events::look_failed(case.item.as_str(), &fault);
            }
            let given = desk.given();
            match judged {
                Ok(Judgement::Hold(reason, fingerprint)) => {
                    if matches!(reason, HoldReason::Malformed | HoldReason::LimitExceeded | HoldReason::DecodeFailed) {
                        // Hostile bytes went through this one, and may have made it large.
                        self.worker = None;
                    }
                    return Ok(Some(Verdict::Hold(reason, fingerprint)));
                }
                Ok(Judgement::TextFound(ground, fingerprint)) => {
                    if !policy.names.templates.contains(&ground) && !policy.names.rules.contains(&ground) {
                        self.distrust(case, "template");
                        return hold(HoldReason::WorkerCrashed);
                    }
                    events::text_in_pixels(case.item.as_str(), case.scanner(), &ground);
                    return Ok(Some(Verdict::Hold(HoldReason::TextInPixels, fingerprint)));
                }
                Ok(Judgement::Release(facts)) => {
                    match facts.looked {
                        Looked::Clean => shared.tally(|status| status.second_looks_total += 1),
                        Looked::Missed => shared.tally(|status| status.second_looks_missed_total += 1),
                        Looked::NotAsked => {}
                    }
                    let ground = Ground {
                        object: case.item.as_str(),
                        input_digest: &case.input_digest,
                        record,
                        route,
                        key_version: key.version(),
                        domain,
                        names: &policy.names,
                        given: &given,
                        most_bytes: shared.settings.workers.output_bytes,
                    };
                    return match ground.manifest(&facts, &self.files.output, now_ms()) {
                        Ok(manifest) => Ok(Some(Verdict::Release(Box::new(manifest)))),
                        Err(what) => {
                            self.distrust(case, what);
                            hold(HoldReason::WorkerCrashed)
                        }
                    };
                }
                Err(death) => {
                    self.worker = None;
                    if shared.stopping() {
                        return Ok(None);
                    }
                    shared.tally(|status| status.worker_deaths_total += 1);
                    events::worker_died(case.item.as_str(), death);
                    match death {
                        Death::Killed if tries_left > 0 => {}
                        // A claim, believed only while room is in fact short.
                        Death::NoRoom if !shared.has_room_for(room)? => {
                            return Err(SpoolError::Full.into());
                        }
                        Death::Timeout => return hold(HoldReason::WorkerTimeout),
                        _ => return hold(HoldReason::WorkerCrashed),
                    }
                }
            }
        }
        hold(HoldReason::WorkerCrashed)
    }

    /// The lane's worker, with this policy; a new one when there is none, or it has done its share.
    fn worker(&mut self, policy: &Arc<Policy>) -> Result<&mut Child, DeidError> {
        let most = self.shared.settings.workers.objects_each;
        let fit = |(child, its): &(Child, Arc<Policy>)| {
            child.judged < most && !child.is_used_up() && Arc::ptr_eq(its, policy)
        };
        let worker = match self.worker.take().filter(fit) {
            Some(worker) => worker,
            None => {
                let started = Child::start(&self.recipe, &self.files, &policy.file, policy.bytes);
                if started.is_err() {
                    // Whatever is wrong concerns every item: not one more is tried at once.
                    std::thread::sleep(PATIENCE);
                }
                let child = started?;
                self.shared.sandboxed(child.landlock);
                (child, Arc::clone(policy))
            }
        };
        Ok(&mut self.worker.insert(worker).0)
    }

    /// The worker said what is not so: it is ended.
    fn distrust(&mut self, case: &Case, what: &'static str) {
        self.worker = None;
        self.shared.tally(|status| status.worker_deaths_total += 1);
        events::worker_lied(case.item.as_str(), what);
    }

    /// Releases the output; `Some` when it has to be held after all.
    fn release(&mut self, case: &Case, manifest: Manifest) -> Result<Option<HoldReason>, DeidError> {
        let redacted = manifest.certificate.template.is_some();
        match release::release(
            &self.shared.ledger,
            &self.shared.depositor,
            &self.files.output,
            case.scanner(),
            manifest,
        ) {
            Ok(()) => {
                self.shared.tally(|status| status.released_total += 1);
                events::released(case.item.as_str(), case.scanner(), redacted);
                Ok(None)
            }
            // It still holds the output, and wrote to it after it said it had finished.
            Err(ReleaseError::Changed) => {
                self.distrust(case, "output changed");
                Ok(Some(HoldReason::WorkerCrashed))
            }
            Err(ReleaseError::Deid(error)) => Err(error),
        }
    }

    /// Holds the input, then erases the original.
    fn hold(
        &self,
        case: &Case,
        policy: &Policy,
        reason: HoldReason,
        fingerprint: Option<String>,
    ) -> Result<(), DeidError> {
        let shared = &self.shared;
        let meta = HeldMeta {
            record: case.record.clone(),
            reason,
            scanner: case.scanner(),
            received_ms: case.record.as_ref().map_or_else(now_ms, |record| record.received_ms),
            input_digest: case.input_digest.clone(),
            fingerprint_digest: fingerprint.as_deref().map(|text| shared.fingerprint_digest(text)),
            fingerprint,
        };
        let verdict = VerdictRow {
            item: case.item.as_str().to_owned(),
            at_ms: now_ms(),
            scanner: meta.scanner,
            reason: Some(reason),
            input_digest: meta.input_digest.clone(),
            released: None,
        };
        let mut object = At::start(&self.files.input);
        shared.quarantine.hold(&shared.ledger, &verdict, &meta, policy.digest(reason), &mut object)?;
        shared.collector.finish(&case.item)?;
        shared.tally(|status| *status.held_total.entry(reason).or_default() += 1);
        events::held(case.item.as_str(), meta.scanner, reason);
        Ok(())
    }

    /// Keyed digest of the input, under the site key of its route: nobody without the key can tell from it what it was.
    fn input_digest(&self, record: Option<&IntakeRecord>) -> Result<String, DeidError> {
        let route = record.and_then(|record| route::find(&self.shared.settings.routes, record));
        let mut digest = match route {
            Some(route) => self.shared.key(&route.key)?.input_digest(),
            None => self.shared.own.input_digest(),
        };
        let mut input = At::start(&self.files.input);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = input.read(&mut chunk).map_err(DeidError::io("work files"))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            digest.update(bytes);
        }
        Ok(digest.finish())
    }
}

/// The decision that a row of the quarantine stands for.
fn verdict_of(row: &HeldRow, input_digest: &str) -> VerdictRow {
    VerdictRow {
        item: row.item.clone(),
        at_ms: now_ms(),
        scanner: row.scanner,
        reason: Some(row.reason),
        input_digest: input_digest.to_owned(),
        released: None,
    }
}
