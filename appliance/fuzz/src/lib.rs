//! What the fuzz targets share: the shipped policy and limits ([`policy`]), trees to compare ([`tree`]), objects made of a few
//! bytes ([`object`]).
//!
//! Test code: an assertion that fails is a finding, so everything here may panic. Nothing here reads a file or a clock.

pub mod object;
pub mod policy;
pub mod tree;

/// Takes one byte off the front; zero when there is none.
pub fn byte(data: &mut &[u8]) -> u8 {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            *first
        }
        None => 0,
    }
}

/// Takes `length` bytes off the front, or what there is.
pub fn bytes<'d>(data: &mut &'d [u8], length: usize) -> &'d [u8] {
    let (taken, rest) = data.split_at(length.min(data.len()));
    *data = rest;
    taken
}

/// True when `needle`, which is ASCII, stands in `hay` in either case.
pub fn holds(hay: &[u8], needle: &str) -> bool {
    !needle.is_empty() && hay.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle.as_bytes()))
}
