//! The sans-IO core of Docent.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod client;
pub mod connect_string;
pub mod error;
pub mod handle;
pub mod hub;
pub mod path;
pub mod recipes;
mod rng;
pub mod session;
pub mod time;
pub mod wire;
