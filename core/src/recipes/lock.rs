//! A fair mutex, as Curator's `InterProcessMutex` lays it out.

use core::fmt;

use crate::client::Client;
use crate::error::Error;
use crate::path::Path;
#[cfg(feature = "alloc")]
use crate::recipes::explain::Explanation;
use crate::recipes::guard::Guard;
use crate::recipes::names::Names;
use crate::recipes::queue::Queue;
use crate::wire::Acl;

/// An exclusive lock below a node, among all clients that follow the same [layout](Names).
///
/// Contenders are served in the order in which they asked. The lock is not reentrant: a second
/// [`acquire`](Self::acquire) waits for the first [`Guard`].
#[derive(Clone)]
pub struct Lock<C: Client, D = &'static [u8]> {
    pub(super) queue: Queue<C, D>,
    pub(super) names: Names,
}

impl<C: Client, D> fmt::Debug for Lock<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({:?})", self.queue)
    }
}

impl<C: Client> Lock<C> {
    /// The lock at `path`, which becomes a container for the nodes of contenders.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`.
    pub fn new(client: C, path: Path<'_>) -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(client, &[path.as_str()])?,
            names: Names::CURATOR,
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> Lock<C, D> {
    /// Writes `data` into the nodes of contenders, for others to see who they are.
    pub fn with_data<E: AsRef<[u8]>>(self, data: E) -> Lock<C, E> {
        Lock {
            queue: self.queue.with_data(data),
            names: self.names,
        }
    }

    /// Puts `acl` on every node that the lock creates, instead of leaving them open to the world.
    pub const fn with_acl(mut self, acl: &'static [Acl<'static>]) -> Self {
        self.queue.acl = acl;
        self
    }

    /// Calls nodes by other names than [Curator's](Names::CURATOR), to compete with other clients.
    pub const fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Where the lock is.
    pub fn path(&self) -> Path<'_> {
        self.queue.path()
    }

    /// Waits for the lock.
    ///
    /// The place in the queue is kept over reconnections. If the session is lost the wait starts
    /// again at the end of the queue, in the next session.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the client is over; what the server says otherwise, such as
    /// [`Code::NoAuth`](crate::error::Code::NoAuth). [`Error::Full`] if there is no room for a claim
    /// or a watch.
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lock, back.
    pub fn acquire(&self) -> impl Future<Output = Result<Guard<C>, Error>> {
        self.queue.acquire(self.names)
    }

    /// Takes the lock if nobody has it or waits for it; `None` otherwise.
    ///
    /// It waits for a connection, and for the servers' answers, but not for other contenders.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> Result<Option<Guard<C>>, Error> {
        self.queue.try_acquire(self.names).await
    }

    /// Who stands in the queue, in order, and who waits for whom.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the client is over; what the server says otherwise, such as
    /// [`Code::NoAuth`](crate::error::Code::NoAuth).
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    #[cfg(feature = "alloc")]
    pub async fn explain(&self) -> Result<Explanation, Error> {
        self.queue.explain(&[self.names]).await
    }
}
