//! Test servers and harnesses for Docent.

pub mod decode;
pub mod peer;
pub mod real;
