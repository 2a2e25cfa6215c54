//! The whole client on boards, against a server that lies in memory: no allocator, one thread.
//!
//! `tests/board.rs` of `docent-testing` includes this module and runs it for real.

mod bytes;
pub(crate) mod link;
pub(crate) mod scenes;
mod server;
pub(crate) mod world;

use scenes::{Cut, SCENES, again, in_turn, together, watch};
use world::{Failure, LOCK, Sizes, play};

/// The least memory that serves two contenders for the [`LOCK`].
pub(crate) const SMALLEST: Sizes = Sizes {
    tx: 97 + LOCK.len(),
    body: 128 + LOCK.len(),
};

/// Enough for three contenders.
pub(crate) const ROOMY: Sizes = Sizes {
    body: 4 + 3 * 59,
    ..SMALLEST
};

/// Plays every scene, with one call in flight and with several. Returns the last fencing tokens.
pub(crate) fn play_all() -> Result<i64, Failure> {
    let tokens = play::<1, 1, _>(SMALLEST, in_turn)? + play::<4, 2, _>(SMALLEST, in_turn)?;
    play::<1, 1, _>(SMALLEST, watch)?;
    play::<4, 2, _>(SMALLEST, together)?;
    let cut = Cut { polls: 2, steps: 1 };
    for (scene, _) in SCENES {
        play::<1, 1, _>(SMALLEST, |world| scene(world, cut))?;
        play::<4, 2, _>(SMALLEST, |world| scene(world, cut))?;
    }
    play::<4, 1, _>(ROOMY, |world| again(world, cut))?;
    Ok(tokens)
}
