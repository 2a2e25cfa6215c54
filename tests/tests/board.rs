//! The client in borrowed memory, as boards use it: the scenes of the freestanding library, for real.

#[path = "../freestanding/src/board/mod.rs"]
mod board;

use board::link::Link;
use board::scenes::{Cut, SCENES, Scene, again, in_turn};
use board::world::{Progress, Sizes, play};
use board::{ROOMY, SMALLEST};
use docent_core::handle::Handle;
use docent_core::hub::{Borrowed, Hub, Resources};
use docent_core::recipes::Guard;
use docent_core::session::Session;

/// More polls than any scene takes.
const MANY: usize = 200;
/// After so many steps whatever is on its way has come or gone.
const STEPS: usize = 8;

#[test]
fn every_scene_can_be_played() {
    assert_eq!(board::play_all(), Ok(6));
}

#[test]
fn a_future_dropped_anywhere_leaves_nothing_behind() {
    for (scene, end) in SCENES {
        cut_everywhere::<1, 1>(SMALLEST, scene, end);
        cut_everywhere::<4, 2>(SMALLEST, scene, end);
    }
}

#[test]
fn a_lock_is_taken_again_while_the_last_attempt_is_cleaned_up() {
    cut_everywhere::<1, 1>(ROOMY, again, Progress::Waits);
    cut_everywhere::<4, 1>(ROOMY, again, Progress::Waits);
}

/// Plays a scene with ever later cuts, until one comes too late.
fn cut_everywhere<const CALLS: usize, const WATCHES: usize>(
    sizes: Sizes,
    scene: Scene,
    end: Progress,
) {
    let outcome = |cut| match play::<CALLS, WATCHES, _>(sizes, |world| scene(world, cut)) {
        Ok(progress) => progress,
        Err(failure) => panic!("{failure:?} after {cut:?}"),
    };
    for steps in 0..STEPS {
        let mut outcomes = (0..MANY).map(|polls| outcome(Cut { polls, steps }));
        assert_eq!(outcomes.find(|got| *got != Progress::Cut), Some(end));
    }
}

#[test]
fn the_smallest_buffers_are_as_documented() {
    let suffice =
        |sizes| play::<1, 1, _>(sizes, in_turn).is_ok() && play::<4, 2, _>(sizes, in_turn).is_ok();
    let least_tx = (0..256).find(|&tx| suffice(Sizes { tx, ..SMALLEST }));
    let least_body = (0..256).find(|&body| suffice(Sizes { body, ..SMALLEST }));
    assert_eq!(least_tx, Some(SMALLEST.tx));
    assert_eq!(least_body, Some(SMALLEST.body));
}

/// Bounds with some room left, for this transport of a few lines: nothing grows far unnoticed. The
/// figures that users are told are those of docent-embassy, which its own tests compare.
#[test]
#[cfg(target_pointer_width = "64")]
fn the_core_takes_little_memory() {
    const fn resources(calls: usize, watches: usize) -> usize {
        208 * calls + 248 * watches + 48 * 8
    }
    let sizes = [
        (size_of::<Resources<'_, 1, 1>>(), resources(1, 1)),
        (size_of::<Resources<'_, 4, 4>>(), resources(4, 4)),
        (size_of::<Hub<Borrowed<'_>>>(), 880),
        (size_of::<Session>(), 448),
        (size_of::<Handle<Link<'_>>>(), size_of::<Link<'_>>() + 8),
        (size_of::<Guard<Handle<Link<'_>>>>(), 192),
        (acquire(), 768),
    ];
    println!("{sizes:?}");
    for (size, most) in sizes {
        assert!(size <= most, "{size} > {most} of {sizes:?}");
    }
}

/// Bytes of the future of `Lock::acquire`.
fn acquire() -> usize {
    let size = play::<1, 1, _>(SMALLEST, |world| {
        let lock = world.lock(0)?;
        Ok(size_of_val(&lock.acquire()))
    });
    size.unwrap()
}
