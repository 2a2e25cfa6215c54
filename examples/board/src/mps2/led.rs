//! The LED.

use super::registers::Registers;

const LEDS: u16 = 0;

/// Switches it.
pub(crate) fn switch(on: bool) {
    Registers::FPGAIO.write(LEDS, u32::from(on));
    log::info!("the LED is {}", if on { "on" } else { "off" });
}
