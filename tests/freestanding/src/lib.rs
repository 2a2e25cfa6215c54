//! The core in a program that has no standard library, no allocator and no operating system.
//!
//! What is reachable from [`docent_freestanding`] is compiled and linked as on a board. To prove more
//! of the core, add a module that uses it and call it here.
#![no_std]

mod board;
mod wire;

use core::panic::PanicInfo;

/// Runs everything once, and returns a number that depends on all of it; zero if anything went wrong.
#[expect(
    unsafe_code,
    reason = "a symbol by this name keeps the code from being dropped"
)]
#[unsafe(no_mangle)]
pub extern "C" fn docent_freestanding() -> usize {
    let tokens = board::play_all().unwrap_or(0);
    usize::try_from(tokens).unwrap_or(0) * (wire::requests() + wire::replies())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
