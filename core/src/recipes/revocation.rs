//! Requests to give a lock up, as Curator's `Revoker` makes them. Nobody is forced.

use crate::client::{Client, Watcher as _};
use crate::error::Error;
use crate::path::Path;
use crate::recipes::guard::Guard;
use crate::wire::{GetData, SetData};

/// What the data of a holder's node is set to.
const REQUEST: &[u8] = b"__REVOKE__";

/// Asks the holder of a lock, whose node is `path`, to give it up.
///
/// This replaces what the holder has written into its node.
///
/// # Errors
/// What the server says: [`NoNode`](crate::error::Code::NoNode) if the lock is not held any more.
///
/// # Cancel safety
/// The request may be made all the same.
#[doc(alias = "Revoker")]
pub async fn revoke<C: Client>(client: &C, path: Path<'_>) -> Result<(), Error> {
    let request = SetData {
        path,
        data: REQUEST,
        version: None,
    };
    client.call(request).await.map(drop)
}

/// The requests to give a lock up, of which those that come together count once.
#[derive(Debug)]
pub struct Revocations<'g, C: Client> {
    guard: &'g Guard<C>,
    /// The version of the node's data at the last request.
    seen: Option<i32>,
}

impl<'g, C: Client> Revocations<'g, C> {
    pub(super) const fn new(guard: &'g Guard<C>) -> Self {
        Self { guard, seen: None }
    }

    /// Waits for the next request; one that was made before counts, too.
    ///
    /// # Errors
    /// There will be no other: the node is gone, with [`NoNode`](crate::error::Code::NoNode), or the
    /// session is over; or the node cannot be watched, for want of room or of rights.
    ///
    /// # Cancel safety
    /// Cancelling it loses no request.
    pub async fn next(&mut self) -> Result<(), Error> {
        loop {
            let own = GetData {
                path: self.guard.path(),
            };
            let (data, mut watcher) = match self.guard.place.client.watch(own).await {
                Err(Error::ConnectionLost) => continue,
                watched => watched?,
            };
            let version = data.stat().version;
            if data.data() == REQUEST && self.seen != Some(version) {
                self.seen = Some(version);
                return Ok(());
            }
            drop(data);
            watcher.next().await;
        }
    }
}
