//! The board: an Arm MPS2 with a Cortex-M4 (AN386), as QEMU emulates it.
//!
//! Everything `unsafe` of the firmware is in here, in four small files: the [registers], the
//! [interrupts], the [executor] and the [stack].

mod clock;
pub(crate) mod console;
pub(crate) mod executor;
mod interrupts;
pub(crate) mod lan9118;
pub(crate) mod led;
mod registers;
pub(crate) mod stack;
