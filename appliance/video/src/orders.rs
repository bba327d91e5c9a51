//! What is to be done, as the de-identifier says it: words of closed lists, and numbers.
//!
//! ```text
//! decode FFMPEG CODEC COLUMNS ROWS MEMORY-BYTES SECONDS < stream > frames.y4m
//! encode FFMPEG STANDARD SCAN QUALITY FILE-BYTES COLUMNS ROWS MEMORY-BYTES SECONDS < frames.y4m > stream
//! ```

use std::{ffi::OsString, path::PathBuf};

/// How a stream is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// MPEG-2 (ISO/IEC 13818-2).
    Mpeg2,
    /// H.264 (ISO/IEC 14496-10).
    Avc,
    /// HEVC (ISO/IEC 23008-2).
    Hevc,
}

/// Profile and level of what is encoded: those of DICOM's transfer syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// MPEG-2 Main Profile, Main Level (PS3.5 8.2.5).
    Mpeg2Main,
    /// MPEG-2 Main Profile, High Level (PS3.5 8.2.6).
    Mpeg2High,
    /// H.264 High Profile, Level 4.1 (PS3.5 8.2.7).
    Avc41,
    /// H.264 High Profile, Level 4.2 (PS3.5 8.2.8).
    Avc42,
    /// HEVC Main Profile, Level 5.1 (PS3.5 8.2.10).
    HevcMain,
    /// HEVC Main 10 Profile, Level 5.1 (PS3.5 8.2.11).
    HevcMain10,
}

/// Order of a frame's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// As they stand.
    Progressive,
    /// Interlaced, the top field first.
    TopFirst,
    /// Interlaced, the bottom field first.
    BottomFirst,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Frames of a stream.
    Decode {
        /// How it is coded.
        codec: Codec,
    },
    /// A stream of frames.
    Encode {
        /// As what.
        standard: Standard,
        /// Of what.
        scan: Scan,
        /// Constant rate factor of x264 and x265; for MPEG-2 the scale of the quantiser follows from it.
        quality: u8,
        /// Longest stream, bytes.
        file_bytes: u64,
    },
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orders {
    /// ffmpeg.
    pub(crate) program: PathBuf,
    /// What to do.
    pub(crate) task: Task,
    /// Columns of a frame.
    pub(crate) columns: u16,
    /// Rows of a frame.
    pub(crate) rows: u16,
    /// Address space, bytes.
    pub(crate) memory_bytes: u64,
    /// Processor time.
    pub(crate) seconds: u64,
}

impl Orders {
    /// Orders from the arguments; `None` when they are none.
    pub(crate) fn of(arguments: &[OsString]) -> Option<Self> {
        let (program, words) = match arguments {
            [verb, program, rest @ ..] => {
                let rest: Option<Vec<&str>> = rest.iter().map(|word| word.to_str()).collect();
                (program, [vec![verb.to_str()?], rest?].concat())
            }
            _ => return None,
        };
        let (task, rest) = match words.as_slice() {
            ["decode", codec, rest @ ..] => (Task::Decode { codec: Codec::of(codec)? }, rest),
            ["encode", standard, scan, quality, bytes, rest @ ..] => {
                let quality = quality.parse().ok().filter(|quality| *quality <= 51)?;
                let (standard, scan) = (Standard::of(standard)?, Scan::of(scan)?);
                (Task::Encode { standard, scan, quality, file_bytes: bytes.parse().ok()? }, rest)
            }
            _ => return None,
        };
        let [columns, rows, memory, seconds] = rest else { return None };
        Some(Self {
            program: program.into(),
            task,
            columns: columns.parse().ok()?,
            rows: rows.parse().ok()?,
            memory_bytes: memory.parse().ok()?,
            seconds: seconds.parse().ok()?,
        })
    }

    /// Largest file that may be written, bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        match self.task {
            // Frames go to a pipe.
            Task::Decode { .. } => 0,
            Task::Encode { file_bytes, .. } => file_bytes,
        }
    }
}

impl Codec {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "mpeg2" => Self::Mpeg2,
            "avc" => Self::Avc,
            "hevc" => Self::Hevc,
            _ => return None,
        })
    }
}

impl Standard {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "mpeg2-main" => Self::Mpeg2Main,
            "mpeg2-high" => Self::Mpeg2High,
            "avc-41" => Self::Avc41,
            "avc-42" => Self::Avc42,
            "hevc-main" => Self::HevcMain,
            "hevc-main10" => Self::HevcMain10,
            _ => return None,
        })
    }
}

impl Scan {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "progressive" => Self::Progressive,
            "top-first" => Self::TopFirst,
            "bottom-first" => Self::BottomFirst,
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn orders(text: &str) -> Option<Orders> {
        Orders::of(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_words_of_the_lists_and_numbers_are_orders() {
        let decode = orders("decode /usr/bin/ffmpeg avc 640 480 1073741824 60").unwrap();
        assert_eq!((decode.task, decode.file_bytes()), (Task::Decode { codec: Codec::Avc }, 0));
        let encode = orders("encode f hevc-main10 progressive 18 1000 640 480 1 2").unwrap();
        assert_eq!((encode.columns, encode.rows, encode.file_bytes()), (640, 480, 1000));
        for bad in [
            "",
            "decode f avc 640 480 1",
            "decode f avc 640 480 1 2 3",
            "decode f mjpeg 640 480 1 2",
            "decode f avc 65536 480 1 2",
            "encode f avc-41 progressive 52 1000 640 480 1 2",
            "encode f avc-41 sideways 18 1000 640 480 1 2",
            "encode f avc-52 progressive 18 1000 640 480 1 2",
            "copy f avc 640 480 1 2",
        ] {
            assert!(orders(bad).is_none(), "{bad}");
        }
    }
}
