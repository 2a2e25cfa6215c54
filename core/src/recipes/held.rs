//! What can be told of a lock that is held.

use core::future::{Future, pending};
use core::pin::pin;

use crate::client::{Client, Watcher};
use crate::error::{Code, Error};
use crate::path::Path;
use crate::recipes::race::{race, until};
use crate::session::Status;
use crate::wire::{GetChildNames, Op};

/// A lock that is held, as its [`Guard`](crate::recipes::Guard) tells of it, which goes on holding it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a, C> {
    pub(super) client: &'a C,
    pub(super) path: Path<'a>,
    pub(super) czxid: i64,
    /// The session when the lock was granted.
    pub(super) status: Status,
}

impl<'a, C: Client> Held<'a, C> {
    /// What was told of a lock before, by the same client.
    pub const fn new(client: &'a C, path: Path<'a>, fencing_token: i64, granted: Status) -> Self {
        Self {
            client,
            path,
            czxid: fencing_token,
            status: granted,
        }
    }

    /// The node that holds the lock.
    pub const fn path(&self) -> Path<'a> {
        self.path
    }

    /// See [`Guard::fencing_token`](crate::recipes::Guard::fencing_token).
    pub const fn fencing_token(&self) -> i64 {
        self.czxid
    }

    /// The session when the lock was granted.
    pub const fn granted(&self) -> Status {
        self.status
    }

    /// See [`Guard::is_held`](crate::recipes::Guard::is_held).
    pub fn is_held(&self) -> bool {
        self.holds(self.client.status())
    }

    pub(super) fn holds(&self, status: Status) -> bool {
        status.epoch == self.status.epoch
            && status.lapses == self.status.lapses
            && status.state.end().is_none()
    }

    /// See [`Guard::valid_until`](crate::recipes::Guard::valid_until).
    pub fn valid_until(&self) -> Option<C::Time> {
        let (_, lease) = self.client.lease();
        lease
            .filter(|_| self.is_held())
            .map(|lease| self.client.time(lease))
    }

    /// See [`Guard::lost`](crate::recipes::Guard::lost).
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn lost(&self) {
        race(pin!(self.lapsed()), pin!(self.deleted())).await;
    }

    async fn lapsed(&self) {
        let mut status = self.client.status();
        while self.holds(status) {
            status = self.client.changed(status).await;
        }
    }

    async fn deleted(&self) {
        loop {
            let own = GetChildNames { path: self.path };
            match self.client.watch(own).await {
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

    /// See [`Guard::run`](crate::recipes::Guard::run).
    ///
    /// # Cancel safety
    /// Cancelling it cancels `work`.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        until(self.lost(), work).await
    }

    /// See [`Guard::check`](crate::recipes::Guard::check).
    pub const fn check(&self) -> Op<'a> {
        Op::Check {
            path: self.path,
            version: None,
        }
    }
}
