//! Test servers and harnesses for Docent.

pub mod decode;
pub mod dev;
pub mod peer;
#[cfg(unix)]
pub mod real;
pub mod server;
pub mod sim;
