//! Runs tasks, and sleeps while there is nothing to do.
//!
//! It is what embassy's own executor does, with another instruction to sleep: the emulator does not
//! know the one that embassy uses, and would keep a core of its host busy.
#![allow(
    unsafe_code,
    reason = "executors promise their tasks not to be polled twice at once"
)]

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::{asm, interrupt};
use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use super::clock;

/// Whether a task was woken since the last look.
static PENDING: AtomicBool = AtomicBool::new(false);

// SAFETY: this is the name and the signature that embassy-executor declares, and nobody else defines
// it.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    PENDING.store(true, Ordering::Release);
}

/// Starts the clock, and runs `main` and the tasks that it spawns for ever.
///
/// # Panics
/// If it is called twice.
pub(crate) fn run(main: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    clock::start();
    let executor = &*EXECUTOR.init(raw::Executor::new(ptr::null_mut()));
    main(executor.spawner());
    loop {
        // SAFETY: only this loop polls, and no task can call it.
        unsafe { executor.poll() };
        sleep();
    }
}

fn sleep() {
    // An interrupt between the look and the sleep would be slept through if it could be served there.
    // Disabled ones end the sleep all the same, and are served afterwards.
    interrupt::disable();
    if !PENDING.swap(false, Ordering::AcqRel) {
        asm::wfi();
    }
    // SAFETY: they were enabled before, and this is no critical section of anybody's.
    unsafe { interrupt::enable() };
}
