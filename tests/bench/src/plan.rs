//! What one client process is asked to do; the runner passes it as a JSON argument.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A client under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    /// The floor: a tokio socket, frames encoded beforehand, replies merely split.
    Raw,
    /// This project.
    Docent,
    /// The nearest peer, `zookeeper-client`.
    #[serde(rename = "zookeeper-client")]
    Peer,
    /// Apache Curator, in a JVM.
    Curator,
}

/// The flavour of tokio runtime. Curator has threads of its own, as many as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    Current,
    Multi,
}

/// A client in a runtime: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.client {
            Client::Raw => "raw",
            Client::Docent => "docent",
            Client::Peer => "zookeeper-client",
            Client::Curator => "curator",
        })?;
        f.write_str(match (self.client, self.runtime) {
            (Client::Curator, _) | (_, Runtime::Current) => "",
            (_, Runtime::Multi) => "-mt",
        })
    }
}

/// The work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// getData with so many requests outstanding.
    Reads {
        window: usize,
        /// Every how many operations (of one task) the latency is taken.
        sample_every: u64,
        warm_up: Duration,
        measure: Duration,
    },
    /// Sessions that do nothing but ping.
    Idle { sessions: usize, hold: Duration },
    /// A lock that so many sessions take in turn.
    HandOffs {
        contenders: usize,
        warm_up: Duration,
        measure: Duration,
    },
}

/// One process: who, what and against which server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) scenario: Scenario,
    /// `host:port` of the server.
    pub(crate) address: String,
    /// The core to stay on; any, if there is none.
    pub(crate) core: Option<usize>,
}
