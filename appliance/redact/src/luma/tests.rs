//! The luma of frames, by format and photometric interpretation.

use super::*;
use crate::testing::Image;
use gift_deidentify::dataset::Element;

const NATIVE: &str = "1.2.840.10008.1.2.1";
const NONE: &[u8] = &[];

fn native(image: &Image, frame: u32) -> Vec<u16> {
    Luma::of(&image.data_set(), NATIVE, &NONE).unwrap().frame(frame).unwrap()
}

#[test]
fn every_frame_has_its_own_pixels_from_black_to_white() {
    let mut image = Image::of(Photometric::Monochrome2, 2, 3, 2, 8, 8);
    image.pixels = vec![0, 128, 255, 1, 2, 3, 9, 8, 7, 6, 5, 4];
    assert_eq!(native(&image, 1), [0, 128, 255, 1, 2, 3].map(|v: u16| v * 256));
    assert_eq!(native(&image, 2), [9, 8, 7, 6, 5, 4].map(|v: u16| v * 256));
    image.photometric = Photometric::Monochrome1;
    assert_eq!(native(&image, 1)[..3], [255, 127, 0].map(|v: u16| v * 256));
    let mut rgb = Image::rgb(1, 2);
    rgb.pixels = vec![255, 255, 255, 255, 0, 0];
    assert_eq!(native(&rgb, 1), [65_280, 19_519]);
    (rgb.planar, rgb.pixels) = (true, vec![255, 255, 255, 0, 255, 0]);
    assert_eq!(native(&rgb, 1), [65_280, 19_519]);
    let ds = image.data_set();
    for frame in [0, 3] {
        assert!(Luma::of(&ds, NATIVE, &NONE).unwrap().frame(frame).is_err());
    }
}

#[test]
fn coded_frames_are_as_light_as_the_native_ones() {
    let image = Image::of(Photometric::Rgb, 24, 40, 1, 8, 8);
    let (want, mut ds) = (native(&image, 1), image.data_set());
    let layout = PixelLayout::of(&ds).unwrap();
    let mut stream = Vec::new();
    crate::codec::FrameCodec::encode(&image.pixels, &layout, crate::codec::Header::Rle, &mut stream).unwrap();
    let fragments = |bytes: Vec<u8>| Element {
        tag: tags::PIXEL_DATA,
        vr: dicom_core::VR::OB,
        value: Value::Fragments { offsets: Vec::new(), fragments: vec![Value::Bytes(bytes)] },
    };
    ds.insert(fragments(stream));
    assert_eq!(Luma::of(&ds, "1.2.840.10008.1.2.5", &NONE).unwrap().frame(1).unwrap(), want);

    // JPEG: a smooth picture, so that little is lost.
    let grey: Vec<u8> = (0..24 * 40).map(|i| (i % 40 * 4 + i / 40) as u8).collect();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    image::ImageEncoder::write_image(encoder, &grey, 40, 24, image::ExtendedColorType::L8).unwrap();
    let mut ds = Image::of(Photometric::Monochrome2, 24, 40, 1, 8, 8).data_set();
    ds.insert(fragments(jpeg));
    let found = Luma::of(&ds, "1.2.840.10008.1.2.4.50", &NONE).unwrap().frame(1).unwrap();
    assert!(found.iter().zip(&grey).all(|(f, g)| (f / 256).abs_diff(u16::from(*g)) < 6));
    // A format that is not decoded is said to be so.
    assert!(Luma::of(&ds, "1.2.840.10008.1.2.4.55", &NONE).is_err());
}
