//! From the two numbers of a TPM's signature to Ecdsa-Sig-Value (RFC 3279), DER.

/// `SEQUENCE { r INTEGER, s INTEGER }` of two numbers below 2^256, big endian; `None` when one is longer or zero.
pub(crate) fn signature(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let mut body = integer(r)?;
    body.extend(integer(s)?);
    // At most 2 × 35 bytes: the short form of a length.
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}

fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let first = number.iter().position(|byte| *byte != 0)?;
    let digits = number.get(first..).filter(|digits| digits.len() <= 32)?;
    // The highest bit is the sign.
    let positive = digits.first().filter(|byte| **byte >= 0x80).map(|_| 0);
    let mut der = vec![0x02, u8::try_from(digits.len() + usize::from(positive.is_some())).ok()?];
    der.extend(positive);
    der.extend(digits);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_positive() {
        assert_eq!(signature(&[0, 0, 1], &[0x80]).unwrap(), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        let longest = signature(&[0xff; 32], &[0xff; 32]).unwrap();
        assert_eq!((longest.len(), longest[1], longest[3], longest[4]), (72, 70, 33, 0));
        for (r, s) in [(&[0_u8; 32][..], &[1_u8][..]), (&[1], &[]), (&[1; 33], &[1])] {
            assert_eq!(signature(r, s), None);
        }
    }
}
