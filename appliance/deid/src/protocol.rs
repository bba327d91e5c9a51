//! What monitor and worker say to each other. Everything from the worker is a claim: the monitor checks it.

use gift_deidentify::pseudonym::{Answer, Ask, Place};
use gift_redact::video::{Coding, Film, Scan};
use gift_status::HoldReason;
use serde::{Deserialize, Serialize};

use crate::{
    ask::AskLimits,
    eyes::Looked,
    sandbox::{Bounds, Landlock},
    settings::{Ocr, Video},
};

/// Most questions in one message; their answers fit one message too.
pub const ASKS_PER_MESSAGE: usize = 128;

/// From the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// The first message. With it come four descriptors: policy, input, output, scratch; where video is redacted six more: the stream as
    /// received, the encoded one, frames as received, the same again, frames as written, frames to be encoded.
    Start(Start),
    /// Judge the object that lies in the input.
    Judge(Job),
    /// Answers to the last questions, in order.
    Answers(Vec<Answer>),
    /// All coders have ended; true when every one succeeded.
    Coded(bool),
    /// What was read in the picture: a word a line, after its confidence. `None`: the reader failed.
    Text(Option<String>),
}

/// What a worker needs before it closes its sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// Its bounds.
    pub bounds: Bounds,
    /// Length of the policy, bytes.
    pub policy_bytes: u64,
    /// What it may ask for one object.
    pub asks: AskLimits,
    /// The second look.
    pub ocr: Ocr,
    /// Video.
    pub video: Video,
}

/// One object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Length of the input, bytes.
    pub input_bytes: u64,
    /// Transfer syntax of the presentation context it came in.
    pub transfer_syntax_uid: String,
    /// Affected SOP Class UID of the C-STORE command; the data set's must be the same.
    pub sop_class_uid: String,
    /// Affected SOP Instance UID of the C-STORE command; the data set's must be the same.
    pub sop_instance_uid: String,
    /// Name of the profile.
    pub profile: String,
    /// Where a national number of the route's linkage domain may stand; none without a domain.
    pub places: Vec<Place>,
    /// An identifier was read in it before, or the second look failed: it is looked at whichever it is of its series.
    pub look: bool,
}

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The sandbox is closed and the policy read.
    Ready {
        /// How far landlock closes it.
        landlock: Landlock,
    },
    /// Questions.
    Ask(Vec<Ask>),
    /// Something of a coder of video. Only [`Coder::Finish`] is answered.
    Code(Coder),
    /// Scratch holds a grey picture (PGM) whose text is to be read.
    Read,
    /// The output holds a de-identified object.
    Released(Box<Facts>),
    /// The object must be held: an identifier was read in its finished pixels.
    TextFound {
        /// The template or rule that cleared them.
        ground: String,
        /// The format's fingerprint.
        fingerprint: Option<String>,
    },
    /// The object must be held.
    Held {
        /// Why.
        reason: HoldReason,
        /// The format's fingerprint, when the object could be read that far.
        fingerprint: Option<String>,
    },
}

/// What a worker asks for video; of each film and of encoding once for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coder {
    /// Decode this film to its pipe.
    Decode(Film, Coding),
    /// Encode the frames of the pipe.
    Encode(Coding, Scan),
    /// Wait for all of them to end.
    Finish,
}

/// What the manifest needs to know of a released object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Length of the output, bytes.
    pub output_bytes: u64,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// SOP Instance UID, pseudonymous.
    pub sop_instance_uid: String,
    /// Study Instance UID, pseudonymous.
    pub study_instance_uid: String,
    /// Series Instance UID, pseudonymous.
    pub series_instance_uid: String,
    /// Transfer syntax of the output.
    pub transfer_syntax_uid: String,
    /// Subject pseudonym.
    pub subject: String,
    /// Attributes per action code, D Z X K C U.
    pub actions: [u32; 6],
    /// Template by which pixels were redacted.
    pub template: Option<String>,
    /// Frames proven.
    pub frames_proven: u32,
    /// Patterns the leak scan looked for.
    pub leak_patterns: u32,
    /// What the second look came to.
    pub looked: Looked,
}
