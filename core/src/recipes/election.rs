//! Leader election: a queue whose front leads, as Curator's `LeaderLatch` lays it out.

use core::fmt;
use core::mem;
use core::ops::ControlFlow;
use core::pin::pin;

use crate::client::{Claim as _, Client};
use crate::error::Error;
use crate::path::Path;
#[cfg(feature = "alloc")]
use crate::recipes::explain::Explanation;
use crate::recipes::guard::Guard;
use crate::recipes::names::Names;
use crate::recipes::observer::{Leader, Observer};
use crate::recipes::place::Place;
use crate::recipes::queue::Queue;
use crate::recipes::race::{race, until};
use crate::session::Status;
use crate::wire::Acl;

/// An election among all clients that follow the same [layout](Names), below a node.
///
/// Whoever stands is [called](Self::campaign) to lead in the order in which they came. A leadership
/// is a [`Guard`]: it ends when it is dropped or released, or with its session, and its
/// [fencing token](Guard::fencing_token) grows from leader to leader.
#[derive(Clone)]
pub struct Election<C: Client, D = &'static [u8]> {
    pub(super) queue: Queue<C, D>,
    pub(super) names: Names,
    policy: StepDown,
}

impl<C: Client, D> fmt::Debug for Election<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Election({:?})", self.queue)
    }
}

impl<C: Client> Election<C> {
    /// The election at `path`, which becomes a container for the nodes of candidates.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`.
    pub fn new(client: C, path: Path<'_>) -> Result<Self, Error> {
        Ok(Self {
            queue: Queue::new(client, &[path.as_str()])?,
            names: Names::CURATOR_LATCH,
            policy: StepDown::AtLeaseEnd,
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> Election<C, D> {
    /// Writes `id` into the nodes of candidates, for others to see who they are.
    pub fn with_id<E: AsRef<[u8]>>(self, id: E) -> Election<C, E> {
        Election {
            queue: self.queue.with_data(id),
            names: self.names,
            policy: self.policy,
        }
    }

    /// Puts `acl` on every node that the election creates, instead of leaving them open to the world.
    pub const fn with_acl(mut self, acl: &'static [Acl<'static>]) -> Self {
        self.queue.acl = acl;
        self
    }

    /// Calls nodes by other names than those of [Curator's latch](Names::CURATOR_LATCH). Its leader
    /// selector uses [those of a mutex](Names::CURATOR).
    pub const fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Has leaders step down by this rule, instead of at the end of the lease. It is for
    /// [`lead`](Self::lead) and [candidates](Self::candidate).
    pub const fn with_step_down(mut self, policy: StepDown) -> Self {
        self.policy = policy;
        self
    }

    /// The handle by which it stands.
    pub const fn client(&self) -> &C {
        &self.queue.client
    }

    /// Where the election is.
    pub fn path(&self) -> Path<'_> {
        self.queue.path()
    }

    /// Stands, and waits to be the leader.
    ///
    /// The place among the candidates is kept over reconnections. If the session is lost the wait
    /// starts again at the end, in the next session.
    ///
    /// # Errors
    /// As for [`Lock::acquire`](crate::recipes::Lock::acquire).
    ///
    /// # Cancel safety
    /// Dropping the future at any time gives the place, or the leadership, up.
    pub fn campaign(&self) -> impl Future<Output = Result<Guard<C>, Error>> {
        self.queue.acquire(self.names)
    }

    /// Leads again and again, as Curator's `LeaderSelector` does that requeues itself: waits to be the
    /// leader, does `work` for as long as it leads, gives the leadership up, and stands again, at the
    /// end, until `work` says to break.
    ///
    /// `work` is dropped, wherever it waits, when the leadership may have been lost.
    ///
    /// # Errors
    /// As for [`campaign`](Self::campaign).
    ///
    /// # Cancel safety
    /// Dropping the future cancels `work`, and gives the place, or the leadership, up.
    pub async fn lead<T>(
        &self,
        mut work: impl AsyncFnMut(&Guard<C>) -> ControlFlow<T>,
    ) -> Result<T, Error> {
        loop {
            let leadership = self.campaign().await?;
            let done = until(over(&leadership, self.policy), work(&leadership)).await;
            // If that is not acknowledged it goes on in the background.
            let _: Result<(), Error> = leadership.release().await;
            if let Some(ControlFlow::Break(result)) = done {
                return Ok(result);
            }
        }
    }

    /// A candidate, which keeps its place while it does not lead.
    pub const fn candidate(&self) -> Candidate<'_, C, D> {
        Candidate {
            election: self,
            stage: Stage::Out,
        }
    }

    /// Who leads now; `None` if nobody stands.
    ///
    /// # Errors
    /// As for [`Observer::next`].
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn leader(&self) -> Result<Option<Leader<C>>, Error> {
        self.observe().next().await
    }

    /// Follows who leads, without standing.
    pub fn observe(&self) -> Observer<C> {
        Observer::new(
            self.queue.client.clone(),
            self.queue.path.clone(),
            self.names,
        )
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

/// When a leader steps down because it has no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StepDown {
    /// When the servers may have ended its session, and not before.
    #[default]
    AtLeaseEnd,
    /// As soon as the connection is lost.
    AtDisconnect,
}

/// Stands in an election for as long as it exists, through leaderships, losses and sessions.
///
/// A candidate that steps down for want of a connection keeps its place, and leads again if nobody
/// has taken over. Dropping it gives the place, or the leadership, up in the background.
pub struct Candidate<'e, C: Client, D> {
    election: &'e Election<C, D>,
    stage: Stage<C>,
}

enum Stage<C: Client> {
    Out,
    Waiting(Place<C>),
    Leading(Guard<C>),
}

impl<C: Client, D> fmt::Debug for Candidate<'_, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leads = matches!(self.stage, Stage::Leading(_));
        write!(f, "Candidate({:?}, leads: {leads})", self.election.queue)
    }
}

impl<C: Client, D: AsRef<[u8]>> Candidate<'_, C, D> {
    /// The leadership, if there is one that is not over.
    pub fn leadership(&self) -> Option<&Guard<C>> {
        match &self.stage {
            Stage::Leading(guard) if guard.is_held() => Some(guard),
            _ => None,
        }
    }

    /// Waits until this begins to lead, or has ceased to, and says which.
    ///
    /// # Errors
    /// As for [`Election::campaign`]. It can be called again.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again: the place is kept.
    pub async fn changed(&mut self) -> Result<bool, Error> {
        loop {
            if let Stage::Leading(guard) = &self.stage {
                over(guard, self.election.policy).await;
                self.step_down();
                return Ok(false);
            }
            match self.advance().await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if self.election.queue.goes_on(error) => self.stage = Stage::Out,
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the place, or the leadership, up, and waits until the servers agree.
    ///
    /// # Errors
    /// As for [`Guard::release`].
    ///
    /// # Cancel safety
    /// As for [`Guard::release`].
    pub async fn resign(&mut self) -> Result<(), Error> {
        match mem::replace(&mut self.stage, Stage::Out) {
            Stage::Out => Ok(()),
            Stage::Waiting(place) => place.leave().await,
            Stage::Leading(guard) => guard.release().await,
        }
    }

    /// Takes the next step towards the leadership. Whether that was the last.
    async fn advance(&mut self) -> Result<bool, Error> {
        let entry = &self.election.queue.entry(self.election.names);
        let Stage::Waiting(place) = &self.stage else {
            self.stage = Stage::Waiting(Place::join(&self.election.queue.client, entry).await?);
            return Ok(false);
        };
        let turn = place.turn(entry).await?;
        let Stage::Waiting(place) = mem::replace(&mut self.stage, Stage::Out) else {
            return Ok(false);
        };
        let Some(status) = turn else {
            place.claim.settle();
            return Ok(false);
        };
        let guard = Guard { place, status };
        let leads = guard.is_undisturbed();
        self.stage = match leads {
            true => Stage::Leading(guard),
            // The lease ran out, or the connection was lost, on the way: look again.
            false => Stage::Waiting(guard.place),
        };
        Ok(leads)
    }

    /// Keeps the place, if there still is one.
    fn step_down(&mut self) {
        if let Stage::Leading(guard) = mem::replace(&mut self.stage, Stage::Out) {
            self.stage = Stage::Waiting(guard.place);
        }
    }
}

/// Waits until a leader is to step down.
async fn over<C: Client>(guard: &Guard<C>, policy: StepDown) {
    let client = &guard.place.client;
    let cut = async {
        let mut status = client.status();
        while policy == StepDown::AtLeaseEnd || is_since(guard.status, status) {
            status = client.changed(status).await;
        }
    };
    race(pin!(guard.lost()), pin!(cut)).await;
}

/// Whether there was a connection all the time from one status to the other.
fn is_since(granted: Status, status: Status) -> bool {
    status.state.is_connected() && status.connections == granted.connections
}
