//! A tour of Docent: clients, watches, a lock, an election, a cache, and what becomes of them when networks fail.
//!
//! `cargo run --example tour` starts three servers in its own process and prints what happens.
//! `ZK_CONNECT=host:port cargo run --example tour` does the same with real servers.
//!
//! Each chapter is a file of its own, and reads on its own.

mod cache;
mod cut;
mod election;
mod lock;
mod stage;
pub(crate) mod timeline;
mod watch;

use std::env;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use stage::Stage;
use timeline::Timeline;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Plays all chapters, on the servers of a connect string or on some in this process.
pub(crate) async fn tour(servers: Option<&str>, timeline: Timeline) -> Result {
    let stage = Stage::set_up(servers, timeline).await?;
    watch::play(&stage).await?;
    lock::play(&stage).await?;
    election::play(&stage).await?;
    cut::play(&stage).await?;
    cache::play(&stage).await?;
    stage.clear().await
}

#[tokio::main]
async fn main() -> ExitCode {
    let servers = env::var("ZK_CONNECT").ok();
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let coloured = io::stdout().is_terminal() && !plain;
    let timeline = Timeline::new(io::stdout(), coloured);
    match tour(servers.as_deref(), timeline).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}
