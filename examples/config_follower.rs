//! A program that follows its configuration: it reads it as often as it likes without asking anybody,
//! is told of changes, and knows when what it has may be old.
//!
//! Start a server with `tests/zk.sh start standalone`, which prints its address, then run
//! `ZK_CONNECT=127.0.0.1:21810 cargo run --example config_follower`, and change what is below
//! `/docent/config`. It ends when `/docent/config/stop` is created.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use docent::CreateMode;
use docent::cache::{Bounds, Cache, Event, Node};

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
        "follows {ROOT}, as of transaction {:#x}",
        config.as_of_zxid()
    );
    if config.get(&format!("{ROOT}/greeting")).is_none() {
        let path = format!("{ROOT}/greeting");
        client
            .create(&path, b"hello", CreateMode::Persistent)
            .await?;
    }

    let mut events = config.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Put { new, .. } if new.name() == "stop" => break,
            Event::Put { old: None, new } => println!("{} is {:?}", new.name(), text(&new)),
            Event::Put {
                old: Some(old),
                new,
            } => println!(
                "{} was {:?}, and is {:?}",
                new.name(),
                text(&old),
                text(&new)
            ),
            Event::Removed { old } => println!("{} is gone: back to what is built in", old.name()),
            Event::Ready { .. } | Event::Fresh => println!("in use: {:?}", settings(&config)),
            Event::Stale => println!("no connection: goes on with what it has"),
            Event::Overflow => println!("there is too much of it; some is left out"),
            _ => {}
        }
    }
    println!("stops; what it had was {:?} old at most", config.age());
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
