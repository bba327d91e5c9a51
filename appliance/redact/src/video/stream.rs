//! The whole stream of an object, whose fragments are pieces of it (PS3.5 A.4: one; of the fragmentable syntaxes several).

use crate::{RedactError, apply, fragments};
use gift_deidentify::dataset::{Source, Value};

/// The fragments, one behind the other.
pub(super) struct Stream<'a> {
    /// With the offset of each.
    fragments: Vec<(u64, &'a Value)>,
    length: u64,
    input: &'a dyn Source,
}

impl<'a> Stream<'a> {
    pub(super) fn of(fragments: &'a [Value], input: &'a dyn Source) -> Result<Self, RedactError> {
        let mut length = 0_u64;
        let mut placed = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            placed.push((length, fragment));
            length = length.checked_add(fragments::length(fragment)?).ok_or(RedactError::Inconsistent)?;
        }
        Ok(Self { fragments: placed, length, input })
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Reads the whole of `into`.
    pub(super) fn read(&self, mut at: u64, mut into: &mut [u8]) -> Result<(), RedactError> {
        while !into.is_empty() {
            let (start, fragment) = match self.fragments.partition_point(|(start, _)| *start <= at) {
                0 => return Err(RedactError::Inconsistent),
                behind => self.fragments[behind - 1],
            };
            let left = fragments::length(fragment)?.saturating_sub(at - start);
            let length = left.min(into.len() as u64) as usize;
            if length == 0 {
                return Err(RedactError::Inconsistent);
            }
            let (now, rest) = into.split_at_mut(length);
            apply::read(fragment, at - start, now, self.input)?;
            at += length as u64;
            into = rest;
        }
        Ok(())
    }
}
