//! A semaphore, as Curator's `InterProcessSemaphoreV2` lays it out.

use core::fmt;
use core::future::pending;
use core::pin::pin;

use crate::client::{Claim as _, Client, Watcher};
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf};
use crate::recipes::guard::Guard;
use crate::recipes::names::Names;
use crate::recipes::place::Place;
use crate::recipes::queue::{Attempt, Queue};
use crate::recipes::race::race;
use crate::wire::{Acl, Exists, GetData, Pick, PickChildNames, Watchable};

/// What leases are called.
const LEASES: Names = Names::of("lease-");

/// Permits below a node, of which each is leased to one at a time.
///
/// Whoever wants leases first waits for its turn, in a queue, and then until there are enough. A
/// lease is a [`Guard`]: it ends when it is dropped or released, or with its session. As in Curator,
/// every child of `leases` counts as a lease, whoever made it.
#[derive(Clone)]
pub struct Semaphore<C: Client, D = &'static [u8]> {
    turns: Queue<C>,
    leases: Queue<C, D>,
    permits: Permits<C::Path>,
}

/// What says how many leases there may be at a time. All who share a semaphore should agree.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Permits<P> {
    /// So many.
    Fixed(u32),
    /// As many as a node says: in four bytes, as Curator's `SharedCount` writes them. It is followed
    /// as it changes.
    Shared(P),
}

impl<C: Client, D> fmt::Debug for Semaphore<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({:?})", self.leases)
    }
}

impl<C: Client> Semaphore<C> {
    /// The semaphore at `path`, with two containers below it.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for its paths.
    pub fn new(client: C, path: Path<'_>, permits: u32) -> Result<Self, Error> {
        let path = match path.is_root() {
            true => "",
            false => path.as_str(),
        };
        Ok(Self {
            turns: Queue::new(client.clone(), &[path, "/locks"])?,
            leases: Queue::new(client, &[path, "/leases"])?,
            permits: Permits::Fixed(permits),
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> Semaphore<C, D> {
    /// Has as many permits as the node at `path` says.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`.
    pub fn with_shared_permits(mut self, path: Path<'_>) -> Result<Self, Error> {
        let path = C::Path::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        self.permits = Permits::Shared(path);
        Ok(self)
    }

    /// Writes `data` into the nodes of leases, for others to see whose they are.
    pub fn with_data<E: AsRef<[u8]>>(self, data: E) -> Semaphore<C, E> {
        let Self {
            turns,
            leases,
            permits,
        } = self;
        Semaphore {
            turns,
            leases: leases.with_data(data),
            permits,
        }
    }

    /// Puts `acl` on every node that the semaphore creates.
    pub fn with_acl(mut self, acl: &'static [Acl<'static>]) -> Self {
        self.turns.acl = acl;
        self.leases.acl = acl;
        self
    }

    /// What says how many permits there are: a number, or a node.
    pub const fn permits(&self) -> &Permits<C::Path> {
        &self.permits
    }

    /// Waits for a lease.
    ///
    /// # Errors
    /// As for [`Lock::acquire`](crate::recipes::Lock::acquire). Where the permits are shared,
    /// [`Code::NoNode`] if there is no such node, and [`Code::DataInconsistency`] if it does not say
    /// a number. [`Error::Deadlock`] if there are no permits at all.
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place in the queue, or the lease, back.
    pub async fn acquire(&self) -> Result<Guard<C>, Error> {
        let One(lease) = self.acquire_many(1).await?;
        lease.ok_or(Error::Deadlock)
    }

    /// Waits for `count` leases, which nobody else takes meanwhile. The collection may be a `Vec`, or
    /// one of fixed size that has room for them.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire). [`Error::Deadlock`] if there are fewer permits, and their
    /// number is fixed.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    pub async fn acquire_many<G>(&self, count: usize) -> Result<G, Error>
    where
        G: Default + Extend<Guard<C>>,
    {
        if matches!(self.permits, Permits::Fixed(permits) if (permits as usize) < count) {
            return Err(Error::Deadlock);
        }
        loop {
            let turn = self.turns.acquire(Names::CURATOR).await?;
            let mut leases = G::default();
            // Whoever loses its turn must not keep the next from theirs.
            match turn.run(self.collect(count, &mut leases)).await {
                Some(Ok(true)) => {
                    let _: Result<(), Error> = turn.release().await;
                    return Ok(leases);
                }
                Some(Err(error)) if !self.leases.goes_on(error) => return Err(error),
                _ => {}
            }
        }
    }

    /// Takes a lease if there is one left and nobody else is about to take it; `None` otherwise.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    pub async fn try_acquire(&self) -> Result<Option<Guard<C>>, Error> {
        loop {
            let Some(turn) = self.turns.try_acquire(Names::CURATOR).await? else {
                return Ok(None);
            };
            let attempt = turn.run(self.lease(false)).await;
            let _: Result<(), Error> = turn.release().await;
            match attempt {
                Some(Ok(Attempt::Granted(lease))) => return Ok(Some(lease)),
                Some(Ok(Attempt::Refused)) => return Ok(None),
                Some(Err(error)) if !self.leases.goes_on(error) => return Err(error),
                _ => {}
            }
        }
    }

    /// Takes leases while it is its turn. False if one of them is gone again.
    async fn collect<G>(&self, count: usize, leases: &mut G) -> Result<bool, Error>
    where
        G: Extend<Guard<C>>,
    {
        for _ in 0..count {
            match self.lease(true).await? {
                Attempt::Granted(lease) => leases.extend([lease]),
                Attempt::Refused | Attempt::Undecided => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn lease(&self, waits: bool) -> Result<Attempt<C>, Error> {
        let place = Place::join(&self.leases.client, &self.leases.entry(LEASES)).await?;
        loop {
            let status = place.client.status();
            match self.look(&place).await? {
                Look::Enough => return Ok(Guard { place, status }.into()),
                Look::Gone => {
                    place.claim.settle();
                    return Ok(Attempt::Undecided);
                }
                Look::Short(mut leases, permits) if waits => {
                    let permits = pin!(changed(permits));
                    race(pin!(async { drop(leases.next().await) }), permits).await;
                }
                Look::Short(..) => {
                    // If that is not acknowledged it goes on in the background.
                    let _: Result<(), Error> = place.leave().await;
                    return Ok(Attempt::Refused);
                }
            }
        }
    }

    /// Looks whether there are as many permits as leases, of which one is `place`.
    async fn look(&self, place: &Place<C>) -> Result<Look<C::Watcher>, Error> {
        let (permits, changes) = self.count(&place.client).await?;
        let (path, own) = (self.leases.path(), place.claim.path().name());
        let pick = Pick::First(own);
        let watched = rewatch(&place.client, PickChildNames { path, pick }).await;
        let (names, watcher) = match watched {
            Err(error) if error.is_no_node() => return Ok(Look::Gone),
            watched => watched?,
        };
        if !names.iter().any(|name| name == own) {
            return Ok(Look::Gone);
        }
        drop(names);
        match place.client.retry(Exists { path }).await {
            Ok(stat) if i64::from(stat.num_children) <= permits => Ok(Look::Enough),
            Ok(_) => Ok(Look::Short(watcher, changes)),
            Err(error) if error.is_no_node() => Ok(Look::Gone),
            Err(error) => Err(error),
        }
    }

    /// How many permits there are, and who tells of changes.
    async fn count(&self, client: &C) -> Result<(i64, Option<C::Watcher>), Error> {
        let path = match &self.permits {
            Permits::Fixed(permits) => return Ok((i64::from(*permits), None)),
            Permits::Shared(path) => path.as_path(),
        };
        let (data, watcher) = rewatch(client, GetData { path }).await?;
        let permits = <[u8; 4]>::try_from(data.data());
        let permits = permits.map_err(|_| Error::Server(Code::DataInconsistency))?;
        Ok((i64::from(i32::from_be_bytes(permits)), Some(watcher)))
    }
}

/// Reads and watches, over connections.
async fn rewatch<C: Client, R: Watchable + Copy>(
    client: &C,
    request: R,
) -> Result<(R::Response<C::Body>, C::Watcher), Error> {
    loop {
        match client.watch(request).await {
            Err(Error::ConnectionLost) => {}
            watched => return watched,
        }
    }
}

/// What a look at the leases found.
enum Look<W> {
    Enough,
    /// Who tells of changes of the leases, and of the number of permits.
    Short(W, Option<W>),
    /// The own lease is not there.
    Gone,
}

async fn changed<W: Watcher>(watcher: Option<W>) {
    match watcher {
        Some(mut watcher) => drop(watcher.next().await),
        None => pending().await,
    }
}

/// A collection of one.
struct One<G>(Option<G>);

impl<G> Default for One<G> {
    fn default() -> Self {
        Self(None)
    }
}

impl<G> Extend<G> for One<G> {
    fn extend<I: IntoIterator<Item = G>>(&mut self, guards: I) {
        self.0 = guards.into_iter().next();
    }
}
