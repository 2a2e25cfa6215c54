//! Docent, as a subject.

use ::docent::{Client, Lock};

use crate::hand_offs::Contender;
use crate::session::Session;
use crate::wire::PATH;

/// A session of Docent.
#[derive(Clone)]
pub(crate) struct Docent(Client);

impl Session for Docent {
    async fn connect(address: &str) -> anyhow::Result<Self> {
        Ok(Self(::docent::builder(address).connect().await?))
    }

    async fn get(&self) -> anyhow::Result<usize> {
        Ok(self.0.get(PATH).await?.data().len())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.0.close().await;
        Ok(())
    }
}

/// A lock of Docent.
pub(crate) struct DocentLock(Lock);

impl Contender for DocentLock {
    async fn connect(address: &str, path: &str) -> anyhow::Result<Self> {
        let client = ::docent::builder(address).connect().await?;
        client.ensure(path).await?;
        Ok(Self(client.lock(path)?))
    }

    async fn turn(&self, inside: impl FnOnce() + Send) -> anyhow::Result<()> {
        let guard = self.0.acquire().await?;
        inside();
        Ok(guard.release().await?)
    }
}
