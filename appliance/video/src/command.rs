//! ffmpeg's command lines. Only the pipes it has are opened; of the stream only the first video track is taken, nothing that is said
//! about it; a fault in the stream ends it.

use crate::{
    container::Container,
    orders::{Codec, Scan, Standard},
};

/// What every command line begins with: no questions, no words, no protocol but the pipes.
const FIRST: &str = "-nostdin -hide_banner -loglevel quiet -xerror -protocol_whitelist pipe -threads 1";
/// Frames as they follow each other, with their size, rate and field order in front (YUV4MPEG2).
const FRAMES: &str = "yuv4mpegpipe";
/// Most pictures between two from which decoding can begin.
const KEY_INTERVAL: &str = "50";

/// Decodes standard input to frames of exactly this size. A frame of another size, at the start or later, is a fault.
pub(crate) fn decode(codec: Codec, container: Container, columns: u16, rows: u16) -> Vec<String> {
    let mut line = words(FIRST);
    // In memory a picture has edges, and ffmpeg measures its own buffers by the same bound.
    let pixels = (u64::from(columns) + 320) * (u64::from(rows) + 320);
    let decoder = match codec {
        Codec::Mpeg2 => "mpeg2video",
        Codec::Avc => "h264",
        Codec::Hevc => "hevc",
    };
    line.extend(words("-noautorotate -max_streams 16 -err_detect explode -max_error_rate 0 -max_pixels"));
    line.extend([pixels.to_string(), "-c:v".into(), decoder.into(), "-f".into(), container.name().into()]);
    line.extend(words("-i pipe:0 -map 0:v:0 -an -sn -dn -map_metadata -1 -map_chapters -1"));
    // Checked whenever the filter is set up, which is at the first frame and at each of another size.
    let exact = format!("crop=w=if(eq(iw\\,{columns})*eq(ih\\,{rows})\\,iw\\,0):h=ih:x=0:y=0");
    line.extend(["-vf".into(), exact]);
    line.extend(words("-fps_mode passthrough -strict -1 -f"));
    line.extend([FRAMES.into(), "pipe:1".into()]);
    line
}

/// Encodes frames from standard input to a transport stream, which may hold any of the codecs (PS3.5 8.2.7, 8.2.8, 8.2.10, 8.2.11 name
/// it and MP4; 8.2.5 and 8.2.6 constrain no container). What encoders say of themselves in user data (SEI) is taken out again.
pub(crate) fn encode(standard: Standard, scan: Scan, quality: u8) -> Vec<String> {
    let mut line = words(FIRST);
    line.extend(words("-f yuv4mpegpipe -i pipe:0 -map 0:v:0 -an -sn -dn -map_metadata -1 -map_chapters -1 -threads 1"));
    let (fields, order) = match scan {
        Scan::Progressive => ("", None),
        Scan::TopFirst => ("+ildct+ilme", Some("setfield=tff")),
        Scan::BottomFirst => ("+ildct+ilme", Some("setfield=bff")),
    };
    line.extend(order.into_iter().flat_map(|order| ["-vf".to_owned(), order.to_owned()]));
    let avc = |level: &str, quality: u8| {
        let mut line = words("-c:v libx264 -preset veryfast -profile:v high -level:v");
        line.extend([level.into(), "-crf".into(), quality.to_string(), "-g".into(), KEY_INTERVAL.into()]);
        line.extend(words(
            "-maxrate 50M -bufsize 62500k -bf 2 -x264-params threads=1:sync-lookahead=0:rc-lookahead=10",
        ));
        // Only slices, parameter sets and delimiters.
        line.extend(words("-bsf:v filter_units=pass_types=1-5|7-9"));
        line
    };
    let hevc = |profile: &str, pixels: &str| {
        let mut line = words("-c:v libx265 -preset veryfast -profile:v");
        line.extend([profile.into(), "-pix_fmt".into(), pixels.into(), "-crf".into(), quality.to_string()]);
        // Transforms no larger than the grid to which blanks are rounded out.
        let settings = "info=0:log-level=none:pools=none:frame-threads=1:ctu=32:max-tu-size=16:rc-lookahead=10:bframes=2:\
                        level-idc=5.1:high-tier=0:vbv-maxrate=40000:vbv-bufsize=40000:keyint=";
        line.extend(["-x265-params".into(), format!("{settings}{KEY_INTERVAL}")]);
        // Only slices, parameter sets and delimiters.
        line.extend(words("-bsf:v filter_units=pass_types=0-9|16-21|32-35"));
        line
    };
    let mpeg2 = |level: &str, rate: &str, buffer: &str| {
        // Main Profile is 4; of the levels Main is 8, High is 4 (ISO/IEC 13818-2 tables 8-2, 8-3).
        let mut line = words("-c:v mpeg2video -profile:v 4 -g 15 -bf 2 -a53cc 0 -qmin 1 -level:v");
        line.extend([
            level.into(),
            "-q:v".into(),
            scale(quality).to_string(),
            "-maxrate".into(),
            rate.into(),
            "-bufsize".into(),
            buffer.into(),
        ]);
        // No user data.
        line.extend(words("-bsf:v filter_units=remove_types=178"));
        line
    };
    line.extend(match standard {
        Standard::Mpeg2Main => mpeg2("8", "15M", "1835008"),
        Standard::Mpeg2High => mpeg2("4", "80M", "9781248"),
        Standard::Avc41 => avc("4.1", quality),
        Standard::Avc42 => avc("4.2", quality),
        Standard::HevcMain => hevc("main", "yuv420p"),
        Standard::HevcMain10 => hevc("main10", "yuv420p10le"),
    });
    line.extend(words("-fflags +bitexact -flags:v"));
    line.push(format!("+bitexact{fields}"));
    line.extend(words("-f mpegts pipe:1"));
    line
}

/// The scale of MPEG-2's quantiser (1 to 31) that stands for a constant rate factor of x264: 18 is 2, and six more twice as much.
fn scale(quality: u8) -> u32 {
    ((f64::from(quality) - 18.0) / 6.0).exp2().mul_add(2.0, 0.0).round().clamp(1.0, 31.0) as u32
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_pipes_is_opened_and_nothing_but_pictures_taken() {
        let decode = decode(Codec::Avc, Container::Mp4, 640, 480).join(" ");
        let encodes = [
            Standard::Mpeg2Main,
            Standard::Mpeg2High,
            Standard::Avc41,
            Standard::Avc42,
            Standard::HevcMain,
            Standard::HevcMain10,
        ];
        let encodes = encodes.map(|standard| encode(standard, Scan::TopFirst, 18).join(" "));
        for line in [&decode].into_iter().chain(&encodes) {
            for says in
                ["-protocol_whitelist pipe ", "-xerror ", "-map 0:v:0 -an -sn -dn -map_metadata -1 ", " -i pipe:0 "]
            {
                assert!(line.contains(says), "{says}: {line}");
            }
            assert!(line.ends_with(" pipe:1") && !line.contains('/'), "{line}");
        }
        assert!(decode.contains("-max_pixels 768000 -c:v h264 -f mov -i"), "{decode}");
        assert!(
            encodes.iter().all(|line| line.contains("+bitexact+ildct+ilme") && line.contains("-bsf:v filter_units="))
        );
    }

    #[test]
    fn quality_is_the_same_for_every_codec() {
        assert_eq!([0, 12, 18, 24, 30, 51].map(scale), [1, 1, 2, 4, 8, 31]);
    }
}
