//! Puts the parts together, publishes the status every second, and ends them in order.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use gift_service::{StatusFile, Supervisor};
use gift_status::RunState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};

use crate::{
    board::Board,
    carrier::{Carrier, ORDERS, POLICIES, UPDATES},
    clerk::Clerk,
    courier::Courier,
    enroller::Enroller,
    error::UplinkError,
    events,
    house::House,
    hub::early,
    identity::IdentityStore,
    ledger::Ledger,
    outbox::{self, Outbox},
    pulse::Pulse,
    reconcile::reconcile,
    report_slot::ReportSlot,
    settings::Settings,
};

/// How often the status record is published.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the process until SIGTERM or SIGINT.
///
/// # Errors
/// What ended it otherwise.
pub(crate) async fn run(config: &Path) -> Result<(), UplinkError> {
    let result = start(config).await;
    if let Err(error) = &result {
        events::failed(error);
    }
    result
}

async fn start(config: &Path) -> Result<(), UplinkError> {
    let settings = Arc::new(Settings::load(config)?);
    let house = House::open(&settings.house)?;
    let board = Arc::new(Board::default());
    let (mut ledger, rebuilt) = Ledger::open(&house.ledger())?;
    if rebuilt {
        events::ledger_rebuilt();
    }
    let found = reconcile(&mut ledger, &house)?;
    board.damaged(found.damaged);
    board.receipts(ledger.receipts()?);
    events::started(found.queued.len(), found.refused.len());

    let [clerk_pulse, outbox_pulse, courier_pulse] = [(); 3].map(|()| Arc::new(Pulse::default()));
    let (stop, stopped) = watch::channel(false);
    let stop_taking = Arc::new(AtomicBool::new(false));
    let (arrivals, arrived) = mpsc::unbounded_channel();
    let reports = Arc::new(ReportSlot::open(house.health()));
    let (clerk, clerk_thread) = Clerk::start(ledger, house.clone(), settings.receipts_kept, clerk_pulse.clone());
    let outbox = Outbox {
        collector: outbox::collector(&settings)?,
        house: house.clone(),
        clerk: clerk.clone(),
        reports: reports.clone(),
        board: board.clone(),
        pulse: outbox_pulse.clone(),
        arrivals,
        stop: stop_taking.clone(),
    };
    let identity = IdentityStore::open(&house.identity())?;
    let (early, told) = watch::channel(Vec::new());
    let (enroller, hub) = Enroller::open(settings.clone(), identity, board.clone(), early)?;
    let policies = Carrier::open(&POLICIES, settings.policy.as_ref(), &settings, hub.clone())?;
    let updates = Carrier::open(&UPDATES, settings.updates.as_ref(), &settings, hub.clone())?;
    let orders = Carrier::open(&ORDERS, settings.orders.as_ref(), &settings, hub.clone())?;
    let clock = settings.clock.clone();
    let pulse = courier_pulse.clone();
    let courier = Courier {
        settings: settings.clone(),
        house,
        clerk,
        reports,
        board: board.clone(),
        pulse,
        hub,
        arrivals: arrived,
    };

    let publisher = Publisher {
        board,
        status: StatusFile::new(&settings.status_dir),
        supervisor: Supervisor::new(),
        parts: [("clerk", clerk_pulse), ("outbox", outbox_pulse), ("courier", courier_pulse)],
        told_failure: false,
    };
    let publishing = tokio::spawn(publisher.run(stopped.clone()));
    let enrolling = tokio::spawn(async move {
        tokio::select! {
            ended = enroller.run() => ended,
            Some(ended) = maybe(policies.map(Carrier::run)) => ended,
            Some(ended) = maybe(updates.map(Carrier::run)) => ended,
            Some(ended) = maybe(orders.map(Carrier::run)) => ended,
            Some(ended) = maybe(clock.map(|clock| early::hand_over(clock, told))) => ended,
        }
    });
    let outbox_thread = outbox.start();
    let couriering = tokio::spawn(courier.run(found, stopped));

    let outcome = first_end(couriering, enrolling, stop).await;
    // The courier is gone; now the taking side, and with its last handle the clerk.
    stop_taking.store(true, Ordering::Relaxed);
    let threads = tokio::task::spawn_blocking(move || {
        let outbox = join(outbox_thread, "the taking side");
        // The clerk's own error is the cause of the others': it goes first.
        join(clerk_thread, "the ledger").and(outbox)
    });
    let threads = threads.await.unwrap_or(Err(UplinkError::Ended("the threads")));
    let _ = publishing.await;
    threads.and(outcome)
}

/// What `work` gives; `None` at once where there is none.
async fn maybe<T>(work: Option<impl Future<Output = T>>) -> Option<T> {
    Some(work?.await)
}

/// Waits for a signal, or for the end of a part that should not end. On return the courier has ended.
async fn first_end(
    mut couriering: JoinHandle<Result<(), UplinkError>>,
    mut enrolling: JoinHandle<Result<(), UplinkError>>,
    stop: watch::Sender<bool>,
) -> Result<(), UplinkError> {
    let signals = || -> std::io::Result<_> { Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)) };
    let (mut terminate, mut interrupt) = signals().map_err(UplinkError::store("cannot wait for signals"))?;
    let mut outcome = Ok(());
    let courier_ended = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        ended = &mut couriering => {
            outcome = ended.unwrap_or(Err(UplinkError::Ended("the courier")));
            true
        }
        ended = &mut enrolling => {
            outcome = ended.unwrap_or(Err(UplinkError::Ended("the enrolment")));
            false
        }
    };
    stop.send_replace(true);
    if !courier_ended {
        let ended = couriering.await.unwrap_or(Err(UplinkError::Ended("the courier")));
        outcome = outcome.and(ended);
    }
    enrolling.abort();
    outcome
}

fn join(thread: thread::JoinHandle<Result<(), UplinkError>>, name: &'static str) -> Result<(), UplinkError> {
    thread.join().unwrap_or(Err(UplinkError::Ended(name)))
}

/// Publishes the status and feeds the watchdog.
struct Publisher {
    board: Arc<Board>,
    status: StatusFile,
    supervisor: Supervisor,
    parts: [(&'static str, Arc<Pulse>); 3],
    told_failure: bool,
}

impl Publisher {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.publish(RunState::Ready);
        self.supervisor.ready();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = time::sleep(STATUS_INTERVAL) => {}
            }
            match self.parts.iter().find(|(_, pulse)| !pulse.is_alive()) {
                None => self.supervisor.progress(),
                Some((part, _)) => events::hangs(part),
            }
            self.publish(RunState::Ready);
        }
        self.supervisor.stopping();
        self.publish(RunState::Stopping);
    }

    fn publish(&mut self, state: RunState) {
        let written = self.status.publish(state, self.board.status(gift_service::now_ms()));
        if written.is_err() && !self.told_failure {
            events::status_failed();
        }
        self.told_failure = written.is_err();
    }
}
