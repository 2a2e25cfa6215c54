//! The client and what the firmware does with it, but neither a network nor texts.
#![no_std]
#![no_main]

mod nowhere;

use cortex_m_rt::entry;
use docent_board::mps2::executor;
use docent_board::{configuration, leadership, membership, session};
use docent_embassy::{Client, Runner};
use embassy_executor::Spawner;
use nowhere::Nowhere;

#[entry]
fn start() -> ! {
    executor::run(spawn)
}

fn spawn(spawner: Spawner) {
    let (client, runner) = session::set_up(Nowhere, "10.0.2.2:2181", 1);
    let member = membership::keep(client, "/board/members", "/board/members/board");
    let leader = leadership::compete(client, "/board/leader", "/board/work");
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
    configuration::follow(client, "/board/config").await;
}
