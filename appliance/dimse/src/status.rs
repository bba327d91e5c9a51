//! Status codes of DIMSE responses (PS3.7 Annex C, PS3.4 B.2.3).

/// A status this SCP answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Status {
    /// 0000H. For C-STORE: the instance is durable.
    Success = 0x0000,
    /// 0117H: the SOP Instance UID violates the UID construction rules.
    InvalidSopInstance = 0x0117,
    /// 0122H: the SOP class is not the one negotiated for the presentation context.
    SopClassNotSupported = 0x0122,
    /// 0211H: not an operation of this SCP.
    UnrecognizedOperation = 0x0211,
    /// 0212H: an argument of the command is missing or of the wrong kind.
    MistypedArgument = 0x0212,
    /// A700H: no room, or the store failed.
    OutOfResources = 0xA700,
    /// A900H: the data set is not of the SOP class, or not the SOP instance, that the command names.
    DataSetMismatch = 0xA900,
    /// C000H: the bytes are no data set.
    CannotUnderstand = 0xC000,
}

impl Status {
    /// The code on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }
}
