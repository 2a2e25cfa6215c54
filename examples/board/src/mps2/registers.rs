//! Registers of devices.
#![allow(
    unsafe_code,
    reason = "devices are memory that the compiler knows nothing of"
)]

use core::ptr;

/// The registers of one device, 32 bits each.
#[derive(Clone, Copy)]
pub(super) struct Registers(usize);

impl Registers {
    /// The Ethernet controller.
    pub(super) const ETHERNET: Self = Self(0x4020_0000);
    /// A timer of 32 bits.
    pub(super) const TIMER0: Self = Self(0x4000_0000);
    /// Another one.
    pub(super) const TIMER1: Self = Self(0x4000_1000);
    /// LEDs and buttons.
    pub(super) const FPGAIO: Self = Self(0x4002_8000);

    pub(super) fn read(self, offset: u16) -> u32 {
        // SAFETY: each device above has 4 KiB of its own, so that whatever the offset is below them,
        // no memory of Rust's is read. An offset that is no register's is a fault, which ends the
        // program.
        unsafe { ptr::read_volatile(self.register(offset)) }
    }

    pub(super) fn write(self, offset: u16, value: u32) {
        // SAFETY: as above; and none of these devices writes to memory by itself.
        unsafe { ptr::write_volatile(self.register(offset), value) }
    }

    const fn register(self, offset: u16) -> *mut u32 {
        (self.0 + (offset & 0xFFC) as usize) as *mut u32
    }
}
