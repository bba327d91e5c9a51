//! What a stream is packed in, by its first bytes. ffmpeg is told, and guesses nothing: a playlist or a script is none of these.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::orders::Codec;

/// Bytes looked at.
const HEAD_BYTES: usize = 400;

/// A container that DICOM allows (PS3.5 8.2.5 to 8.2.11; for H.264 and HEVC no bare stream, which scanners write all the same).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// MPEG-2 transport stream (ISO/IEC 13818-1).
    TransportStream,
    /// MPEG-2 program stream (ISO/IEC 13818-1).
    ProgramStream,
    /// MP4 (ISO/IEC 14496-12, 14496-14).
    Mp4,
    /// None: start codes and units of the codec.
    Bare(Codec),
}

impl Container {
    /// The container of `stream`, which is coded so; `None` for everything else.
    pub(crate) fn of(stream: &File, codec: Codec) -> Option<Self> {
        let mut head = [0; HEAD_BYTES];
        let read = stream.read_at(&mut head, 0).ok()?;
        Self::of_head(&head[..read], codec)
    }

    fn of_head(head: &[u8], codec: Codec) -> Option<Self> {
        // Packets of 188 bytes, on Blu-ray Disc after four bytes of time.
        let packets = |first: usize, each: usize| (0..2).all(|n| head.get(first + n * each) == Some(&0x47));
        if packets(0, 188) || packets(4, 192) {
            return Some(Self::TransportStream);
        }
        if head.get(4..8) == Some(b"ftyp") {
            return Some(Self::Mp4);
        }
        let unit = match head {
            [0, 0, 1, unit, ..] | [0, 0, 0, 1, unit, ..] => *unit,
            _ => return None,
        };
        match codec {
            Codec::Mpeg2 if unit == 0xBA => Some(Self::ProgramStream),
            // A sequence header.
            Codec::Mpeg2 => (unit == 0xB3).then_some(Self::Bare(codec)),
            // SEI, sequence parameter set, access unit delimiter.
            Codec::Avc => (unit & 0x80 == 0 && matches!(unit & 0x1F, 6 | 7 | 9)).then_some(Self::Bare(codec)),
            // Video, sequence and picture parameter set, access unit delimiter, prefix SEI.
            Codec::Hevc => matches!(unit >> 1, 32..=35 | 39).then_some(Self::Bare(codec)),
        }
    }

    /// ffmpeg's name of its demultiplexer.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TransportStream => "mpegts",
            Self::ProgramStream => "mpeg",
            Self::Mp4 => "mov",
            Self::Bare(Codec::Mpeg2) => "mpegvideo",
            Self::Bare(Codec::Avc) => "h264",
            Self::Bare(Codec::Hevc) => "hevc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_first_bytes_and_nothing_else_is_one() {
        let packets = [0x47; 400];
        let disc: Vec<u8> = (0..400).map(|i| if i % 192 == 4 { 0x47 } else { 0 }).collect();
        for (head, codec, container) in [
            (&packets[..], Codec::Avc, Some(Container::TransportStream)),
            (&disc, Codec::Hevc, Some(Container::TransportStream)),
            (b"\0\0\0\x20ftypisom", Codec::Avc, Some(Container::Mp4)),
            (b"\0\0\0\x20ftypisom", Codec::Mpeg2, Some(Container::Mp4)),
            (b"\0\0\x01\xBA\x44", Codec::Mpeg2, Some(Container::ProgramStream)),
            (b"\0\0\x01\xBA\x44", Codec::Avc, None),
            (b"\0\0\x01\xB3\x28", Codec::Mpeg2, Some(Container::Bare(Codec::Mpeg2))),
            (b"\0\0\0\x01\x67\x64", Codec::Avc, Some(Container::Bare(Codec::Avc))),
            (b"\0\0\0\x01\x40\x01", Codec::Hevc, Some(Container::Bare(Codec::Hevc))),
            (b"#EXTM3U\n#EXT-X-VERSION:3\n", Codec::Avc, None),
            (b"ffconcat version 1.0\nfile /etc/passwd\n", Codec::Avc, None),
            (b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", Codec::Avc, None),
            (b"RIFF\0\0\0\0AVI ", Codec::Avc, None),
            (b"\x1A\x45\xDF\xA3matroska", Codec::Avc, None),
            (b"<?xml version=\"1.0\"?><MPD>", Codec::Avc, None),
            (b"G", Codec::Avc, None),
            (b"", Codec::Hevc, None),
        ] {
            assert_eq!(Container::of_head(head, codec), container, "{}", head.escape_ascii());
        }
    }
}
