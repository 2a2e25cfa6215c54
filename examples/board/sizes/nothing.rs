//! What `client` has beside the client: an executor, a clock, a task.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use docent_board::mps2::{executor, led};
use embassy_executor::Spawner;
use embassy_time::Timer;

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
