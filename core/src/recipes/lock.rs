//! A fair mutex, as Curator's `InterProcessMutex` lays it out.

use core::fmt;
use core::future::pending;
use core::pin::pin;

use crate::client::{Claim, Client, Watcher};
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf};
use crate::recipes::place::{Place, Queue};
use crate::recipes::race::race;
use crate::session::{End, Status};
use crate::wire::{Acl, Delete, GetChildNames, Op};

/// What Curator, and the Go client, call the nodes of a mutex.
const NAME: &str = "lock-";

/// An exclusive lock below a node, among all clients that follow Curator's layout.
///
/// Contenders are served in the order in which they asked. The lock is not reentrant: a second
/// [`acquire`](Self::acquire) waits for the first [`Guard`].
#[derive(Clone)]
pub struct Lock<C: Client, D = &'static [u8]> {
    client: C,
    path: C::Path,
    data: D,
    acl: &'static [Acl<'static>],
}

impl<C: Client, D> fmt::Debug for Lock<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({})", self.path.as_path())
    }
}

impl<C: Client> Lock<C> {
    /// The lock at `path`, which becomes a container for the nodes of contenders.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`.
    pub fn new(client: C, path: Path<'_>) -> Result<Self, Error> {
        let path = C::Path::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        Ok(Self {
            client,
            path,
            data: &[],
            acl: Acl::OPEN,
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> Lock<C, D> {
    /// Writes `data` into the nodes of contenders, for others to see who they are.
    pub fn with_data<E: AsRef<[u8]>>(self, data: E) -> Lock<C, E> {
        let Self {
            client, path, acl, ..
        } = self;
        Lock {
            client,
            path,
            data,
            acl,
        }
    }

    /// Puts `acl` on every node that the lock creates, instead of leaving them open to the world.
    pub fn with_acl(mut self, acl: &'static [Acl<'static>]) -> Self {
        self.acl = acl;
        self
    }

    /// Where the lock is.
    pub fn path(&self) -> Path<'_> {
        self.path.as_path()
    }

    /// Waits for the lock.
    ///
    /// The place in the queue is kept over reconnections. If the session is lost the wait starts
    /// again at the end of the queue, in the next session.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the client is over; what the server says otherwise, such as
    /// [`Code::NoAuth`]. [`Error::Full`] if there is no room for a claim or a watch.
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lock, back.
    pub async fn acquire(&self) -> Result<Guard<C>, Error> {
        loop {
            match self.attempt().await {
                Ok(Some(guard)) => return Ok(guard),
                Ok(None) => {}
                // The session of the attempt is over. Is the client?
                Err(error) if is_expiry(error) && self.client.status().state.end().is_none() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self) -> Result<Option<Guard<C>>, Error> {
        let queue = &Queue {
            path: self.path(),
            name: NAME,
            data: self.data.as_ref(),
            acl: self.acl,
        };
        let mut place = Place::join(&self.client, queue).await?;
        while let Some(status) = place.turn(queue).await? {
            let guard = Guard { place, status };
            if guard.is_held() {
                return Ok(Some(guard));
            }
            // The lease ran out on the way: look again.
            place = guard.place;
        }
        place.claim.settle();
        Ok(None)
    }
}

/// A held lock. Dropping it releases the lock in the background.
///
/// A lock is only held for sure until [`valid_until`](Self::valid_until), and a process may be
/// stopped at any instruction. Protect what must never see two holders by the
/// [fencing token](Self::fencing_token), or write through a transaction with
/// [`check`](Self::check).
pub struct Guard<C: Client> {
    place: Place<C>,
    /// The session when the lock was granted.
    status: Status,
}

impl<C: Client> fmt::Debug for Guard<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Guard({}, fencing token {:#x})",
            self.path(),
            self.fencing_token()
        )
    }
}

impl<C: Client> Guard<C> {
    /// The node that holds the lock.
    pub fn path(&self) -> Path<'_> {
        self.place.claim.path()
    }

    /// A number that grows from holder to holder: the transaction that created the node.
    ///
    /// Unlike the number in the node's name it also grows when the lock's parent is deleted and made
    /// anew.
    pub const fn fencing_token(&self) -> i64 {
        self.place.czxid
    }

    /// Whether the lock is held, as far as this process can know without asking.
    ///
    /// It looks at the clock, so that a process that was stopped learns here that its time is over.
    /// Once false it stays false, even if the session should turn out to have survived.
    pub fn is_held(&self) -> bool {
        self.holds(self.place.client.status())
    }

    fn holds(&self, status: Status) -> bool {
        status.epoch == self.status.epoch
            && status.lapses == self.status.lapses
            && status.state.end().is_none()
    }

    /// Until when no other client can hold the lock, by the application's clock; `None` once it may
    /// have been lost. It moves on for as long as servers answer.
    ///
    /// That the node is deleted by hand is not foreseen.
    pub fn valid_until(&self) -> Option<C::Time> {
        let client = &self.place.client;
        let (_, lease) = client.lease();
        lease
            .filter(|_| self.is_held())
            .map(|lease| client.time(lease))
    }

    /// Waits until the lock may have been lost: the session's lease ran out, the session is over, or
    /// the node was deleted. The last is missed where the node cannot be watched.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn lost(&self) {
        race(pin!(self.lapsed()), pin!(self.deleted())).await;
    }

    async fn lapsed(&self) {
        let mut status = self.place.client.status();
        while self.holds(status) {
            status = self.place.client.changed(status).await;
        }
    }

    async fn deleted(&self) {
        loop {
            let own = GetChildNames { path: self.path() };
            match self.place.client.watch(own).await {
                Ok((names, mut watcher)) => {
                    drop(names);
                    watcher.next().await;
                }
                Err(Error::ConnectionLost) => {}
                Err(Error::Server(Code::NoNode) | Error::NotSent(_)) => return,
                // The node cannot be watched, for want of room or of rights. The lease still can.
                Err(_) => pending().await,
            }
        }
    }

    /// A condition for a [transaction](crate::wire::Multi): that the lock is held. Whatever is
    /// written together with it is written by the holder or not at all.
    pub fn check(&self) -> Op<'_> {
        Op::Check {
            path: self.path(),
            version: None,
        }
    }

    /// Releases the lock and waits until the server agrees.
    ///
    /// # Errors
    /// The release is not acknowledged. It goes on in the background for as long as the session
    /// lives.
    ///
    /// # Cancel safety
    /// Cancelling it leaves the release to the background.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would have room for two guards"
    )]
    pub fn release(self) -> impl Future<Output = Result<(), Error>> {
        async move {
            let delete = Delete {
                path: self.path(),
                version: None,
            };
            match self.place.client.call(delete).await {
                // With its session the node goes too.
                Err(error) if !error.is_no_node() && !is_expiry(error) => Err(error),
                _ => {
                    self.place.claim.settle();
                    Ok(())
                }
            }
        }
    }
}

/// Whether the session of a request was over, be it that the client knew or that a server said so.
const fn is_expiry(error: Error) -> bool {
    matches!(
        error,
        Error::NotSent(End::Expired) | Error::Server(Code::SessionExpired)
    )
}
