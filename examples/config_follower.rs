//! A program that follows its configuration: it reads it as often as it likes without asking anybody,
//! is told of changes, and knows when what it has may be old.
//!
//! Start a server with `tests/zk.sh start standalone`, which prints its address, then run
//! `ZK_CONNECT=127.0.0.1:21810 cargo run --example config_follower`. An operator who is played here
//! changes what is below `/docent/config`; others may, too.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use docent::cache::{Bounds, Cache, Event, Node};
use docent::{Client, CreateMode};

const ROOT: &str = "/docent/config";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::var("ZK_CONNECT").unwrap_or_else(|_| "127.0.0.1:2181".to_owned());
    let client = docent::builder(&servers)
        .session_timeout(Duration::from_secs(10))
        .connect()
        .await?;
    client.ensure(ROOT).await?;

    // Nobody can fill this program's memory by what he writes there.
    let bounds = Bounds {
        nodes: 1_000,
        bytes: 1 << 20,
    };
    let config = client.cache(ROOT).depth(1).bounds(bounds).start()?;
    config.ready().await?;
    println!(
        "follows   {ROOT}, as of transaction {:#x}",
        config.as_of_zxid()
    );

    let mut events = config.events();
    let operator = tokio::spawn(operate(client.clone()));
    while let Some(event) = events.next().await {
        match event {
            Event::Put { new, .. } if new.name() == "stop" => break,
            Event::Put { old: None, new } => {
                println!("new       {} = {:?}", new.name(), text(&new))
            }
            Event::Put { new, .. } => println!("changed   {} = {:?}", new.name(), text(&new)),
            Event::Removed { old } => println!("gone      {}", old.name()),
            Event::Ready { .. } | Event::Fresh => println!("in use    {:?}", settings(&config)),
            Event::Stale => println!("stale     no connection; goes on with what it has"),
            Event::Overflow => println!("overflow  there is too much of it; some is left out"),
            _ => {}
        }
    }
    println!(
        "in use    {:?}, {:?} old at most",
        settings(&config),
        config.age()
    );
    operator.await??;
    client.close().await;
    Ok(())
}

/// What a program asks for at any time, without waiting.
fn settings(config: &Cache) -> BTreeMap<String, String> {
    let nodes = config.children(ROOT);
    let settings = nodes
        .iter()
        .map(|node| (node.name().to_owned(), text(node)));
    settings.collect()
}

fn text(node: &Node) -> String {
    String::from_utf8_lossy(node.data().unwrap_or_default()).into_owned()
}

/// Somebody who changes the configuration, and in the end wants the program to stop.
async fn operate(client: Client) -> Result<(), docent::Error> {
    let path = |name: &str| format!("{ROOT}/{name}");
    let mode = CreateMode::Ephemeral;
    client.create(&path("limit"), b"10", mode).await?;
    pause().await;
    client.set(&path("limit"), b"20", None).await?;
    client.create(&path("colour"), b"blue", mode).await?;
    pause().await;
    client.delete(&path("colour"), None).await?;
    pause().await;
    client.create(&path("stop"), b"", mode).await?;
    Ok(())
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}
