//! Recipes: written once over [`Client`](crate::client::Client), for servers and boards alike.
//!
//! What they may assume is little: no clock, no randomness, no executor, no allocator. What they
//! keep to:
//!
//! * *Mine* means that `ephemeralOwner` is the session there is now, never that a name looks right.
//! * A wake-up is permission to look, never permission to go on.
//! * Every future may be dropped at every await. What it created is then cleaned up.
//! * A reply is dropped before the next call, so that a client with a single call can run them.

mod lock;
mod parents;
mod place;
mod race;
mod reaper;

pub use lock::{Guard, Lock};
pub use parents::create_parents;
pub use reaper::reap;
