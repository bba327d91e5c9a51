//! Lossless codecs: RLE, JPEG lossless, JPEG-LS, deflated frames.

use super::*;
use crate::codec::{FrameCodec, Header};

/// One encoded frame per native frame of the image.
fn encoded(image: &Image, codec: FrameCodec) -> Vec<Vec<u8>> {
    let layout = PixelLayout { planar: false, ..PixelLayout::of(&image.data_set()).unwrap() };
    let length = image.pixels.len() / image.frames as usize;
    let header = match codec {
        FrameCodec::Rle => Header::Rle,
        FrameCodec::Deflated => Header::Deflated,
        FrameCodec::JpegLossless => Header::JpegLossless(jpeg::lossless::Header::new(image.high as u8 + 1)),
        FrameCodec::JpegLs => Header::JpegLs(crate::jpeg_ls::Header { precision: image.high as u8 + 1 }),
    };
    let encode = |samples: &[u8]| {
        let mut stream = Vec::new();
        FrameCodec::encode(samples, &layout, header, &mut stream).unwrap();
        stream.resize(stream.len().next_multiple_of(2), 0);
        stream
    };
    image.pixels.chunks(length).map(encode).collect()
}

fn with_frames(image: &Image, frames: &[Vec<u8>]) -> DataSet {
    let mut ds = image.data_set();
    let fragments = frames.iter().cloned().map(Value::Bytes).collect();
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value: Value::Fragments { offsets: vec![], fragments } });
    ds
}

#[test]
fn decoded_again_they_are_what_native_redaction_gives() {
    for codec in [FrameCodec::Rle, FrameCodec::JpegLossless, FrameCodec::JpegLs, FrameCodec::Deflated] {
        for photometric in [Photometric::Monochrome1, Photometric::Monochrome2, Photometric::Rgb, Photometric::YbrFull]
        {
            for (allocated, stored, signed) in
                [(8, 8, false), (16, 16, false), (16, 12, false), (16, 12, true), (16, 16, true)]
            {
                if signed && photometric.samples() == 3 {
                    continue;
                }
                let mut image = Image::of(photometric, 7, 13, 3, allocated, stored);
                image.signed = signed;
                let (mut native, frames) = (image.data_set(), encoded(&image, codec));
                let expected = run(&image, &mut native);
                let mut ds = with_frames(&image, &frames);
                let mut scratch = Vec::new();
                let clearance =
                    apply(&plan(&image, Method::Frames(codec)), &mut ds, &Vec::new(), &mut scratch).unwrap();
                assert_eq!(clearance.frames(), 3);
                let Value::Fragments { offsets, fragments } = &ds.get(tags::PIXEL_DATA).unwrap().value else {
                    panic!()
                };
                assert_eq!((offsets.len(), fragments.len()), (12, 3));
                let layout = PixelLayout::of(&ds).unwrap();
                let mut found = Vec::new();
                for fragment in fragments {
                    let Value::Span { origin: Origin::Scratch, offset, length } = *fragment else { panic!() };
                    let mut samples = Vec::new();
                    codec.decode(&scratch[offset as usize..(offset + length) as usize], &layout, &mut samples).unwrap();
                    found.extend(samples);
                }
                assert_eq!(found, expected[..found.len()], "{codec:?} {photometric:?} {allocated} {stored} {signed}");
            }
        }
    }
}

#[test]
fn a_changed_byte_of_samples_fails() {
    let image = Image::of(Photometric::Monochrome2, 7, 13, 1, 16, 12);
    for codec in [FrameCodec::Rle, FrameCodec::JpegLossless, FrameCodec::JpegLs] {
        let frames = encoded(&image, codec);
        let redact = |scratch: &mut dyn Scratch| {
            apply(&plan(&image, Method::Frames(codec)), &mut with_frames(&image, &frames), &Vec::new(), scratch)
                .map(drop)
        };
        let mut scratch = Vec::new();
        redact(&mut scratch).unwrap();
        let start = match codec {
            FrameCodec::Rle => 64,
            _ => scratch.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap() + 10,
        };
        let benign = (start..scratch.len()).filter(|&at| redact(&mut Corrupting(Vec::new(), at)).is_ok()).count();
        // Padding: of a segment or of the entropy-coded bytes, and of the fragment.
        assert!(benign <= 3, "{codec:?} {benign}");
    }
}
