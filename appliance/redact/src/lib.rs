//! x
pub mod jpeg;
pub mod mask;
