//! Test servers and harnesses for Docent, and for those who use it: see the [`guide`].

pub mod decode;
pub mod dev;
pub mod guide;
pub mod peer;
#[cfg(unix)]
pub mod real;
pub mod server;
pub mod sim;
