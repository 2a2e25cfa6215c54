//! Those who want a read/write lock, to read, to write, or to do one after the other.

use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::recipes::{ReadGuard, RwLock, WriteGuard};

use super::holders::Entry;
use super::{Task, path};
use crate::sim::check::RW;
use crate::sim::client::{Hold, Kind};
use crate::sim::roles::Role;

type Shared<K> = RwLock<Handle<Hold<K>>>;
type Reader<K> = ReadGuard<Handle<Hold<K>>>;
type Writer<K> = WriteGuard<Handle<Hold<K>>>;

impl<K: Kind> Task<K> {
    pub(super) async fn share(mut self) {
        let lock = RwLock::new(self.handle.clone(), path(&self.at(RW))).expect("room for a path");
        while self.is_active() {
            match self.rng.once_in(2) {
                true => self.read_shared(&lock).await,
                false => self.write_shared(&lock).await,
            }
            self.pause(1_000_000).await;
        }
    }

    async fn read_shared(&mut self, lock: &Shared<K>) {
        let outcome = match self.rng.once_in(4) {
            true => self.perhaps(lock.try_read()).await,
            false => self.perhaps(lock.read()).await.map(|read| read.map(Some)),
        };
        let Some(Some(guard)) = self.acquired(Role::Reader, outcome) else {
            return;
        };
        let entry = self.keep(Role::Reader, &guard).await;
        match self.rng.once_in(3) {
            true => self.upgrade(lock, guard, entry).await,
            false => {
                drop(entry);
                self.give_back(guard.release()).await;
            }
        }
    }

    async fn write_shared(&mut self, lock: &Shared<K>) {
        let outcome = match self.rng.once_in(4) {
            true => self.perhaps(lock.try_write()).await,
            false => self
                .perhaps(lock.write())
                .await
                .map(|write| write.map(Some)),
        };
        let Some(Some(guard)) = self.acquired(Role::Reader, outcome) else {
            return;
        };
        drop(self.keep(Role::Writer, &guard).await);
        match self.rng.once_in(3) {
            true => self.downgrade(lock, guard).await,
            false => self.give_back(guard.release()).await,
        }
    }

    /// Writes, if nobody else reads or waited to write before.
    async fn upgrade(&mut self, lock: &Shared<K>, guard: Reader<K>, entry: Entry) {
        let reader = self.full(guard.path().as_str());
        let outcome = self.perhaps(lock.try_upgrade(guard)).await;
        drop(entry);
        match outcome {
            Some(Ok(guard)) => {
                self.upgraded(reader, &guard);
                drop(self.keep(Role::Writer, &guard).await);
                self.give_back(guard.release()).await;
            }
            Some(Err(unchanged)) => {
                self.not_exchanged(unchanged.error);
                self.give_back(unchanged.guard.release()).await;
            }
            None => {}
        }
    }

    fn upgraded(&self, reader: String, guard: &Writer<K>) {
        let writer = self.full(guard.path().as_str());
        let mut journal = self.world.journal.borrow_mut();
        journal.held.upgrades.insert(writer, reader);
    }

    /// Goes on reading what was written.
    async fn downgrade(&mut self, lock: &Shared<K>, guard: Writer<K>) {
        // Others may read as soon as the servers agree, which may be before this is told.
        let entry = self.entry(Role::Reader, &guard);
        let outcome = self.perhaps(lock.downgrade(guard)).await;
        drop(entry);
        match outcome {
            Some(Ok(guard)) => {
                drop(self.keep(Role::Reader, &guard).await);
                self.give_back(guard.release()).await;
            }
            Some(Err(unchanged)) => {
                self.not_exchanged(unchanged.error);
                self.give_back(unchanged.guard.release()).await;
            }
            None => {}
        }
    }

    /// A lock that was lost cannot be exchanged, nor can one that others are in the way of.
    fn not_exchanged(&self, error: Error) {
        let lost = matches!(
            error,
            Error::NotSent(_) | Error::Server(Code::SessionExpired | Code::NoNode)
        );
        if !lost && error != Error::Deadlock {
            self.refused(Role::Reader, error);
        }
    }
}
