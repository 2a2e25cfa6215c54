//! A held lock.

use core::fmt;
use core::future::Future;

use crate::client::{Claim, Client};
use crate::error::Error;
use crate::path::Path;
use crate::recipes::held::Held;
use crate::recipes::place::Place;
use crate::recipes::revocation::Revocations;
use crate::session::Status;
use crate::wire::Op;

/// A held lock. Dropping it releases the lock in the background.
///
/// A lock is only held for sure until [`valid_until`](Self::valid_until), and a process may be
/// stopped at any instruction. Protect what must never see two holders by the
/// [fencing token](Self::fencing_token), or write through a transaction with
/// [`check`](Self::check).
pub struct Guard<C: Client> {
    pub(super) place: Place<C>,
    /// The session when the lock was granted.
    pub(super) status: Status,
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
    /// What there is to tell of the lock, without the power to release it.
    pub fn held(&self) -> Held<'_, C> {
        let Place {
            client,
            claim,
            czxid,
        } = &self.place;
        Held::new(client, claim.path(), *czxid, self.status)
    }

    /// The node that holds the lock.
    pub fn path(&self) -> Path<'_> {
        self.place.claim.path()
    }

    /// A number that grows from holder to holder: the transaction that created the node, or, of a
    /// reader that was a writer, that one's.
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
        self.held().is_held()
    }

    /// Whether it is held, and the connection is still the one that was there before the look at the
    /// queue that granted it.
    pub(super) fn is_undisturbed(&self) -> bool {
        let now = self.place.client.status();
        now.connections == self.status.connections && self.held().holds(now)
    }

    /// Until when no other client can hold the lock, by the application's clock; `None` once it may
    /// have been lost. It moves on for as long as servers answer.
    ///
    /// That the node is deleted by hand is not foreseen.
    pub fn valid_until(&self) -> Option<C::Time> {
        self.held().valid_until()
    }

    /// Waits until the lock may have been lost: the session's lease ran out, the session is over, or
    /// the node was deleted. The last is missed where the node cannot be watched.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn lost(&self) {
        self.held().lost().await;
    }

    /// Does `work` for as long as the lock is held. `None` means that the lock may have been
    /// [lost](Self::lost) first: then `work` was dropped where it waited.
    ///
    /// Whenever `work` is about to go on, the lock is looked at first: a process that was stopped,
    /// and lost the lock, learns of it before it does any more of its work.
    ///
    /// # Cancel safety
    /// Cancelling it cancels `work`.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.held().run(work).await
    }

    /// A condition for a [transaction](crate::wire::Multi): that the lock is held. Whatever is
    /// written together with it is written by the holder or not at all.
    pub fn check(&self) -> Op<'_> {
        self.held().check()
    }

    /// The requests of others to give the lock up, by [`revoke`](crate::recipes::revoke) or by
    /// Curator's `Revoker`. It is for the holder to follow them.
    pub const fn revocations(&self) -> Revocations<'_, C> {
        Revocations::new(self)
    }

    /// Releases the lock and waits until the server agrees.
    ///
    /// # Errors
    /// The release is not acknowledged. It goes on in the background for as long as the session
    /// lives.
    ///
    /// # Cancel safety
    /// Cancelling it leaves the release to the background.
    pub fn release(self) -> impl Future<Output = Result<(), Error>> {
        self.place.leave()
    }
}
