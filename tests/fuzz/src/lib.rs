//! What the fuzzers do with their bytes: one function for each target, which panics on a find.
//!
//! There is nothing of libFuzzer here, so that `cargo test` can play the seeds, and proptest can make
//! up some more.

mod connect_string;
mod frame;
mod names;
mod record;
mod server;
mod session;
mod tape;

pub use connect_string::connect_string;
pub use frame::frame;
pub use names::names;
pub use record::record;
pub use server::server;
pub use session::{Damage, Event, play, session};

/// A target, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("frame", frame),
    ("record", record),
    ("connect_string", connect_string),
    ("names", names),
    ("session", session),
    ("server", server),
];
