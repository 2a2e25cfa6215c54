//! A client that does less than the firmware: it is a member, takes a lock, and watches one node.
#![no_std]
#![no_main]

#[path = "../src/membership.rs"]
mod membership;
#[path = "../src/mps2/mod.rs"]
#[allow(dead_code, reason = "this has less than the firmware")]
mod mps2;
mod nowhere;
#[path = "../src/session.rs"]
mod session;

use cortex_m_rt::entry;
use docent_embassy::core::client::{Client as _, Watcher as _};
use docent_embassy::core::error::Error;
use docent_embassy::core::handle::Watcher;
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::{Guard, Lock};
use docent_embassy::core::wire::{Exists, GetData, Multi, Op, SetData};
use docent_embassy::{Client, Link, Runner};
use embassy_executor::Spawner;
use embassy_futures::select::select;
use embassy_time::Timer;

use mps2::{executor, led};
use nowhere::Nowhere;

const LOCK: &str = "/board/valve";
const CONFIG: &str = "/board/config";

#[entry]
fn start() -> ! {
    executor::run(spawn)
}

fn spawn(spawner: Spawner) {
    let (client, runner) = session::set_up(Nowhere, "10.0.2.2:2181", 1);
    spawner.spawn(zookeeper(runner).expect("it runs once"));
    spawner.spawn(membership::keep(client).expect("it runs once"));
    spawner.spawn(take_turns(client).expect("it runs once"));
    spawner.spawn(follow(client).expect("it runs once"));
}

#[embassy_executor::task]
async fn zookeeper(mut runner: Runner<'static, Nowhere>) {
    runner.run().await;
}

/// Writes whenever it has the lock, until the client is over.
#[embassy_executor::task]
async fn take_turns(client: Client<'static>) {
    while !matches!(turn(&client).await, Err(Error::NotSent(_))) {
        Timer::after_secs(1).await;
    }
}

async fn turn(client: &Client<'static>) -> Result<(), Error> {
    let guard = acquire(client).await?;
    hold(client, guard).await
}

/// The lock itself is not needed any more once there is a guard.
async fn acquire(client: &Client<'static>) -> Result<Guard<Client<'static>>, Error> {
    let lock = Lock::new(*client, Path::new(LOCK)?)?;
    lock.acquire().await
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would have room for two guards"
)]
fn hold(
    client: &Client<'static>,
    guard: Guard<Client<'static>>,
) -> impl Future<Output = Result<(), Error>> {
    async move {
        select(guard.lost(), write(client, &guard)).await;
        guard.release().await
    }
}

/// Writes, unless the lock is another's by then.
async fn write(client: &Client<'static>, guard: &Guard<Client<'static>>) -> Result<(), Error> {
    let write = Op::SetData(SetData {
        path: Path::new(CONFIG)?,
        data: b"open",
        version: None,
    });
    let ops = &[guard.check(), write];
    client.call(Multi { ops }).await.map(drop)
}

/// Shows whether the node says "open", until the client is over.
#[embassy_executor::task]
async fn follow(client: Client<'static>) {
    loop {
        match look(&client).await {
            Ok(mut watcher) => drop(watcher.next().await),
            Err(Error::NotSent(_)) => return,
            Err(_) => Timer::after_secs(1).await,
        }
    }
}

/// Looks at the node, and returns what tells of its next change.
async fn look(client: &Client<'static>) -> Result<Watcher<Link<'static>>, Error> {
    let path = Path::new(CONFIG)?;
    match client.watch(GetData { path }).await {
        Ok((found, watcher)) => {
            led::switch(found.data() == b"open");
            Ok(watcher)
        }
        Err(error) if error.is_no_node() => {
            let (_, watcher) = client.watch_absent(Exists { path }).await?;
            Ok(watcher)
        }
        Err(error) => Err(error),
    }
}
