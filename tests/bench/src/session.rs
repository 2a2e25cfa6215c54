//! What the workloads need of a client library.

use std::future::Future;

/// A session with the server; its clones share it.
pub(crate) trait Session: Clone + Send + Sync + Sized + 'static {
    /// Opens a session with the server at `host:port`.
    fn connect(address: &str) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Reads [the node](crate::wire::PATH) and says how many bytes it holds.
    fn get(&self) -> impl Future<Output = anyhow::Result<usize>> + Send;

    /// Ends the session.
    fn close(self) -> impl Future<Output = anyhow::Result<()>> + Send;
}
