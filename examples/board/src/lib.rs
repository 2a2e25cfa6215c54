//! The parts of the firmware. `main.rs` puts them together, and is where to begin.
#![no_std]

pub mod configuration;
pub mod leadership;
pub mod membership;
pub mod mps2;
pub mod network;
pub mod session;
