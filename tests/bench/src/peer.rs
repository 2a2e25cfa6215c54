//! `zookeeper-client`, the nearest Rust peer, as a subject.

use zookeeper_client::Client;

use crate::session::Session;
use crate::wire::PATH;

/// A session of `zookeeper-client`.
#[derive(Clone)]
pub(crate) struct Peer(Client);

impl Session for Peer {
    async fn connect(address: &str) -> anyhow::Result<Self> {
        Ok(Self(Client::connect(address).await?))
    }

    async fn get(&self) -> anyhow::Result<usize> {
        let (data, _) = self.0.get_data(PATH).await?;
        Ok(data.len())
    }

    // It has no call for that: the last handle closes.
    async fn close(self) -> anyhow::Result<()> {
        Ok(())
    }
}
