//! A board as a client of ZooKeeper. It
//!
//! * is a [member](membership) of the cluster as long as it is there,
//! * follows a [configuration], and blinks as it says,
//! * competes for the [leadership] with whoever else does, and works while it leads,
//!
//! over restarts of the servers, cuts of its cable, and the end of its session. It prints what
//! happens.
//!
//! All of it is on the stack of one task or in memory that is set aside at compile time; there is no
//! allocator. [`session`] says how much there is for the client.
#![no_std]
#![no_main]

mod configuration;
mod leadership;
mod membership;
mod mps2;
mod network;
mod session;

use cortex_m_rt::entry;
use docent_embassy::{Net, Runner};
use embassy_executor::Spawner;
use static_cell::ConstStaticCell;

use mps2::{console, executor, stack};

#[entry]
fn start() -> ! {
    console::start();
    executor::run(|spawner| spawner.spawn(main(spawner).expect("it runs once")))
}

#[embassy_executor::task]
async fn main(spawner: Spawner) {
    // An address on the network, by DHCP.
    let (stack, seed) = network::start(spawner).await;

    // The client: how it connects, where to, and a task that runs it.
    static SOCKET: ConstStaticCell<[[u8; 512]; 2]> = ConstStaticCell::new([[0; 512]; 2]);
    let [rx, tx] = SOCKET.take();
    let dial = Net::new(stack, rx, tx);
    let (client, runner) = session::set_up(dial, console::argument(), seed);
    spawner.spawn(zookeeper(runner).expect("it runs once"));

    // What it is for. The tasks share the client by copying it.
    let member = membership::keep(client);
    let leader = leadership::compete(client);
    spawner.spawn(member.expect("it runs once"));
    spawner.spawn(leader.expect("it runs once"));
    configuration::follow(client).await;

    // The servers need not wait for a board that says goodbye.
    client.close().await;
    log::info!("{} bytes of stack were used", stack::deepest());
    console::exit(true)
}

#[embassy_executor::task]
async fn zookeeper(mut runner: Runner<'static, Net<'static>>) {
    runner.run().await;
}
