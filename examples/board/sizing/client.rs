//! The client and what the firmware does with it, but neither a network nor texts.
#![no_std]
#![no_main]

#[path = "../src/configuration.rs"]
mod configuration;
#[path = "../src/leadership.rs"]
mod leadership;
#[path = "../src/membership.rs"]
mod membership;
#[path = "../src/mps2/mod.rs"]
#[allow(dead_code, reason = "this has less than the firmware")]
mod mps2;
mod nowhere;
#[path = "../src/session.rs"]
mod session;

use cortex_m_rt::entry;
use docent_embassy::{Client, Runner};
use embassy_executor::Spawner;

use mps2::executor;
use nowhere::Nowhere;

#[entry]
fn start() -> ! {
    executor::run(spawn)
}

fn spawn(spawner: Spawner) {
    let (client, runner) = session::set_up(Nowhere, "10.0.2.2:2181", 1);
    let member = membership::keep(client);
    let leader = leadership::compete(client);
    spawner.spawn(zookeeper(runner).expect("it runs once"));
    spawner.spawn(member.expect("it runs once"));
    spawner.spawn(leader.expect("it runs once"));
    spawner.spawn(follow(client).expect("it runs once"));
}

#[embassy_executor::task]
async fn zookeeper(mut runner: Runner<'static, Nowhere>) {
    runner.run().await;
}

#[embassy_executor::task]
async fn follow(client: Client<'static>) {
    configuration::follow(client).await;
}
