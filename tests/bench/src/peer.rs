//! `zookeeper-client`, the nearest Rust peer, as a subject.

use zookeeper_client::{Acls, Client, CreateMode, LockPrefix};

use crate::hand_offs::Contender;
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

/// A client that locks as Curator does.
pub(crate) struct PeerLock {
    client: Client,
    path: String,
}

impl Contender for PeerLock {
    async fn connect(address: &str, path: &str) -> anyhow::Result<Self> {
        let client = Client::connect(address).await?;
        let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir(path, &open).await?;
        Ok(Self {
            client,
            path: path.to_owned(),
        })
    }

    // Dropping the lock deletes its node in the background; there is nothing to wait for.
    async fn turn(&self, inside: impl FnOnce() + Send) -> anyhow::Result<()> {
        let prefix = LockPrefix::new_curator(&self.path, "lock-")?;
        let held = self.client.lock(prefix, b"", Acls::anyone_all()).await?;
        inside();
        drop(held);
        Ok(())
    }
}
