//! Why something did not go through: closed lists, one word each, shared by quarantine, reports and metrics.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }
        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The stable word used in reports, metrics and tables.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)+ } }
            /// The value that `word` stands for.
            pub fn from_word(word: &str) -> Option<Self> { match word { $($word => Some(Self::$variant),)+ _ => None } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words! {
    /// Why an object stands in quarantine instead of being released.
    HoldReason {
        /// No route names this called AE title and source.
        Unrouted => "unrouted",
        /// May carry burnt-in text, and no redaction template matches its format.
        NoTemplate => "no-template",
        /// A template matches, but no signed bundle has marked it verified.
        UnverifiedTemplate => "unverified-template",
        /// Several equally specific templates match.
        AmbiguousTemplate => "ambiguous-template",
        /// The image is not laid out as the template expects: an anchor failed, or it has not the ultrasound regions it needs.
        TemplateMismatch => "template-mismatch",
        /// Needs redaction, but this transfer syntax cannot be redacted here.
        UnsupportedTransferSyntax => "unsupported-transfer-syntax",
        /// A SOP class that no rule can make safe (encapsulated documents, raw data, …).
        UnsupportedSopClass => "unsupported-sop-class",
        /// Recognisable visual features (a face) that cannot be removed here.
        RecognizableFeatures => "recognizable-features",
        /// Not a readable data set.
        Malformed => "malformed",
        /// A limit was exceeded: nesting, number of elements, inflated size.
        LimitExceeded => "limit-exceeded",
        /// Attributes that contradict each other or the pixel data.
        Inconsistent => "inconsistent",
        /// No Patient ID: nothing a pseudonym can be made of.
        NoPatientId => "no-patient-id",
        /// The pixel data could not be decoded.
        DecodeFailed => "decode-failed",
        /// After redaction, the proof (decode again and compare) did not hold.
        RedactionUnproven => "redaction-unproven",
        /// The leak scan found an identifier in the finished bytes.
        LeakFound => "leak-found",
        /// The second look (OCR) read an identifier of the object in the finished pixels.
        TextInPixels => "text-in-pixels",
        /// The second look could not be taken: the reader of text failed or was too slow.
        SecondLookFailed => "second-look-failed",
        /// The worker died on it (crash, memory limit).
        WorkerCrashed => "worker-crashed",
        /// The worker did not finish in time.
        WorkerTimeout => "worker-timeout",
        /// The hub isolated it: its own check against the profile failed.
        RefusedByHub => "refused-by-hub",
    }
}

words! {
    /// Why an association was rejected or an operation refused, for the receiver's counters. The peer always sees the same
    /// uniform rejection.
    RejectReason {
        /// Called or calling AE title, or address, not allowed.
        NotAllowed => "not-allowed",
        /// Too many associations, from this address or in all.
        Congestion => "congestion",
        /// The disk is short.
        DiskShort => "disk-short",
        /// The peer broke the protocol (PS3.8).
        Protocol => "protocol",
        /// The peer was too slow (ARTIM or idle timer).
        Timeout => "timeout",
        /// C-STORE refused with A900H: data set does not match the command.
        DataSetMismatch => "data-set-mismatch",
        /// C-STORE refused with C000H: the bytes are no data set.
        NotADataSet => "not-a-data-set",
        /// Storage failed (A700H after an IO error).
        Storage => "storage",
    }
}

words! {
    /// Why an upload attempt failed.
    UploadFailure {
        /// Name not resolved, connection refused, reset or timed out.
        Unreachable => "unreachable",
        /// TLS: the hub's certificate is not the pinned one (network path intercepted?), or ours was refused.
        Tls => "tls",
        /// The hub answered with a server error or asked to slow down.
        Busy => "busy",
        /// The hub refused the object.
        Refused => "refused",
        /// The receipt does not match what was sent.
        ReceiptMismatch => "receipt-mismatch",
    }
}
