//! Round trips, damage, and the example of the standard's Annex H.3.

use super::*;
use crate::codec::Shape;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        columns in 1u16..80, rows in 1u16..20, colour: bool, precision in 2u8..=16, kind in 0u8..4, seed: u32,
    ) {
        let shape = Shape { rows, columns, samples: if colour { 3 } else { 1 } };
        let mut state = seed;
        let mut level = 0u32;
        let samples: Vec<u16> = (0..shape.count())
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                level = match kind {
                    0 => level.wrapping_add(state >> 30),
                    1 => state >> 8,
                    2 if state >> 24 > 250 => state >> 8,
                    3 if state >> 24 > 200 => (state >> 8) & 1 | (level & !1),
                    _ => level,
                };
                (level & ((1 << precision) - 1)) as u16
            })
            .collect();
        let header = Header { precision };
        let mut stream = Vec::new();
        encode(&samples, shape, header, &mut stream).unwrap();
        let mut decoded = Vec::new();
        prop_assert_eq!(decode(&stream, shape, &mut decoded).unwrap(), header);
        prop_assert_eq!(&decoded, &samples);
        for cut in 0..stream.len() {
            prop_assert!(decode(&stream[..cut], shape, &mut decoded).is_err());
        }
    }

    #[test]
    fn damage_is_an_error_or_a_frame(
        hits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..5),
        interleave in 0u8..4,
        near in 0u8..4,
        precision in 2u8..=16,
    ) {
        let shape = Shape { rows: 9, columns: 37, samples: 3 };
        let samples: Vec<u16> = (0..shape.count() as u32).map(|i| (i / 4 * 37 % (1 << precision)) as u16).collect();
        let mut stream = Vec::new();
        encode(&samples, shape, Header { precision }, &mut stream).unwrap();
        let sos = stream.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
        (stream[sos + 11], stream[sos + 12]) = (near, interleave);
        for (at, value) in hits {
            let at = usize::from(at) % stream.len();
            stream[at] = value;
        }
        let mut decoded = Vec::new();
        if decode(&stream, shape, &mut decoded).is_ok() {
            prop_assert_eq!(decoded.len(), samples.len());
        }
    }
}

#[test]
fn the_standards_example() {
    // T.87 H.3: 4 × 4 samples of 8 bit and their coded image.
    let samples = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];
    let coded = [0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6];
    let shape = Shape { rows: 4, columns: 4, samples: 1 };
    let mut stream = Vec::new();
    encode(&samples, shape, Header { precision: 8 }, &mut stream).unwrap();
    let sos = stream.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    assert_eq!(&stream[sos + 10..sos + 10 + coded.len()], coded);
    let mut decoded = Vec::new();
    decode(&stream, shape, &mut decoded).unwrap();
    assert_eq!(decoded, samples);
}
