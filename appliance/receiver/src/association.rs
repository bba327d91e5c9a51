//! One connection, from accept to close: moves bytes between the socket, the acceptor of `gift-dimse` and the spool, and runs
//! its timers. The acceptor decides; this file performs.
//!
//! Memory of a connection: one read buffer and what the spool gathers before it writes, whatever the size of an object.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use gift_dimse::{Acceptor, Action, AssociationRequest, End, ObjectHeader, Rejection, Status, Timer};
use gift_spool::Committed;
use gift_status::RejectReason;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinHandle, block_in_place, spawn_blocking},
    time::{Sleep, sleep, timeout},
};

use crate::{
    admission::{HalfOpen, Place, Standing},
    events::{Event, reason_of, reason_of_discard},
    intake::{Incoming, Intake, Phase, Sender, Unstored},
};

/// Read buffer before an association is established: an A-ASSOCIATE-RQ is small, and half-open connections are many.
const HALF_OPEN_BUFFER_BYTES: usize = 4 * 1024;
/// Read buffer of an association: larger ones gain nothing measurable.
const BUFFER_BYTES: usize = 64 * 1024;
/// Longest wait for the peer to close after the last PDU; ARTIM if that is shorter.
const MAX_CLOSING: Duration = Duration::from_secs(5);

/// What the acceptor wants next that takes time.
enum Step {
    Read,
    Send(Vec<u8>),
    Commit(Incoming),
    Close,
}

struct Association {
    intake: Arc<Intake>,
    acceptor: Acceptor,
    peer: IpAddr,
    half_open: HalfOpen,
    place: Option<Place>,
    sender: Option<Sender>,
    /// Serial number; 0 until accepted.
    number: u64,
    instances: u64,
    incoming: Option<Incoming>,
    timer: Option<Timer>,
    /// `timer` was set anew since the clock was last wound.
    rewind: bool,
    /// Why the driver rejected, where the rejection itself does not tell.
    rejected_for: Option<RejectReason>,
}

/// Serves a connection until it is closed.
pub(crate) async fn serve(mut stream: TcpStream, peer: IpAddr, half_open: HalfOpen, intake: Arc<Intake>) {
    let mut association = Association::new(peer, half_open, intake);
    let mut buffer = vec![0; HALF_OPEN_BUFFER_BYTES];
    let (mut from, mut to) = (0, 0);
    let mut clock = std::pin::pin!(sleep(MAX_CLOSING));
    let mut phase = association.intake.phase.subscribe();
    let mut stored: Option<(Committed, u64)> = None;
    let mut posting: Option<JoinHandle<()>> = None;
    loop {
        let mut input = buffer.get(from..to).unwrap_or_default();
        let step = association.act(&mut input);
        from = to - input.len();
        association.wind(&mut clock);
        match step {
            Step::Send(bytes) => {
                let patience = association.intake.settings.timeouts.transfer();
                let sent = timeout(patience, stream.write_all(&bytes)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    association.acceptor.transport_closed();
                }
                // Success has been answered (or cannot be any more): now deid may see it.
                if let Some((committed, bytes)) = stored.take() {
                    association.count_instance(bytes);
                    let intake = Arc::clone(&association.intake);
                    posting = Some(spawn_blocking(move || intake.post(committed)));
                }
                if association.acceptor.established() && buffer.len() < BUFFER_BYTES {
                    buffer.resize(BUFFER_BYTES, 0);
                }
            }
            Step::Commit(incoming) => {
                // One post at a time keeps what is committed and not yet posted bounded.
                if let Some(posting) = posting.take() {
                    let _ = posting.await;
                }
                let bytes = incoming.len();
                match association.intake.commit(incoming).await {
                    Ok(committed) => {
                        stored = Some((committed, bytes));
                        association.acceptor.complete(Status::Success);
                    }
                    Err(why) => {
                        association.count_unstored(why);
                        association.acceptor.complete(Status::OutOfResources);
                    }
                }
            }
            Step::Close => break,
            Step::Read => {
                (from, to) = (0, 0);
                tokio::select! {
                    read = stream.read(&mut buffer) => match read {
                        Ok(0) | Err(_) => association.acceptor.transport_closed(),
                        Ok(count) => to = count,
                    },
                    () = &mut clock, if association.timer.is_some() => {
                        if let Some(timer) = association.timer.take() {
                            association.acceptor.timer_expired(timer);
                        }
                    }
                    () = association.half_open.evicted(), if association.place.is_none() => {
                        association.rejected_for = Some(RejectReason::Congestion);
                        break;
                    }
                    _ = phase.changed() => {
                        let phase = *phase.borrow_and_update();
                        if phase == Phase::Aborting || (phase == Phase::Finishing && association.place.is_none()) {
                            association.acceptor.stop();
                        }
                    }
                }
            }
        }
    }
    association.finish();
}

impl Association {
    fn new(peer: IpAddr, half_open: HalfOpen, intake: Arc<Intake>) -> Self {
        Self {
            acceptor: Acceptor::new(Arc::clone(&intake.offer)),
            intake,
            peer,
            half_open,
            place: None,
            sender: None,
            number: 0,
            instances: 0,
            incoming: None,
            timer: None,
            rewind: false,
            rejected_for: None,
        }
    }

    /// Performs actions until one takes time. Writing to the page cache may block: while an instance is under way this
    /// happens where the runtime can spare the thread.
    fn act(&mut self, input: &mut &[u8]) -> Step {
        if self.incoming.is_some() { block_in_place(|| self.act_here(input)) } else { self.act_here(input) }
    }

    fn act_here(&mut self, input: &mut &[u8]) -> Step {
        while let Some(action) = self.acceptor.next(input) {
            match action {
                Action::Send(bytes) => return Step::Send(bytes),
                Action::Close => return Step::Close,
                Action::SetTimer(timer) => (self.timer, self.rewind) = (Some(timer), true),
                Action::StopTimer => self.timer = None,
                Action::Requested(request) => self.decide(request),
                Action::BeginObject(header) => self.begin(&header),
                Action::ObjectBytes(bytes) => self.write(bytes),
                Action::EndObject => match self.incoming.take() {
                    Some(incoming) => return Step::Commit(incoming),
                    None => self.acceptor.complete(Status::OutOfResources),
                },
                Action::DiscardObject(why) => {
                    self.incoming = None;
                    if let Some(reason) = reason_of_discard(why) {
                        self.count_refused(reason);
                    }
                }
                Action::Echoed => {}
            }
        }
        Step::Read
    }

    /// Sets the clock when the acceptor has set a timer since.
    fn wind(&mut self, clock: &mut std::pin::Pin<&mut Sleep>) {
        if let (true, Some(timer)) = (self.rewind, self.timer) {
            let timeouts = &self.intake.settings.timeouts;
            let duration = match timer {
                Timer::Request => timeouts.artim(),
                Timer::Idle => timeouts.idle(),
                Timer::Transfer => timeouts.transfer(),
                Timer::Closing => timeouts.artim().min(MAX_CLOSING),
            };
            clock.as_mut().reset(tokio::time::Instant::now() + duration);
        }
        self.rewind = false;
    }

    fn decide(&mut self, request: AssociationRequest) {
        match self.admit(request) {
            Ok(()) => self.acceptor.accept(),
            Err(reason) => {
                self.rejected_for = Some(reason);
                self.acceptor.reject(match reason {
                    RejectReason::NotAllowed => Rejection::NotAllowed,
                    _ => Rejection::Congestion,
                });
            }
        }
    }

    fn admit(&mut self, request: AssociationRequest) -> Result<(), RejectReason> {
        let settings = &self.intake.settings;
        let known_address = settings.known_address(self.peer);
        let allowed = match (request.called_ae, request.calling_ae) {
            (Some(called_ae), Some(calling_ae)) if settings.answers_to(&called_ae) => {
                let scanner = settings.scanner(&calling_ae, self.peer);
                let allowed = scanner.is_some() || settings.accept_unknown_scanners;
                allowed.then(|| Sender { called_ae, calling_ae, source: self.peer, scanner: scanner.unwrap_or(0) })
            }
            _ => None,
        };
        let Some(sender) = allowed else {
            self.half_open.rejected(known_address, Instant::now());
            return Err(RejectReason::NotAllowed);
        };
        if *self.intake.phase.borrow() != Phase::Serving || self.intake.failed() {
            return Err(RejectReason::Congestion);
        }
        if !self.intake.has_room() {
            return Err(RejectReason::DiskShort);
        }
        let standing = Standing { known_scanner: sender.scanner != 0, known_address };
        self.place = Some(self.half_open.associate(standing).ok_or(RejectReason::Congestion)?);
        self.number = self.intake.next_association();
        self.intake.ledger.record(Event::Associated { association: self.number, scanner: sender.scanner });
        self.sender = Some(sender);
        Ok(())
    }

    fn begin(&mut self, header: &ObjectHeader) {
        let begun = match &self.sender {
            Some(sender) => block_in_place(|| self.intake.begin(sender, header)),
            None => Err(Unstored::Failed),
        };
        match begun {
            Ok(incoming) => self.incoming = Some(incoming),
            Err(why) => self.refuse(why),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(incoming) = &mut self.incoming else { return };
        if let Err(why) = self.intake.write(incoming, bytes) {
            self.incoming = None;
            self.refuse(why);
        }
    }

    fn refuse(&mut self, why: Unstored) {
        self.count_unstored(why);
        self.acceptor.refuse(Status::OutOfResources);
    }

    fn count_unstored(&self, why: Unstored) {
        self.count_refused(match why {
            Unstored::Full => RejectReason::DiskShort,
            Unstored::Failed => RejectReason::Storage,
        });
    }

    fn count_refused(&self, reason: RejectReason) {
        self.intake.ledger.record(Event::Refused { association: self.number, scanner: self.scanner(), reason });
    }

    fn count_instance(&mut self, bytes: u64) {
        self.instances += 1;
        self.intake.ledger.record(Event::Stored { association: self.number, scanner: self.scanner(), bytes });
    }

    fn scanner(&self) -> u16 {
        self.sender.as_ref().map_or(0, |sender| sender.scanner)
    }

    fn finish(self) {
        let end = self.acceptor.end().unwrap_or(End::Lost);
        let (scanner, instances, ledger) = (self.scanner(), self.instances, &self.intake.ledger);
        if self.place.is_some() {
            ledger.record(Event::Ended { association: self.number, scanner, end, instances });
        } else if let Some(reason) = self.rejected_for.or_else(|| reason_of(end)) {
            ledger.record(Event::NotAssociated { reason });
        }
    }
}
