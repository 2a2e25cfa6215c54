//! Recipes: written once over [`Client`](crate::client::Client), for servers and boards alike.
//!
//! What they may assume is little: no clock, no randomness, no executor, no allocator. What they
//! keep to:
//!
//! * *Mine* means that `ephemeralOwner` is the session there is now, never that a name looks right.
//! * A wake-up is permission to look, never permission to go on.
//! * Every future may be dropped at every await. What it created is then cleaned up.
//! * A reply is dropped before the next call, so that a client with a single call can run them.

pub mod cache;
mod election;
#[cfg(feature = "alloc")]
mod explain;
mod guard;
mod held;
mod lock;
mod names;
mod observer;
mod parents;
mod place;
mod queue;
mod race;
mod reaper;
mod revocation;
mod rw_lock;
mod semaphore;
mod several;
#[cfg(feature = "alloc")]
mod utc;

pub use election::{Candidate, Election, StepDown};
#[cfg(feature = "alloc")]
pub use explain::{Contender, Explanation};
pub use guard::Guard;
pub use held::Held;
pub use lock::Lock;
pub use names::{Names, RwNames};
pub use observer::{Leader, Observer};
pub use parents::create_parents;
pub use race::until;
pub use reaper::reap;
pub use revocation::{Revocations, revoke};
pub use rw_lock::{ReadGuard, RwLock, Unchanged, WriteGuard};
pub use semaphore::{Permits, Semaphore};
pub use several::acquire_all;
