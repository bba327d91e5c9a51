//! Video through the whole system: MPEG-2, H.264 and HEVC, in every container, progressive and interlaced, of 8 and of 10 bit, with
//! burnt-in text and with an identifier in sound, metadata and user data. What is released is decoded by ffmpeg left to itself.
//!
//! Counts as failure: text left in a frame, a frame too few or too many, a picture that is not like the one received, an identifier
//! anywhere in the object, a released object that should be held, a file opened that a stream names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;
#[path = "common/film.rs"]
mod film;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use common::{Fixture, PATIENCE};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::PixelFragmentSequence};
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject};
use film::{COLUMNS, DARK, Likeness, REGION, ROWS, Scene, decoded, ffmpeg, likeness, probed};
use gift_deid::key::{Credential, SiteKey};
use gift_deidentify::pseudonym::{Answer, Ask, Pseudonymise as _};
use gift_e2e::{
    outcome,
    rig::{Rig, Role, layout},
};
use gift_status::HoldReason;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

const PLANTED: &str = "ZWETSCHGE";
const SYNTAXES: &str = "1.2.840.10008.1.2.4.";
/// What the file that streams name has in it.
const SECRET: &[u8] = b"not to be opened";

/// What is to become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Released, in this transfer syntax, coded as ffprobe says.
    Released(&'static str, &'static str),
    Held(HoldReason),
}

/// An object.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    syntax: &'static str,
    fragments: Vec<Vec<u8>>,
    bits: u32,
    frames: usize,
    rows: usize,
    model: &'static str,
    expect: Expect,
}

impl Case {
    fn new(name: &'static str, syntax: &'static str, stream: Vec<u8>, expect: Expect) -> Self {
        Self { name, syntax, fragments: vec![stream], bits: 8, frames: 20, rows: ROWS, model: "Scan 7", expect }
    }

    fn uid(&self) -> String {
        let number: u32 = self.name.bytes().fold(7, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
        format!("1.2.826.0.1.3680043.10.999.1.{number}")
    }

    fn write(&self, directory: &Path) -> PathBuf {
        const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.3.1";
        let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let number = |tag: Tag, value: usize| DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16));
        let (rows, columns) = (number(tags::ROWS, self.rows), number(tags::COLUMNS, COLUMNS));
        let mut object = InMemDicomObject::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, SOP_CLASS),
            text(tags::SOP_INSTANCE_UID, VR::UI, &self.uid()),
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.826.0.1.3680043.10.999.2"),
            text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.826.0.1.3680043.10.999.3"),
            text(tags::PATIENT_NAME, VR::PN, &format!("{PLANTED}^{PLANTED}")),
            text(tags::PATIENT_ID, VR::LO, "VIDEO-4711"),
            text(tags::MODALITY, VR::CS, "US"),
            text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
            text(tags::MANUFACTURER, VR::LO, "Acme"),
            text(tags::MANUFACTURER_MODEL_NAME, VR::LO, self.model),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "YBR_PARTIAL_420"),
            text(tags::NUMBER_OF_FRAMES, VR::IS, &self.frames.to_string()),
            text(tags::CINE_RATE, VR::IS, "25"),
            text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01"),
            text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, "30"),
            text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_14496_10"),
            rows,
            columns,
            number(tags::SAMPLES_PER_PIXEL, 3),
            number(tags::PLANAR_CONFIGURATION, 0),
            number(tags::BITS_ALLOCATED, if self.bits > 8 { 16 } else { 8 }),
            number(tags::BITS_STORED, self.bits as usize),
            number(tags::HIGH_BIT, self.bits as usize - 1),
            number(tags::PIXEL_REPRESENTATION, 0),
        ]);
        let fragments = self.fragments.iter().map(|fragment| {
            let mut fragment = fragment.clone();
            fragment.resize(fragment.len().next_multiple_of(2), 0);
            fragment
        });
        let pixels = PixelFragmentSequence::new_fragments(fragments.collect::<Vec<_>>());
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, pixels));
        let meta = FileMetaTableBuilder::new().transfer_syntax(format!("{SYNTAXES}{}", self.syntax));
        let object = object.with_meta(meta).unwrap();
        let path = directory.join(format!("{}.dcm", self.name));
        object.write_to_file(&path).unwrap();
        path
    }
}

/// A film, coded with these arguments after ffmpeg's input.
fn coded(scene: &Scene, arguments: &str, output: Option<&Path>) -> Vec<u8> {
    let mut words = vec!["-f", "yuv4mpegpipe", "-i", "pipe:0"];
    words.extend(arguments.split(' '));
    ffmpeg(&scene.y4m(), &words, output)
}

/// An MP4 with the identifier in sound, title, comment, place and user data; the movie box behind the media.
fn planted(scene: &Scene, codec: &str, place: &Path) -> Vec<u8> {
    let words = format!(
        "-f lavfi -i sine=d=1 -map 0:v -map 1:a {codec} -c:a aac -metadata title={PLANTED} -metadata comment={PLANTED} \
         -metadata artist={PLANTED} -metadata location=+52.52+013.40/ -metadata creation_time=2001-02-03T04:05:06Z \
         -metadata:s:a handler_name={PLANTED} -metadata:s:v handler_name={PLANTED}"
    );
    let film = coded(scene, &words, Some(&place.join("planted.mp4")));
    assert!(film.windows(PLANTED.len()).filter(|bytes| *bytes == PLANTED.as_bytes()).count() >= 4);
    let at = |name: &[u8]| film.windows(4).position(|bytes| bytes == name).unwrap();
    assert!(at(b"moov") > at(b"mdat"));
    film
}

fn cases(place: &Path) -> Vec<Case> {
    use Expect::{Held, Released};
    let scene = Scene::new(PLANTED);
    let user_data = format!("-bsf:v h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{PLANTED}");
    let avc = format!("-c:v libx264 -preset ultrafast -crf 16 -profile:v high -pix_fmt yuv420p {user_data}");
    let with_user_data = planted(&scene, &avc, place);
    let plain = "-c:v libx264 -preset ultrafast -crf 16 -pix_fmt yuv420p";
    let transport = coded(&scene, &format!("{plain} -f mpegts"), None);
    let bare = coded(&scene, &format!("{plain} -f h264"), None);
    let mpeg2 = "-c:v mpeg2video -q:v 2 -bf 2";
    let hevc = "-c:v libx265 -preset ultrafast -crf 16 -x265-params log-level=none";
    let deep = Scene { bits: 10, ..scene.clone() };
    // Without loss, so that the same is outside of the text whatever that says.
    let exact = |text| coded(&Scene::new(text), "-c:v libx264 -preset ultrafast -qp 0 -f mpegts", None);
    let secret = place.join("secret");
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{0}\n#EXT-X-ENDLIST\n", secret.display());
    let script = format!("ffconcat version 1.0\nfile '{}'\n", secret.display());
    let (decode_failed, inconsistent) = (Held(HoldReason::DecodeFailed), Held(HoldReason::Inconsistent));
    let unsupported = Held(HoldReason::UnsupportedTransferSyntax);
    let high41 = "h264,High,41,progressive";
    let mut cases = vec![
        Case::new("mp4", "102", with_user_data.clone(), Released("102", high41)),
        Case::new("blu-ray", "103", transport.clone(), Released("102", high41)),
        Case::new("level-42", "104", transport.clone(), Released("104", "h264,High,42,progressive")),
        Case::new("same-1", "102", exact("ADA LOVELACE"), Released("102", high41)),
        Case::new("same-2", "102", exact("GRACE HOPPER 1906"), Released("102", high41)),
        Case::new(
            "program",
            "100",
            coded(&scene, &format!("{mpeg2} -f vob"), None),
            Released("100", "mpeg2video,Main,8,progressive"),
        ),
        Case::new(
            "high-level",
            "101",
            coded(&scene, &format!("{mpeg2} -f mpegts"), None),
            Released("101", "mpeg2video,Main,4,progressive"),
        ),
        Case::new(
            "interlaced",
            "100",
            coded(&scene, &format!("-vf setfield=tff {mpeg2} -flags +ildct+ilme -f mpeg2video"), None),
            Released("100", "mpeg2video,Main,8,tt"),
        ),
        Case::new("hevc", "107", planted(&scene, hevc, place), Released("107", "hevc,Main,153,null")),
        Case::new("stereo", "106", transport.clone(), unsupported),
        Case::new("three-d", "105", transport.clone(), unsupported),
        Case::new("cut", "102", transport[..transport.len() * 2 / 3].to_vec(), decode_failed),
        Case::new("cut-mp4", "102", with_user_data[..with_user_data.len() / 2].to_vec(), decode_failed),
        Case::new(
            "garbage",
            "107",
            (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 17) as u8).collect(),
            decode_failed,
        ),
        Case::new("playlist", "102", playlist.into_bytes(), decode_failed),
        Case::new("script", "102", script.into_bytes(), decode_failed),
        Case::new("other-codec", "107", transport.clone(), decode_failed),
        Case::new(
            "full-range",
            "102",
            coded(
                &Scene { full_range: true, ..scene.clone() },
                "-c:v libx264 -preset ultrafast -color_range pc -f mpegts",
                None,
            ),
            unsupported,
        ),
        Case::new(
            "other-layout",
            "102",
            coded(&Scene { dark: false, ..scene.clone() }, &format!("{plain} -f mpegts"), None),
            Held(HoldReason::TemplateMismatch),
        ),
    ];
    let hevc_deep = coded(&deep, &format!("{hevc} -pix_fmt yuv420p10le -f hevc"), None);
    let deep = Case::new("ten-bit", "108", hevc_deep, Released("108", "hevc,Main 10,153,null"));
    cases.push(Case { bits: 10, ..deep });
    let smaller = coded(&scene, &format!("{plain} -vf scale=320:240 -f h264"), None);
    let later = Case::new("other-size-later", "102", [bare.clone(), smaller].concat(), decode_failed);
    cases.push(Case { frames: 40, ..later });
    let pieces = Case::new("pieces", "102.1", Vec::new(), Released("102.1", high41));
    cases.push(Case {
        fragments: bare.chunks((bare.len() / 3).next_multiple_of(2)).map(<[u8]>::to_vec).collect(),
        ..pieces
    });
    cases.push(Case { frames: 19, ..Case::new("too-many", "102", transport.clone(), inconsistent) });
    cases.push(Case { rows: 448, ..Case::new("other-size", "102", transport.clone(), Held(HoldReason::NoTemplate)) });
    cases.push(Case { model: "Scan 8", ..Case::new("unknown", "102", transport, Held(HoldReason::NoTemplate)) });
    cases
}

fn template() -> String {
    let [left, top, right, bottom] = REGION;
    let syntaxes =
        ["100", "101", "102", "102.1", "103", "104", "107", "108"].map(|n| format!("\"{SYNTAXES}{n}\"")).join(", ");
    format!(
        "version = 1\n[[template]]\nid = \"video\"\nsource = \"test\"\nregions = [[{left}, {top}, {}, {}]]\n\
         [template.match]\nmanufacturer = \"Acme\"\nmodel = \"Scan 7\"\nrows = {ROWS}\ncolumns = {COLUMNS}\n\
         sop-classes = [\"1.2.840.10008.5.1.4.1.1.3.1\"]\nphotometric-interpretations = [\"YBR_PARTIAL_420\"]\n\
         transfer-syntaxes = [{syntaxes}]\n\
         [[template.anchors]]\nkind = \"statistics\"\nregion = [{}, {}, 32, 32]\nmean = [0.0, 20.0]\n\
         [template.verified]\nby = \"test\"\non = \"2026-11-28\"\nevidence = \"test\"\n",
        right - left,
        bottom - top,
        DARK[0],
        DARK[1],
    )
}

/// Sends files as a scanner that is pynetdicom: it proposes whatever transfer syntax they are in.
fn send(rig: &Rig, files: &[PathBuf]) {
    let python = std::env::var("GIFT_PYTHON").expect("GIFT_PYTHON is not set; run `cargo xtask test`");
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/store.py");
    let mut command = rig.scanner(&python);
    command.arg(store).args([&rig.dicom_port.to_string(), rig.called_ae, "PYNETDICOM"]).args(files);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<(String, Option<u16>)> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answers.iter().all(|(_, status)| *status == Some(0)), "{answers:?}");
}

/// Every object in the hub's store, by SOP Instance UID.
fn on_hub(root: &Path) -> BTreeMap<String, (Vec<u8>, DefaultDicomObject)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(on_hub(&path));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.get(128..132) == Some(b"DICM")
        {
            let object = dicom_object::from_reader(&bytes[..]).unwrap();
            let uid =
                object.element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap().trim_end_matches('\0').to_owned();
            found.insert(uid, (bytes, object));
        }
    }
    found
}

fn stream_of(object: &DefaultDicomObject) -> Vec<u8> {
    let fragments = object.element(tags::PIXEL_DATA).unwrap().value().fragments().unwrap();
    assert_eq!(fragments.len(), 1);
    fragments[0].clone()
}

/// What is wrong with a released object.
fn check(case: &Case, (bytes, object): &(Vec<u8>, DefaultDicomObject), place: &Path) {
    let Expect::Released(syntax, probe) = case.expect else { panic!("{}: released", case.name) };
    let name = case.name;
    assert_eq!(object.meta().transfer_syntax().trim_end_matches('\0'), format!("{SYNTAXES}{syntax}"), "{name}");
    let text = |tag| object.element(tag).unwrap().to_str().unwrap().trim().to_owned();
    assert_eq!(text(tags::PHOTOMETRIC_INTERPRETATION), "YBR_PARTIAL_420", "{name}");
    assert_eq!((text(tags::NUMBER_OF_FRAMES), text(tags::CINE_RATE)), ("20".into(), "25".into()), "{name}");
    assert_eq!(text(tags::LOSSY_IMAGE_COMPRESSION), "01");
    let methods = text(tags::LOSSY_IMAGE_COMPRESSION_METHOD);
    assert!(
        methods.starts_with("ISO_14496_10\\ISO_") && text(tags::LOSSY_IMAGE_COMPRESSION_RATIO).starts_with("30\\"),
        "{methods}"
    );
    assert_eq!(text(tags::BURNED_IN_ANNOTATION), "NO");
    for hidden in [PLANTED, "x264", "x265", "Lavc", "+52.52", "LOVELACE", "HOPPER"] {
        let wide: Vec<u8> = hidden.bytes().flat_map(|byte| [byte, 0]).collect();
        for hidden in [hidden.as_bytes(), &wide] {
            assert!(!bytes.windows(hidden.len()).any(|found| found == hidden), "{name}: {}", hidden.escape_ascii());
        }
    }
    let stream = stream_of(object);
    assert_eq!(probed(&stream, place), probe, "{name}");
    let (before, after) = (decoded(&case.fragments.concat(), case.bits, place), decoded(&stream, case.bits, place));
    let like = likeness(&before, &after, case.bits);
    let Likeness { frames, worst_inside, least_db, mean_db } = like;
    let bytes = (case.fragments.concat().len(), stream.len());
    println!(
        "{name:>12} .{syntax:<5} {frames} frames, inside {worst_inside}, outside {least_db:.1} dB at least, {mean_db:.1} in the mean, {bytes:?} bytes"
    );
    assert_eq!(frames, 20, "{name}");
    assert!(worst_inside <= 4 && least_db > 30.0, "{name}: {like:?}");
}

/// The objects of which `wanted` says so are where they should be.
fn arrived(rig: &Rig, cases: &[Case], place: &Path) {
    let key = SiteKey::new(&Credential::load(&rig.site_key()).unwrap());
    let held: BTreeMap<String, HoldReason> = outcome::quarantine(rig).unwrap().into_iter().collect();
    let found = on_hub(&rig.root.join("hub/archive"));
    let (mut same, mut faults): (Vec<Vec<u8>>, Vec<String>) = Default::default();
    for case in cases {
        let answers = (&key).answer(&[Ask::Uid(case.uid())]).unwrap();
        let [Answer::Uid(uid)] = answers.as_slice() else { panic!() };
        match (case.expect, found.get(uid), held.get(&case.uid())) {
            (Expect::Released(..), Some(object), None) => {
                check(case, object, place);
                if case.name.starts_with("same") {
                    same.push(stream_of(&object.1));
                }
            }
            (Expect::Held(reason), None, Some(found)) if reason == *found => {}
            (expect, object, held) => {
                faults.push(format!("{}: {expect:?}, on the hub: {}, held: {held:?}", case.name, object.is_some()));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(same.len() == 2 && same[0] == same[1], "what differs inside the region only comes out the same");
}

/// Turns redaction of video on.
fn turn_on(fixture: &mut Fixture) {
    let rig = &mut fixture.rig;
    let binaries = PathBuf::from(std::env::var_os("GIFT_BIN_DIR").unwrap());
    let coder = layout::install(&rig.root, &binaries.join("gift-video")).unwrap();
    let path = rig.settings(Role::Deid);
    let settings = std::fs::read_to_string(&path).unwrap();
    let video = format!("[video]\nmode = \"redact\"\ncoder = \"{}\"\n", coder.display());
    std::fs::write(&path, settings.replace("[[route]]", &format!("{video}\n[[route]]"))).unwrap();
    rig.stop_role(Role::Deid);
    rig.start_role(Role::Deid).unwrap();
}

#[test]
fn video_is_blank_in_the_region_alike_outside_and_nothing_rides_along() {
    let directory = tempfile::Builder::new().prefix("gift-video-").tempdir().unwrap();
    let place = directory.path();
    std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(place.join("secret"), SECRET).unwrap();
    let cases = cases(place);
    let files: Vec<PathBuf> = cases.iter().map(|case| case.write(place)).collect();
    let mut fixture = Fixture::new(3, 1);
    std::fs::write(fixture.rig.root.join("policy/templates/demo/video.toml"), template()).unwrap();

    // Off, as it is shipped: everything is held.
    let off = [&cases[0], &cases[8]];
    send(&fixture.rig, &[files[0].clone(), files[8].clone()]);
    outcome::settle(&fixture.rig, PATIENCE).unwrap();
    let held: BTreeMap<String, HoldReason> = outcome::quarantine(&fixture.rig).unwrap().into_iter().collect();
    assert!(off.iter().all(|case| held.get(&case.uid()) == Some(&HoldReason::UnsupportedTransferSyntax)), "{held:?}");

    // On: what was held is judged again by itself.
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch.add_watch(&place.join("secret"), AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ACCESS).unwrap();
    turn_on(&mut fixture);
    let started = Instant::now();
    let rest: Vec<PathBuf> =
        files.iter().enumerate().filter(|(n, _)| ![0, 8].contains(n)).map(|(_, f)| f.clone()).collect();
    send(&fixture.rig, &rest);
    let released = cases.iter().filter(|case| matches!(case.expect, Expect::Released(..))).count();
    let done = |rig: &Rig| {
        let held = outcome::quarantine(rig).map_or(0, |held| held.len());
        on_hub(&rig.root.join("hub/archive")).len() == released && held == cases.len() - released
    };
    let waited = fixture.rig.wait_until("all of it", PATIENCE, done);
    if waited.is_err() {
        println!("{}", common::logs(&fixture.rig));
    }
    outcome::settle(&fixture.rig, PATIENCE).unwrap();
    println!("{} objects in {:?}; waited {waited:?}", cases.len(), started.elapsed());
    arrived(&fixture.rig, &cases, place);
    assert!(watch.read_events().is_err(), "a file that a stream names was opened");
    fixture.rig.stop_role(Role::Deid);
    let log = std::fs::read_to_string(fixture.rig.log(Role::Deid)).unwrap();
    assert!(!log.contains(PLANTED) && !log.contains("worker ended"), "{log}");
}
