//! The board: an Arm MPS2 with a Cortex-M4 (AN386), as QEMU emulates it.
//!
//! Everything `unsafe` of the firmware is in here, in four small files: the [registers], the
//! [interrupts], the [executor] and the [stack].

mod clock;
pub mod console;
pub mod executor;
mod interrupts;
pub mod lan9118;
pub mod led;
mod registers;
pub mod stack;
