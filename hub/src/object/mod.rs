//! Reading DICOM objects on the hub: a strict, flat-memory walk over Explicit VR Little Endian and what is made of it (the check,
//! the index, the DICOM JSON model). It shares no code with the box, so that one mistake does not hide another.

pub mod index;
pub mod json;
pub mod text;
pub mod walk;

#[cfg(test)]
pub mod samples;
