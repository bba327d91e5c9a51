//! Messages on an established association (PS3.7 §6.3, §9.3): command sets are gathered and answered, data sets pass through.

use super::{Acceptor, State};
use crate::{
    COMMAND_CAP_BYTES, Head, HeadVerdict, Status,
    action::{Action, Discard, ObjectHeader, Timer, Violation},
    associate::{Context, Service},
    command::{self, C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, Command, RESPONSE, Reply, UidArgument},
};

/// Where the message stands (PS3.7 §6.3).
#[derive(Debug)]
pub(super) enum Message {
    None,
    /// Fragments of a command set.
    Command {
        context: u8,
        bytes: Vec<u8>,
    },
    /// A data set that is not wanted; its request will be answered with `status` (`None`: not at all).
    Unwanted {
        reply: Reply,
        status: Option<Status>,
    },
    /// The data set of an instance, on its way to the driver.
    Object {
        reply: Reply,
        head: Box<Head>,
    },
    /// The driver makes the instance durable.
    Storing {
        reply: Reply,
    },
}

impl Acceptor {
    pub(super) fn command_fragment(&mut self, context: u8, last: bool, bytes: &[u8]) {
        if matches!(self.message, Message::None) {
            if !self.contexts.iter().any(|accepted| accepted.id == context) {
                self.violated(Violation::UnknownContext);
                return;
            }
            self.message = Message::Command { context, bytes: Vec::new() };
        }
        let Message::Command { context: begun, bytes: kept } = &mut self.message else {
            self.violated(Violation::UnexpectedPdu);
            return;
        };
        if *begun != context {
            self.violated(Violation::UnexpectedPdu);
        } else if kept.len() + bytes.len() > COMMAND_CAP_BYTES {
            self.violated(Violation::TooLong);
        } else {
            kept.extend_from_slice(bytes);
            if last {
                let set = std::mem::take(kept);
                self.message = Message::None;
                match Command::decode(&set) {
                    Ok(command) => self.command(context, command),
                    Err(command::Malformed) => self.violated(Violation::MalformedCommand),
                }
            }
        }
    }

    fn command(&mut self, id: u8, command: Command) {
        let Some(context) = self.contexts.iter().find(|context| context.id == id).cloned() else { return };
        if command.field & RESPONSE != 0 {
            self.violated(Violation::UnexpectedPdu);
            return;
        }
        let reply = Reply {
            context: id,
            field: command.field,
            message_id: command.message_id.unwrap_or(0),
            sop_class: command.sop_class.uid().cloned(),
            sop_instance: command.sop_instance.uid().cloned(),
        };
        let status = match (command.field, context.service) {
            (C_STORE_RQ, Service::Storage) => match store_header(&command, &context) {
                Ok(header) => {
                    let ObjectHeader { transfer_syntax, sop_class, sop_instance, .. } = header.clone();
                    let head = Box::new(Head::new(transfer_syntax.as_str(), sop_class, sop_instance));
                    self.message = Message::Object { reply, head };
                    self.due.push_back(Action::BeginObject(header));
                    return;
                }
                Err(status) => Some(status),
            },
            (C_ECHO_RQ, Service::Verification) => Some(Status::Success),
            (C_STORE_RQ | C_ECHO_RQ, _) => Some(Status::SopClassNotSupported),
            // No response is defined for C-CANCEL-RQ (PS3.7 §9.3.2.3), and nothing here could be cancelled.
            (C_CANCEL_RQ, _) => None,
            _ => Some(Status::UnrecognizedOperation),
        };
        if command.has_data_set {
            self.message = Message::Unwanted { reply, status };
        } else {
            self.answer(&reply, status);
        }
    }

    pub(super) fn data_fragment<'a>(&mut self, context: u8, last: bool, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match &mut self.message {
            Message::Object { reply, head } if reply.context == context => {
                let verdict = head.feed(bytes);
                let verdict = if last { head.finish() } else { verdict };
                let status = match verdict {
                    HeadVerdict::Undecided | HeadVerdict::Agrees => {
                        if last {
                            self.message = Message::Storing { reply: reply.clone() };
                            self.due.push_back(Action::StopTimer);
                            self.due.push_back(Action::EndObject);
                        }
                        return (!bytes.is_empty()).then_some(bytes);
                    }
                    HeadVerdict::Mismatch => Status::DataSetMismatch,
                    HeadVerdict::NotADataSet => Status::CannotUnderstand,
                };
                let reply = reply.clone();
                self.due.push_back(Action::DiscardObject(Discard::Refused(status)));
                self.unwanted(reply, Some(status), last);
            }
            Message::Unwanted { reply, status } if reply.context == context => {
                let (reply, status) = (reply.clone(), *status);
                self.unwanted(reply, status, last);
            }
            _ => self.violated(Violation::UnexpectedPdu),
        }
        None
    }

    fn unwanted(&mut self, reply: Reply, status: Option<Status>, last: bool) {
        if last {
            self.message = Message::None;
            self.answer(&reply, status);
        } else {
            self.message = Message::Unwanted { reply, status };
        }
    }

    fn answer(&mut self, reply: &Reply, status: Option<Status>) {
        match status {
            Some(status) => self.respond(reply, status),
            None => self.due.push_back(Action::SetTimer(Timer::Idle)),
        }
    }

    pub(super) fn respond(&mut self, reply: &Reply, status: Status) {
        if self.state != State::Sta6 {
            return;
        }
        match command::p_data(reply.context, &reply.encode(status), self.peer_max_pdu_bytes) {
            Some(bytes) => {
                self.due.push_back(Action::Send(bytes));
                if reply.field == C_ECHO_RQ && status == Status::Success {
                    self.due.push_back(Action::Echoed);
                }
                self.due.push_back(Action::SetTimer(Timer::Idle));
            }
            None => self.violated(Violation::PeerMaximum),
        }
    }
}

/// Checks the arguments of a C-STORE-RQ (PS3.7 §9.1.1) against its presentation context.
fn store_header(command: &Command, context: &Context) -> Result<ObjectHeader, Status> {
    let sop_class = match &command.sop_class {
        UidArgument::Uid(uid) if *uid == context.abstract_syntax => uid.clone(),
        UidArgument::Uid(_) | UidArgument::Illegal => return Err(Status::SopClassNotSupported),
        UidArgument::Absent => return Err(Status::MistypedArgument),
    };
    let sop_instance = match &command.sop_instance {
        UidArgument::Uid(uid) => uid.clone(),
        UidArgument::Illegal => return Err(Status::InvalidSopInstance),
        UidArgument::Absent => return Err(Status::MistypedArgument),
    };
    if !command.has_data_set {
        return Err(Status::CannotUnderstand);
    }
    Ok(ObjectHeader { context: context.id, sop_class, sop_instance, transfer_syntax: context.transfer_syntax.clone() })
}
