//! Those who want leases of a semaphore.

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::recipes::Semaphore;
use docent_core::wire::{Acl, Create, CreateMode};

use super::holders::Grip;
use super::{Task, path};
use crate::sim::check::SEMAPHORE;
use crate::sim::client::{Hold, Kind};
use crate::sim::roles::Role;

/// Where it says how many permits there are, if that is shared.
const PERMITS: &str = "/permits";

type Leasable<K> = Semaphore<Handle<Hold<K>>>;
/// What came of an attempt to have some, unless it was given up.
type Leases<K> = Option<Result<Vec<Grip<K>>, Error>>;

impl<K: Kind> Task<K> {
    pub(super) async fn lease(mut self) {
        let semaphore = self.semaphore();
        while self.is_active() {
            let outcome = match self.rng.index(4) {
                0 => self.try_lease(&semaphore).await,
                1 => self.lease_many(&semaphore).await,
                _ => self.lease_one(&semaphore).await,
            };
            match outcome {
                Some(Err(Error::Server(Code::NoNode))) if self.world.plan.work.shared => {
                    self.share_permits().await;
                }
                outcome => {
                    let leases = self.acquired(Role::Lease, outcome).unwrap_or_default();
                    self.hold_all(Role::Lease, leases).await;
                }
            }
            self.pause(1_000_000).await;
        }
    }

    fn semaphore(&self) -> Leasable<K> {
        let work = &self.world.plan.work;
        let (at, handle) = (self.at(SEMAPHORE), self.handle.clone());
        let semaphore = Semaphore::new(handle, path(&at), work.permits).expect("room for a path");
        match work.shared {
            true => semaphore
                .with_shared_permits(path(&self.at(PERMITS)))
                .expect("room for a path"),
            false => semaphore,
        }
    }

    /// Has all know how many permits there are.
    async fn share_permits(&mut self) {
        let (at, handle) = (self.at(PERMITS), self.handle.clone());
        let permits = self.world.plan.work.permits.to_be_bytes();
        let create = handle.call(Create {
            path: path(&at),
            data: &permits,
            mode: CreateMode::Persistent,
            acl: Acl::OPEN,
        });
        drop(self.perhaps(create).await);
    }

    async fn try_lease(&mut self, semaphore: &Leasable<K>) -> Leases<K> {
        let outcome = self.perhaps(semaphore.try_acquire()).await?;
        Some(outcome.map(|lease| lease.into_iter().collect()))
    }

    async fn lease_one(&mut self, semaphore: &Leasable<K>) -> Leases<K> {
        let outcome = self.perhaps(semaphore.acquire()).await?;
        Some(outcome.map(|lease| vec![lease]))
    }

    async fn lease_many(&mut self, semaphore: &Leasable<K>) -> Leases<K> {
        let most = self.world.plan.work.permits.min(3);
        let count = 2 + self.rng.index(most as usize - 1);
        let outcome = self
            .perhaps(semaphore.acquire_many::<Vec<_>>(count))
            .await?;
        if let Ok(leases) = &outcome
            && leases.len() != count
        {
            self.fail(format!("{} leases instead of {count}", leases.len()));
        }
        Some(outcome)
    }
}
