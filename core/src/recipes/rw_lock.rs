//! A read/write lock, as Curator's `InterProcessReadWriteLock` lays it out.

use core::fmt;
use core::ops::Deref;

use crate::client::Client;
use crate::error::{Code, Error};
use crate::path::{Path, sequence};
#[cfg(feature = "alloc")]
use crate::recipes::explain::Explanation;
use crate::recipes::guard::Guard;
use crate::recipes::names::RwNames;
use crate::recipes::place::{Entry, Place, Standing};
use crate::recipes::queue::Queue;
use crate::wire::{Acl, Exists};

/// A lock below a node that either one holds to write, or many hold to read.
///
/// All are served in the order in which they asked: a reader waits for the writers ahead of it, and a
/// writer for everybody. Neither is reentrant. In particular, whoever asks to [write](Self::write)
/// while it holds the lock to read waits for itself; [`try_upgrade`](Self::try_upgrade) does not.
#[derive(Clone)]
pub struct RwLock<C: Client, D = &'static [u8]> {
    pub(super) queue: Queue<C, D>,
    pub(super) names: RwNames,
}

impl<C: Client, D> fmt::Debug for RwLock<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLock({:?})", self.queue)
    }
}

impl<C: Client> RwLock<C> {
    /// The lock at `path`, which becomes a container for the nodes of contenders.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`.
    pub fn new(client: C, path: Path<'_>) -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(client, &[path.as_str()])?,
            names: RwNames::CURATOR,
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> RwLock<C, D> {
    /// Writes `data` into the nodes of contenders, for others to see who they are.
    pub fn with_data<E: AsRef<[u8]>>(self, data: E) -> RwLock<C, E> {
        RwLock {
            queue: self.queue.with_data(data),
            names: self.names,
        }
    }

    /// Puts `acl` on every node that the lock creates, instead of leaving them open to the world.
    pub const fn with_acl(mut self, acl: &'static [Acl<'static>]) -> Self {
        self.queue.acl = acl;
        self
    }

    /// Calls nodes by other names than [Curator's](RwNames::CURATOR), to compete with other clients.
    pub const fn with_names(mut self, names: RwNames) -> Self {
        self.names = names;
        self
    }

    /// Where the lock is.
    pub fn path(&self) -> Path<'_> {
        self.queue.path()
    }

    /// Waits until nobody ahead writes or waits to write.
    ///
    /// # Errors
    /// As for [`Lock::acquire`](crate::recipes::Lock::acquire).
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lock, back.
    pub async fn read(&self) -> Result<ReadGuard<C>, Error> {
        self.queue.acquire(self.names.read).await.map(ReadGuard)
    }

    /// Waits until nobody else holds the lock, or waits for it ahead.
    ///
    /// # Errors
    /// As for [`Lock::acquire`](crate::recipes::Lock::acquire).
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lock, back.
    pub async fn write(&self) -> Result<WriteGuard<C>, Error> {
        self.queue.acquire(self.names.write).await.map(WriteGuard)
    }

    /// As [`read`](Self::read), but `None` if it would have to wait for others.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    ///
    /// # Cancel safety
    /// As for [`read`](Self::read).
    pub async fn try_read(&self) -> Result<Option<ReadGuard<C>>, Error> {
        let guard = self.queue.try_acquire(self.names.read).await?;
        Ok(guard.map(ReadGuard))
    }

    /// As [`write`](Self::write), but `None` if it would have to wait for others.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    ///
    /// # Cancel safety
    /// As for [`write`](Self::write).
    pub async fn try_write(&self) -> Result<Option<WriteGuard<C>>, Error> {
        let guard = self.queue.try_acquire(self.names.write).await?;
        Ok(guard.map(WriteGuard))
    }

    /// Goes on reading what was written: nobody else writes in between.
    ///
    /// The node of the reader takes the number, and so the place, of the writer's, as Curator has it.
    /// The fencing token stays as it is, for those who wait have greater ones already.
    ///
    /// # Errors
    /// The lock is held to write as before, unless it was lost, and [`Unchanged`] gives it back. The
    /// error is [`Code::NoNode`] if the writer's node was deleted by hand, or is that of another lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives the lock back.
    pub async fn downgrade(
        &self,
        guard: WriteGuard<C>,
    ) -> Result<ReadGuard<C>, Unchanged<WriteGuard<C>>> {
        if guard.path().parent() != Some(self.path()) {
            return Err(Unchanged::new(guard, Error::Server(Code::NoNode)));
        }
        let Some(name) = numbered(self.names.read.own, guard.path().name()) else {
            return Err(Unchanged::new(guard, Error::PathTooLong));
        };
        let entry = Entry {
            own: &name,
            sequential: false,
            ..self.queue.entry(self.names.read)
        };
        let mut place = match Place::join(&guard.place.client, &entry).await {
            Ok(place) => place,
            Err(error) => return Err(Unchanged::new(guard, error)),
        };
        place.czxid = guard.place.czxid;
        // A writer whose node was deleted by hand has left, and another may write by now.
        if let Err(error) = self.is_there(&guard).await {
            let _: Result<(), Error> = place.leave().await;
            return Err(Unchanged::new(guard, error));
        }
        let status = guard.status;
        // Whether it is acknowledged or not, it will be done.
        let _: Result<(), Error> = guard.0.release().await;
        Ok(ReadGuard(Guard { place, status }))
    }

    /// Holds the lock to write if nobody else reads, and nobody waited to write before this was
    /// called. It never waits for others: two readers that wait to write would wait for each other.
    ///
    /// # Errors
    /// The lock is held to read as before, unless it was lost, and [`Unchanged`] gives it back. The
    /// error is [`Error::Deadlock`] if others are in the way.
    ///
    /// # Cancel safety
    /// Dropping the future gives the lock back.
    pub async fn try_upgrade(
        &self,
        guard: ReadGuard<C>,
    ) -> Result<WriteGuard<C>, Unchanged<ReadGuard<C>>> {
        match self.overtake(&guard).await {
            Ok(writer) => {
                let _: Result<(), Error> = guard.0.release().await;
                Ok(WriteGuard(writer))
            }
            Err(error) => Err(Unchanged::new(guard, error)),
        }
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
        self.queue
            .explain(&[self.names.read, self.names.write])
            .await
    }

    /// Looks for the node of `guard`.
    async fn is_there(&self, guard: &Guard<C>) -> Result<(), Error> {
        let path = guard.path();
        guard.place.client.retry(Exists { path }).await.map(drop)
    }

    /// A place to write, if only `reader` is ahead of it.
    async fn overtake(&self, reader: &Guard<C>) -> Result<Guard<C>, Error> {
        let entry = &self.queue.entry(self.names.write);
        let place = Place::join(&reader.place.client, entry).await?;
        let alone = match place.look(entry).await? {
            Standing::Behind(ahead) => ahead.as_ref() == reader.path().as_str(),
            Standing::First | Standing::Gone => false,
        };
        if alone && matches!(reader.place.look(entry).await?, Standing::First) {
            let status = reader.status;
            return Ok(Guard { place, status });
        }
        let _: Result<(), Error> = place.leave().await;
        Err(Error::Deadlock)
    }
}

/// A name with the number of a sequential node.
fn numbered(name: &str, sequential: &str) -> Option<heapless::String<32>> {
    let (stem, _) = sequence(sequential)?;
    let mut numbered = heapless::String::try_from(name).ok()?;
    numbered.push_str(sequential.get(stem.len()..)?).ok()?;
    Some(numbered)
}

/// A lock that is held to read, perhaps by others, too. It is a [`Guard`] in all else.
#[derive(Debug)]
pub struct ReadGuard<C: Client>(Guard<C>);

/// A lock that is held to write. It is a [`Guard`] in all else.
#[derive(Debug)]
pub struct WriteGuard<C: Client>(Guard<C>);

impl<C: Client> Deref for ReadGuard<C> {
    type Target = Guard<C>;

    fn deref(&self) -> &Guard<C> {
        &self.0
    }
}

impl<C: Client> Deref for WriteGuard<C> {
    type Target = Guard<C>;

    fn deref(&self) -> &Guard<C> {
        &self.0
    }
}

impl<C: Client> ReadGuard<C> {
    /// As [`Guard::release`].
    ///
    /// # Errors
    /// As for [`Guard::release`].
    ///
    /// # Cancel safety
    /// As for [`Guard::release`].
    pub fn release(self) -> impl Future<Output = Result<(), Error>> {
        self.0.release()
    }
}

impl<C: Client> WriteGuard<C> {
    /// As [`Guard::release`].
    ///
    /// # Errors
    /// As for [`Guard::release`].
    ///
    /// # Cancel safety
    /// As for [`Guard::release`].
    pub fn release(self) -> impl Future<Output = Result<(), Error>> {
        self.0.release()
    }
}

/// A guard that could not be exchanged for another.
#[derive(Debug, thiserror::Error)]
#[error("the lock is held as before: {error}")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unchanged<G> {
    /// What it was.
    pub guard: G,
    /// Why.
    pub error: Error,
}

impl<G> Unchanged<G> {
    const fn new(guard: G, error: Error) -> Self {
        Self { guard, error }
    }
}
