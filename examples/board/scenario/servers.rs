//! The server, which runs on a port of its own and fails on demand.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use docent_testing::dev::DevServer;
use docent_testing::real::{Ensemble, Version};
use tokio::task::block_in_place;

use super::Result;

pub(crate) enum Servers {
    /// A model, in this process.
    Model(DevServer),
    Real(Ensemble, Version),
}

impl Servers {
    /// Starts a model, or a real server of this version.
    pub(crate) async fn start(which: &str) -> Result<Self> {
        if which == "model" {
            let builder = DevServer::builder().tick(Duration::from_millis(500));
            return Ok(Self::Model(builder.start().await?));
        }
        let version = Version::ALL
            .iter()
            .find(|version| version.number() == which);
        let version = *version.ok_or_else(|| format!("{which} is none of model, 3.8 and 3.9"))?;
        let server = block_in_place(|| Ensemble::standalone(version));
        Ok(Self::Real(server, version))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Model(model) => model.addresses()[0],
            Self::Real(server, _) => server.member(1),
        }
    }

    /// Stops it and starts it again. It keeps its nodes and sessions.
    pub(crate) fn restart(&self) {
        match self {
            Self::Model(model) => model.restart_all(),
            Self::Real(server, _) => block_in_place(|| server.restart_all()),
        }
    }

    /// Ends a session.
    pub(crate) fn expire(&self, session: i64) {
        match self {
            Self::Model(model) => _ = model.expire(session),
            Self::Real(server, _) => block_in_place(|| server.expire(session)),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(_) => f.write_str("a model"),
            Self::Real(_, version) => write!(f, "ZooKeeper {version}"),
        }
    }
}
