//! How much stack was used. cortex-m-rt paints it before anything else runs.
#![allow(unsafe_code, reason = "the stack is nobody's memory")]

use core::ptr;

unsafe extern "C" {
    /// The lowest word of the stack, which grows down towards it.
    safe static _stack_end: u32;
    /// The word above the stack.
    safe static _stack_start: u32;
}

/// What cortex-m-rt paints with.
const PAINT: u32 = 0xCCCC_CCCC;

/// The most bytes of stack that were in use at a time.
pub(crate) fn deepest() -> usize {
    let (mut at, start) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: the linker puts these symbols around memory of words, which ends above this frame.
    while at < start && unsafe { ptr::read_volatile(at) } == PAINT {
        at = at.wrapping_add(1);
    }
    (start as usize) - (at as usize)
}
