//! What `client` has beside the client: an executor, a clock, a task.
#![no_std]
#![no_main]

#[path = "../src/mps2/mod.rs"]
#[allow(dead_code, reason = "this has less than the firmware")]
mod mps2;

use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_time::Timer;

use mps2::{executor, led};

#[entry]
fn start() -> ! {
    executor::run(spawn)
}

fn spawn(spawner: Spawner) {
    spawner.spawn(blink().expect("it runs once"));
}

#[embassy_executor::task]
async fn blink() {
    loop {
        led::switch(true);
        Timer::after_secs(1).await;
        led::switch(false);
        Timer::after_secs(1).await;
    }
}
