//! The association acceptor over any bytes.
//!
//! The bytes go in once whole and once in pieces of the sizes that the input names; the driver accepts, refuses and completes by the
//! same rule both times. Asserted: nothing panics; memory stays within the caps; what is sent, all together, the data sets that are
//! delivered, and how it ends do not depend on the cuts. (Timers do: one is set for each PDU that arrives whole.)
#![no_main]

use std::sync::{Arc, LazyLock};

use gift_dimse::{
    ASSOCIATE_CAP_BYTES, Acceptor, Action, COMMAND_CAP_BYTES, Discard, End, Offer, Rejection, Status, Timer,
};
use gift_fuzz::{byte, bytes, policy::MAX_PDU_BYTES};
use libfuzzer_sys::fuzz_target;

static OFFER: LazyLock<Arc<Offer>> =
    LazyLock::new(|| Arc::new(Offer::new(*MAX_PDU_BYTES, ["1.2.3.4.5".to_owned()], Vec::new())));

/// What does not depend on the cuts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    sent: Vec<u8>,
    objects: Vec<(String, Vec<u8>, Option<Discard>)>,
    echoes: usize,
    stored: usize,
    closed: bool,
    established: bool,
    end: Option<End>,
}

#[derive(Clone, Copy)]
struct Driver {
    reject: bool,
    refuse: bool,
    fail: bool,
    /// How the transport ends.
    ending: u8,
}

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let how = byte(&mut data);
    let driver = Driver { reject: how & 7 == 7, refuse: how & 0x18 == 0x18, fail: how & 0x20 != 0, ending: how >> 6 };
    let count = usize::from(byte(&mut data) % 32);
    let cuts = bytes(&mut data, count);
    let whole = driver.run([data].into_iter());
    let mut rest = data;
    let mut sizes = cuts.iter().cycle();
    let pieces = std::iter::from_fn(|| {
        let size = sizes.next().map_or(1, |size| usize::from(*size).max(1));
        (!rest.is_empty()).then(|| bytes(&mut rest, size))
    });
    assert_eq!(whole, driver.run(pieces), "the cut matters");
});

impl Driver {
    fn run<'d>(self, pieces: impl Iterator<Item = &'d [u8]>) -> Seen {
        let mut acceptor = Acceptor::new(OFFER.clone());
        let mut seen = Seen::default();
        for piece in pieces {
            let mut input = piece;
            self.drive(&mut acceptor, &mut input, &mut seen);
            assert!(input.is_empty(), "input is left and nothing is awaited");
            assert!(acceptor.kept_bytes() <= 2 * (ASSOCIATE_CAP_BYTES as usize + COMMAND_CAP_BYTES), "over the caps");
        }
        seen.established = acceptor.established();
        match self.ending {
            0 => acceptor.transport_closed(),
            1 => acceptor.stop(),
            2 => acceptor.timer_expired(Timer::Idle),
            _ => acceptor.timer_expired(Timer::Closing),
        }
        self.drive(&mut acceptor, &mut &[][..], &mut seen);
        seen.end = acceptor.end();
        seen
    }

    fn drive(self, acceptor: &mut Acceptor, input: &mut &[u8], seen: &mut Seen) {
        while let Some(action) = acceptor.next(input) {
            assert!(!seen.closed, "something after the last action");
            match action {
                Action::Send(bytes) => seen.sent.extend(bytes),
                Action::SetTimer(_) | Action::StopTimer => {}
                Action::Requested(_) if self.reject => acceptor.reject(Rejection::NotAllowed),
                Action::Requested(_) => acceptor.accept(),
                Action::BeginObject(header) => {
                    seen.objects.push((header.sop_instance.into_string(), Vec::new(), None));
                    if self.refuse {
                        acceptor.refuse(Status::OutOfResources);
                    }
                }
                Action::ObjectBytes(bytes) => {
                    assert!(!bytes.is_empty(), "no bytes");
                    seen.objects.last_mut().expect("bytes of no object").1.extend(bytes);
                }
                Action::EndObject => {
                    seen.stored += 1;
                    acceptor.complete(if self.fail { Status::OutOfResources } else { Status::Success });
                }
                Action::DiscardObject(why) => {
                    let (_, bytes, discarded) = seen.objects.last_mut().expect("no object");
                    // How much of it came before it was given up depends on the cuts; the driver erases it.
                    bytes.clear();
                    *discarded = Some(why);
                }
                Action::Echoed => seen.echoes += 1,
                Action::Close => seen.closed = true,
            }
        }
    }
}
