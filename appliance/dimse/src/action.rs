//! The vocabulary between the acceptor and its driver.

use crate::{
    Status, Uid,
    associate::{AssociationRequest, Rejection},
};

/// What the driver is to do, in this order. Those marked *asks* stop the acceptor until they are answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Write these bytes, in one write.
    Send(Vec<u8>),
    /// Start this timer in place of any other; when it runs out, call [`crate::Acceptor::timer_expired`].
    SetTimer(Timer),
    /// No timer runs.
    StopTimer,
    /// *Asks* for [`crate::Acceptor::accept`] or [`crate::Acceptor::reject`].
    Requested(AssociationRequest),
    /// An instance begins. [`crate::Acceptor::refuse`] may be called from here to [`Action::EndObject`].
    BeginObject(ObjectHeader),
    /// Bytes of its data set, as they came.
    ObjectBytes(&'a [u8]),
    /// The data set is complete. *Asks* for [`crate::Acceptor::complete`], once the instance is durable or cannot be.
    EndObject,
    /// The instance that was begun will not be completed: erase what was written.
    DiscardObject(Discard),
    /// A C-ECHO was answered.
    Echoed,
    /// Close the transport connection. The last action.
    Close,
}

/// The timers; how long each runs is the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// ARTIM, first use: connection to A-ASSOCIATE-RQ (PS3.8 §9.1.5).
    Request,
    /// Between messages.
    Idle,
    /// Within a message: started anew for as long as whole PDUs arrive.
    Transfer,
    /// ARTIM, second use: until the peer closes the transport connection (Sta13).
    Closing,
}

/// What a C-STORE-RQ and its presentation context say of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHeader {
    /// Identifier of the presentation context.
    pub context: u8,
    /// Affected SOP Class UID, which is the context's abstract syntax.
    pub sop_class: Uid,
    /// Affected SOP Instance UID.
    pub sop_instance: Uid,
    /// Transfer syntax of the presentation context.
    pub transfer_syntax: Uid,
}

/// Why an instance was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Its head does not fit: the operation will be answered with this status (A900H or C000H).
    Refused(Status),
    /// The association ended under it.
    Ended,
}

/// How an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer released it.
    Released,
    /// The peer aborted it.
    Aborted,
    /// The transport connection went away.
    Lost,
    /// The driver rejected it.
    Rejected(Rejection),
    /// The peer broke the protocol.
    Protocol(Violation),
    /// A timer ran out.
    TimedOut(Timer),
    /// The driver aborted it.
    Stopped,
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// No such PDU type.
    UnrecognizedPdu,
    /// A PDU or fragment that has no place here.
    UnexpectedPdu,
    /// A PDU or command set longer than its cap.
    TooLong,
    /// A PDU whose fields do not fit together.
    InvalidPdu,
    /// A fragment on a presentation context that was not accepted.
    UnknownContext,
    /// A command set that is none.
    MalformedCommand,
    /// Protocol version or application context that is not supported.
    Unsupported,
    /// A maximum PDU length that no response fits.
    PeerMaximum,
}
