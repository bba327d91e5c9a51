//! Settings of video, `[video]`; nothing here touches anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Video (MPEG-2, H.264, HEVC): decoded, redacted and encoded again by ffmpeg in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Video {
    /// Whether it is.
    pub mode: Mode,
    /// `gift-video`, which confines ffmpeg.
    pub coder: PathBuf,
    /// ffmpeg, of Debian's `ffmpeg`.
    pub program: PathBuf,
    /// Longest time for one object, from the moment its first frame is decoded; in place of `workers.timeout-seconds`. No ffmpeg has
    /// more processor time.
    pub timeout_seconds: u64,
    /// Address space of one ffmpeg, bytes; up to two run for each worker.
    pub memory_bytes: u64,
    /// Objects with larger frames are held.
    pub max_pixels: u64,
    /// Objects with more frames are held.
    pub max_frames: u32,
    /// Constant rate factor of what is encoded, 0 to 51: less is better and longer.
    pub crf: u8,
}

/// Whether video is redacted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is held.
    #[default]
    Off,
    /// It is redacted, and released when that is proven.
    Redact,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            coder: "/usr/bin/gift-video".into(),
            program: "/usr/bin/ffmpeg".into(),
            timeout_seconds: 900,
            memory_bytes: 1 << 30,
            max_pixels: 1920 * 1088,
            max_frames: 20_000,
            crf: 18,
        }
    }
}

impl Video {
    /// True when video is redacted.
    pub fn is_on(&self) -> bool {
        self.mode == Mode::Redact
    }
}
