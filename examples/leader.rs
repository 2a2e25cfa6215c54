//! Processes of which one at a time leads, and writes a report that nobody else may write.
//!
//! Start it several times at once, and stop the one that leads: another goes on.
//!
//! ```sh
//! ZK_CONNECT=127.0.0.1:2181 cargo run --package docent --example leader
//! ```

use std::env;
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use docent::core::wire::SetData;
use docent::{Client, Guard, Op, Path};
use tokio::time::sleep;

const REPORT: &str = "/example/leader/report";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = env::var("ZK_CONNECT").unwrap_or_else(|_| "127.0.0.1:2181".to_owned());
    let client = docent::connect(&servers).await?;
    client.ensure(REPORT).await?;
    let id = format!("process {}", std::process::id());
    let election = client.election("/example/leader/candidates", id.as_str())?;
    println!("{id} stands");

    let lines = election.lead(async |leadership: &Guard| lead(&client, leadership, &id).await);
    println!("{id} has written {} lines and goes", lines.await?);
    client.close().await;
    Ok(())
}

/// Writes some lines. It is stopped where it waits if the leadership may be lost.
async fn lead(client: &Client, leadership: &Guard, id: &str) -> ControlFlow<u32> {
    println!(
        "{id} leads, with the token {:#x}",
        leadership.fencing_token()
    );
    for line in 0..5 {
        match write(client, leadership, &format!("line {line} by {id}")).await {
            Ok(true) => println!("{id} writes line {line}"),
            // Somebody else leads, although this process has not heard of it yet.
            Ok(false) => return ControlFlow::Continue(()),
            Err(error) => println!("{id} does not know whether line {line} is written: {error}"),
        }
        sleep(Duration::from_millis(300)).await;
    }
    ControlFlow::Break(5)
}

/// Writes the report if this process leads, as the servers see it. Whether it does.
async fn write(client: &Client, leadership: &Guard, line: &str) -> Result<bool, docent::Error> {
    let report = SetData {
        path: Path::new(REPORT).expect("a valid path"),
        data: line.as_bytes(),
        version: None,
    };
    let ops = [leadership.check(), Op::SetData(report)];
    Ok(client.multi(&ops).await?.outcome().is_ok())
}
