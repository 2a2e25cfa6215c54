//! What a real server has received and sent, as its word `srvr` tells.

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Packets of all clients since the server has started; words such as `srvr` are none.
#[derive(Clone, Copy)]
pub(crate) struct Packets {
    /// Requests, pings included.
    pub(crate) received: u64,
    /// Replies and notifications.
    pub(crate) sent: u64,
}

impl Packets {
    /// Asks the server at `host:port`.
    pub(crate) async fn of(address: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"srvr").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(Self {
            received: field(&text, "Received: ")?,
            sent: field(&text, "Sent: ")?,
        })
    }

    /// How many there were since then.
    pub(crate) const fn since(self, then: Self) -> Self {
        Self {
            received: self.received - then.received,
            sent: self.sent - then.sent,
        }
    }
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.parse().ok());
    number.with_context(|| format!("the server has no '{name}': {text}"))
}
