//! A clock for embassy that each test moves by hand. Every thread, and so every test, has its own.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use embassy_time_driver::Driver;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct Clock;

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock);

impl Driver for Clock {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        TIMERS.with_borrow_mut(|timers| {
            match timers.iter_mut().find(|(_, of)| of.will_wake(waker)) {
                Some((due, _)) => *due = at.min(*due),
                None => timers.push((at, waker.clone())),
            }
        });
    }
}

/// Microseconds since the test began.
pub(crate) fn now() -> u64 {
    NOW.get()
}

/// When the next timer goes off.
pub(crate) fn next() -> Option<u64> {
    TIMERS.with_borrow(|timers| timers.iter().map(|(at, _)| *at).min())
}

/// Moves on to a time, and lets the timers go off that are due.
pub(crate) fn advance(to: u64) {
    NOW.set(to.max(now()));
    let due: Vec<_> =
        TIMERS.with_borrow_mut(|timers| timers.extract_if(.., |(at, _)| *at <= to).collect());
    due.into_iter().for_each(|(_, waker)| waker.wake());
}
