//! Which interrupt is whose.
//!
//! There is no crate for this chip that would know: all its interrupts come to cortex-m-rt's default
//! handler.
#![allow(unsafe_code, reason = "interrupts may come at any instruction")]

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::exception;

use super::{clock, lan9118};

/// The interrupts that are used, by their numbers.
#[derive(Clone, Copy)]
pub(super) enum Interrupt {
    Timer1 = 9,
    Ethernet = 13,
}

// SAFETY: these are the numbers of the chip's manual, and they never change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets an interrupt come.
pub(super) fn enable(interrupt: Interrupt) {
    // SAFETY: no critical section of this program relies on an interrupt's being masked.
    unsafe { NVIC::unmask(interrupt) }
}

// SAFETY: the handler only calls functions that are safe, and share data by critical sections and
// atomics.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    const TIMER1: i16 = Interrupt::Timer1 as i16;
    const ETHERNET: i16 = Interrupt::Ethernet as i16;
    match number {
        TIMER1 => clock::on_interrupt(),
        ETHERNET => lan9118::on_interrupt(),
        _ => panic!("nobody expects interrupt {number}"),
    }
}
