//! The state machine of PS3.8 §9.2, acceptor's half; [`message`] has the DIMSE services on top of it.

mod message;

use std::{collections::VecDeque, sync::Arc};

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, Pdu};

use self::message::Message;
use crate::{
    Offer, Status,
    action::{Action, Discard, End, Timer, Violation},
    associate::{self, Context, Rejection, Request},
    framer::{FrameError, Framer, PduType, Piece},
};

/// States of PS3.8 Table 9-10 that an acceptor which never releases by itself can be in; Sta8 (release asked, response due)
/// is passed through within one call. Sta7 and Sta9 to Sta12 belong to releasing, Sta4 and Sta5 to requesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Idle: no transport connection any more.
    Sta1,
    /// Transport connection open, A-ASSOCIATE-RQ awaited.
    Sta2,
    /// The driver's answer to A-ASSOCIATE awaited.
    Sta3,
    /// Association established, ready for data transfer.
    Sta6,
    /// Awaiting the transport connection to be closed.
    Sta13,
}

/// One association, from the transport connection's opening to its closing.
///
/// The driver calls [`Acceptor::next`] with what it has read until `None`, performs each action, and reads again. Memory: at
/// most one PDU other than P-DATA-TF ([`crate::ASSOCIATE_CAP_BYTES`]) or one command set ([`crate::COMMAND_CAP_BYTES`]).
#[derive(Debug)]
pub struct Acceptor {
    offer: Arc<Offer>,
    framer: Framer,
    state: State,
    message: Message,
    request: Option<Box<Request>>,
    contexts: Vec<Context>,
    peer_max_pdu_bytes: u32,
    due: VecDeque<Action<'static>>,
    end: Option<End>,
    /// PDUs complete when the transfer timer was last set.
    armed_at: u64,
}

impl Acceptor {
    /// A transport connection was opened (AE-5: start ARTIM, Sta2).
    pub fn new(offer: Arc<Offer>) -> Self {
        let framer = Framer::new(offer.max_pdu_bytes);
        Self {
            offer,
            framer,
            state: State::Sta2,
            message: Message::None,
            request: None,
            contexts: Vec::new(),
            peer_max_pdu_bytes: 0,
            due: VecDeque::from([Action::SetTimer(Timer::Request)]),
            end: None,
            armed_at: 0,
        }
    }

    /// The next action; `input` is advanced past what was used. `None`: more input or an answer is needed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Action<'a>> {
        loop {
            if let Some(action) = self.due.pop_front() {
                return Some(action);
            }
            match self.state {
                State::Sta3 => return None,
                // AA-6 and after: whatever still comes is ignored.
                State::Sta1 | State::Sta13 => {
                    *input = &[];
                    return None;
                }
                State::Sta2 | State::Sta6 => {}
            }
            if matches!(self.message, Message::Storing { .. }) {
                return None;
            }
            match self.framer.next(input) {
                Ok(None) => return None,
                Ok(Some(piece)) => {
                    if let Some(bytes) = self.piece(piece) {
                        return Some(Action::ObjectBytes(bytes));
                    }
                }
                Err(error) => self.violated(match error {
                    FrameError::Unrecognized => Violation::UnrecognizedPdu,
                    FrameError::TooLong => Violation::TooLong,
                    FrameError::Malformed => Violation::InvalidPdu,
                }),
            }
        }
    }

    /// Whether an answer of the driver is awaited; reading on would only fill its buffer.
    pub fn waits_for_answer(&self) -> bool {
        self.state == State::Sta3 || matches!(self.message, Message::Storing { .. })
    }

    /// Whether an association is established.
    pub fn established(&self) -> bool {
        self.state == State::Sta6
    }

    /// Whether a message is under way, so that ending now would cut it.
    pub fn busy(&self) -> bool {
        !matches!(self.message, Message::None)
    }

    /// How it ended; `None` while it lasts.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Memory kept for incoming bytes.
    pub fn kept_bytes(&self) -> usize {
        let command = if let Message::Command { bytes, .. } = &self.message { bytes.capacity() } else { 0 };
        self.framer.kept_bytes() + command
    }

    /// Answers [`Action::Requested`]: negotiates and sends A-ASSOCIATE-AC (AE-7).
    pub fn accept(&mut self) {
        let Some(request) = self.take_request() else { return };
        match request.accept(&self.offer) {
            Ok((contexts, pdu)) => {
                self.contexts = contexts;
                self.peer_max_pdu_bytes = request.max_pdu_bytes;
                self.state = State::Sta6;
                self.due.push_back(Action::Send(pdu));
                self.due.push_back(Action::SetTimer(Timer::Idle));
            }
            Err(associate::Malformed) => self.violated(Violation::InvalidPdu),
        }
    }

    /// Answers [`Action::Requested`]: sends A-ASSOCIATE-RJ (AE-8).
    pub fn reject(&mut self, rejection: Rejection) {
        if self.take_request().is_some() {
            self.farewell(associate::reject(rejection).ok(), End::Rejected(rejection));
        }
    }

    /// Refuses the instance under way: the rest of its data set is passed over and the operation answered with `status`.
    pub fn refuse(&mut self, status: Status) {
        if let Message::Object { reply, .. } = &self.message {
            self.message = Message::Unwanted { reply: reply.clone(), status: Some(status) };
        }
    }

    /// Answers [`Action::EndObject`]: sends the C-STORE-RSP.
    pub fn complete(&mut self, status: Status) {
        if let Message::Storing { reply } = std::mem::replace(&mut self.message, Message::None) {
            self.respond(&reply, status);
        }
    }

    /// The timer that was set last ran out.
    pub fn timer_expired(&mut self, timer: Timer) {
        match (self.state, timer) {
            // AA-2: no association yet, so no abort either. AR-5 in Sta13.
            (State::Sta2 | State::Sta3, Timer::Request) | (State::Sta13, Timer::Closing) => {
                self.close(End::TimedOut(timer));
            }
            (State::Sta6, Timer::Transfer) if self.framer.completed() > self.armed_at => {
                self.set_transfer_timer();
            }
            (State::Sta6, Timer::Idle | Timer::Transfer) => {
                self.abort_as_provider(AbortRQServiceProviderReason::ReasonNotSpecified, End::TimedOut(timer));
            }
            _ => {}
        }
    }

    /// The transport connection was closed or failed (AA-4, AR-5).
    pub fn transport_closed(&mut self) {
        self.close(End::Lost);
    }

    /// Ends the association from this side: A-ABORT, service user (AA-1).
    pub fn stop(&mut self) {
        if matches!(self.state, State::Sta2 | State::Sta3) {
            self.close(End::Stopped);
        } else if self.state == State::Sta6 {
            let pdu = associate::encode(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser }).ok();
            self.farewell(pdu, End::Stopped);
        }
    }

    fn take_request(&mut self) -> Option<Box<Request>> {
        if self.state == State::Sta3 { self.request.take() } else { None }
    }

    fn piece<'a>(&mut self, piece: Piece<'a>) -> Option<&'a [u8]> {
        match (self.state, piece) {
            (State::Sta2, Piece::Header(PduType::AssociateRq | PduType::Abort))
            | (State::Sta6, Piece::Header(PduType::ReleaseRq | PduType::Abort)) => {}
            (State::Sta6, Piece::Header(PduType::PData)) => {
                if matches!(self.message, Message::None) {
                    self.set_transfer_timer();
                }
            }
            (State::Sta2, Piece::Whole(PduType::AssociateRq, pdu)) => self.requested(&pdu),
            // AR-2 and AR-4 in one: nothing here needs to be asked before agreeing to a release.
            (State::Sta6, Piece::Whole(PduType::ReleaseRq, _)) => {
                self.farewell(associate::encode(&Pdu::ReleaseRP).ok(), End::Released);
            }
            (_, Piece::Whole(PduType::Abort, _)) => self.close(End::Aborted),
            (State::Sta6, Piece::Fragment { context, command, end, last, bytes }) => {
                let last = end && last;
                if command {
                    self.command_fragment(context, last, bytes);
                } else {
                    return self.data_fragment(context, last, bytes);
                }
            }
            _ => self.violated(Violation::UnexpectedPdu),
        }
        None
    }

    fn requested(&mut self, pdu: &[u8]) {
        match Request::decode(pdu) {
            Ok(request) => {
                if let Some(why) = request.unsupported {
                    let pdu = associate::reject_unsupported(why).ok();
                    self.farewell(pdu, End::Protocol(Violation::Unsupported));
                    return;
                }
                self.due.push_back(Action::Requested(request.who.clone()));
                self.request = Some(Box::new(request));
                self.state = State::Sta3;
            }
            Err(associate::Malformed) => self.violated(Violation::InvalidPdu),
        }
    }

    fn set_transfer_timer(&mut self) {
        self.armed_at = self.framer.completed();
        self.due.push_back(Action::SetTimer(Timer::Transfer));
    }

    /// AA-1 in Sta2 (service user), AA-8 in Sta6 (service provider, with the reason of PS3.8 Table 9-26).
    fn violated(&mut self, violation: Violation) {
        let reason = match violation {
            Violation::UnrecognizedPdu => AbortRQServiceProviderReason::UnrecognizedPdu,
            Violation::UnexpectedPdu => AbortRQServiceProviderReason::UnexpectedPdu,
            Violation::TooLong | Violation::InvalidPdu | Violation::UnknownContext => {
                AbortRQServiceProviderReason::InvalidPduParameter
            }
            Violation::MalformedCommand | Violation::Unsupported | Violation::PeerMaximum => {
                AbortRQServiceProviderReason::ReasonNotSpecified
            }
        };
        if self.state == State::Sta6 {
            self.abort_as_provider(reason, End::Protocol(violation));
        } else {
            let pdu = associate::encode(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser }).ok();
            self.farewell(pdu, End::Protocol(violation));
        }
    }

    fn abort_as_provider(&mut self, reason: AbortRQServiceProviderReason, end: End) {
        let pdu = associate::encode(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) }).ok();
        self.farewell(pdu, end);
    }

    /// Sends a last PDU and waits for the peer to close (Sta13).
    fn farewell(&mut self, pdu: Option<Vec<u8>>, end: End) {
        self.give_up_object();
        self.end.get_or_insert(end);
        self.state = State::Sta13;
        self.due.extend(pdu.map(Action::Send));
        self.due.push_back(Action::SetTimer(Timer::Closing));
    }

    fn close(&mut self, end: End) {
        if self.state == State::Sta1 {
            return;
        }
        self.give_up_object();
        self.end.get_or_insert(end);
        self.state = State::Sta1;
        self.due.push_back(Action::StopTimer);
        self.due.push_back(Action::Close);
    }

    fn give_up_object(&mut self) {
        if let Message::Object { .. } = std::mem::replace(&mut self.message, Message::None) {
            self.due.push_back(Action::DiscardObject(Discard::Ended));
        }
    }
}
