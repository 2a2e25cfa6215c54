//! The core in a program that has no standard library, no allocator and no operating system.
//!
//! What is reachable from [`docent_freestanding`] is compiled and linked as on a board. To prove more
//! of the core, add a module that uses it and call it here.
#![no_std]

mod wire;

use core::panic::PanicInfo;

/// Runs everything once, and returns a number that depends on all of it.
#[expect(
    unsafe_code,
    reason = "a symbol by this name keeps the code from being dropped"
)]
#[unsafe(no_mangle)]
pub extern "C" fn docent_freestanding() -> usize {
    wire::requests() + wire::replies()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
