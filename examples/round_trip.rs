//! A node, a watch and a lock on a real server.
//!
//! Start one with `tests/zk.sh start standalone`, which prints its address, then run
//! `ZK_CONNECT=127.0.0.1:21810 cargo run --example round_trip`.

use std::error::Error;
use std::time::Duration;

use docent::CreateMode;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::var("ZK_CONNECT").unwrap_or_else(|_| "127.0.0.1:2181".to_owned());
    let client = docent::builder(&servers)
        .session_timeout(Duration::from_secs(10))
        .connect()
        .await?;
    println!("connected to {servers}: {client:?}");

    client.ensure("/docent/example").await?;
    let node = client
        .create(
            "/docent/example/node-",
            b"hello",
            CreateMode::EphemeralSequential,
        )
        .await?;
    println!(
        "created   {} in transaction {:#x}",
        node.path, node.stat.czxid
    );

    let (data, mut watcher) = client.get_and_watch(&node.path).await?;
    println!(
        "read      {:?}, version {}",
        String::from_utf8_lossy(data.data()),
        data.stat().version
    );

    client
        .set(&node.path, b"world", Some(data.stat().version))
        .await?;
    println!("watched   {:?}", watcher.changed().await);

    let lock = client.lock("/docent/example/lock")?;
    let guard = tokio::time::timeout(Duration::from_secs(5), lock.acquire()).await??;
    println!(
        "locked    {} with fencing token {:#x}",
        guard.path(),
        guard.fencing_token()
    );
    let left = guard
        .valid_until()
        .map(|until| until.saturating_duration_since(std::time::Instant::now()));
    println!("valid for {left:.1?} even if all servers fell silent now");
    guard.release().await?;
    println!("released");

    client.close().await;
    println!("closed");
    Ok(())
}
