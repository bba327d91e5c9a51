//! The research engineer's tool for redaction templates: what one does to an image, one suggested from a cine, and those of other
//! projects translated.
//!
//! It reads identifiable objects, so it works where these already are, and offline. What it writes is a picture for eyes that may
//! see it ([`show`]), or a template ([`suggest`], [`import`]), which is policy and leaves the hospital: into one goes no text of an
//! object but makes and models of the vocabulary, and none in which the object's own identifiers are found. No template that it
//! writes is verified; that is for somebody who looked.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod draft;
mod draw;
pub mod import;
pub mod object;
pub mod policy;
pub mod show;
mod still;
pub mod suggest;
mod terms;
