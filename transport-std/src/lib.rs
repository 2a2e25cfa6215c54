//! An Apache ZooKeeper client for tokio, in the spirit of Apache Curator.

mod builder;
mod client;
mod connect;
mod driver;
mod error;
mod shared;
mod watch;

pub use builder::Builder;
pub use client::{Client, Created};
pub use connect::{Addresses, Host, Resolve, SystemResolver};
pub use docent_core as core;
pub use docent_core::error::Code;
pub use docent_core::hub::Limits;
pub use docent_core::path::Path;
pub use docent_core::session::{Backoff, Credentials, End, Epoch, Lost, State, Status};
pub use docent_core::wire::{
    Acl, Acls, Children, CreateMode, Data, EventKind, Events, Identities, MultiFailure, MultiReply,
    Op, OpResult, Paths, Perms, ReadOp, Reconfig, Stat,
};
pub use error::{BuildError, ConnectError, Error, ErrorKind};
pub use shared::Link;
pub use watch::{Change, States, Watcher};

use docent_core::handle::Handle;

/// A [fair mutex](docent_core::recipes::Lock).
pub type Lock = docent_core::recipes::Lock<Handle<Link>>;
/// A held [`Lock`].
pub type Guard = docent_core::recipes::Guard<Handle<Link>>;

/// Connects to the servers in `connect_string`, such as `zk1:2181,zk2,[::1]:2183/app`.
///
/// # Errors
/// See [`Builder::connect`].
pub async fn connect(connect_string: &str) -> Result<Client, ConnectError> {
    builder(connect_string).connect().await
}

/// Settings for a client of the servers in `connect_string`.
pub fn builder(connect_string: &str) -> Builder {
    Builder::new(connect_string)
}
