//! Prints the sizes in the documentation of docent-embassy, as they are on this board.
#![no_std]
#![no_main]

#[path = "../src/mps2/mod.rs"]
#[allow(dead_code, reason = "this has less than the firmware")]
mod mps2;
mod rows;

use cortex_m_rt::entry;

use mps2::console;

#[entry]
fn start() -> ! {
    for (name, size) in rows::rows() {
        semihosting::println!("{size} {name}");
    }
    console::exit(true)
}
