//! Those who want a lock, several, or one only if they need not wait.

use docent_core::handle::Handle;
use docent_core::recipes::{Lock, acquire_all};

use super::holders::Grip;
use super::{Task, path};
use crate::sim::check::{LOCK, OTHER};
use crate::sim::client::{Hold, Kind};
use crate::sim::roles::Role;

impl<K: Kind> Task<K> {
    pub(super) async fn lock(mut self) {
        let lock = self.lock_at(LOCK);
        while self.is_active() {
            let outcome = self.perhaps(lock.acquire()).await;
            if let Some(guard) = self.acquired(Role::Mutex, outcome) {
                self.hold(Role::Mutex, guard).await;
            }
            self.pause(1_000_000).await;
        }
    }

    pub(super) async fn lock_otherwise(mut self) {
        while self.is_active() {
            match self.rng.once_in(2) {
                true => self.try_lock().await,
                false => self.lock_both().await,
            }
            self.pause(1_000_000).await;
        }
    }

    fn lock_at(&self, at: &str) -> Lock<Handle<Hold<K>>> {
        Lock::new(self.handle.clone(), path(&self.at(at))).expect("room for a path")
    }

    async fn try_lock(&mut self) {
        let lock = self.lock_at(LOCK);
        let outcome = self.perhaps(lock.try_acquire()).await;
        if let Some(Some(guard)) = self.acquired(Role::Mutex, outcome) {
            self.hold(Role::Mutex, guard).await;
        }
    }

    /// Acquires two locks, whose order in the list does not matter.
    async fn lock_both(&mut self) {
        let mut locks = [LOCK, OTHER].map(|at| self.lock_at(at));
        if self.rng.once_in(2) {
            locks.reverse();
        }
        let outcome = self.perhaps(acquire_all(&mut locks)).await;
        let guards: Vec<Grip<K>> = self.acquired(Role::Mutex, outcome).unwrap_or_default();
        self.hold_all(Role::Mutex, guards).await;
    }
}
