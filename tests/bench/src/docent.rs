//! Docent, as a subject.

use ::docent::Client;

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
