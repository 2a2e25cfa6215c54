//! Watches that last, and those who follow them, sometimes slowly.

use docent_core::client::{Client as _, Watcher as _};
use docent_core::error::Error;
use docent_core::handle::Watcher;
use docent_core::hub::Change;
use docent_core::path::PathBuf as _;
use docent_core::session::Epoch;
use docent_core::wire::{AddWatchMode, Exists};

use super::{Job, Task, path};
use crate::sim::check::{End, LOCK, Leg, Subscription, Told};
use crate::sim::client::{Hold, Kind};

impl<K: Kind> Task<K> {
    pub(super) async fn subscribe(mut self) {
        while self.is_active() {
            let at = self.tree();
            let mode = [AddWatchMode::Persistent, AddWatchMode::Recursive][self.rng.index(2)];
            self.follow(&at, mode).await;
            self.pause(300_000).await;
        }
    }

    /// A tree to watch.
    fn tree(&mut self) -> String {
        match self.rng.index(4) {
            0 => self.at(LOCK),
            // Some servers do not tell of secrets of others.
            1 if self.world.plan.work.has(Job::Secret) => self.secret(self.client),
            1 => match self.at("") {
                root if root.is_empty() => "/".to_owned(),
                root => root,
            },
            _ => self.register(),
        }
    }

    /// Follows a lasting watch to its end.
    async fn follow(&mut self, at: &str, mode: AddWatchMode) {
        let status = self.handle.status();
        let session = self.handle.pinned(status.epoch);
        let credentials = self.handle.shared().credentials();
        let subscribe = session.subscribe(path(at), mode);
        let Some(Ok(mut watcher)) = self.perhaps(subscribe).await else {
            return;
        };
        let subscription = Subscription {
            client: self.client,
            path: self.full(at),
            mode,
            since: credentials.map_or(0, |credentials| credentials.zxid),
            legs: Vec::new(),
            end: End::Open,
        };
        let index = {
            let mut journal = self.world.journal.borrow_mut();
            journal.subscriptions.push(subscription);
            journal.subscriptions.len() - 1
        };
        self.set_out(index, status.connections, Some(self.world.zxid()));
        let end = self.hear(&mut watcher, index, at, status.epoch).await;
        let (client, mode) = (self.client, mode.number());
        self.world.note(&[0x5b5, index as u64], || {
            format!("client {client}: subscription {index} ({mode}) on {at}: {end:?}")
        });
        self.world.journal.borrow_mut().subscriptions[index].end = end;
    }

    /// A leg begins, which tells of everything after `from`.
    fn set_out(&self, index: usize, connection: u32, from: Option<i64>) {
        let client = self.client;
        self.world.note(&[0x5b6, index as u64], || {
            format!("client {client}: subscription {index} goes on from {from:x?}")
        });
        let mut journal = self.world.journal.borrow_mut();
        journal.ops += 1;
        journal.subscriptions[index].legs.push(Leg {
            connection,
            from,
            told: Vec::new(),
        });
    }

    async fn hear(
        &mut self,
        watcher: &mut Watcher<Hold<K>>,
        index: usize,
        at: &str,
        epoch: Epoch,
    ) -> End {
        loop {
            if self.rng.once_in(8) {
                self.pause(3_000_000).await;
            }
            if self.is_active() && self.rng.once_in(50) {
                return End::Dropped;
            }
            match self.perhaps(watcher.next()).await {
                None => return End::Dropped,
                Some(Some(Change::Node(events))) => {
                    self.heard(index, Told::Here(events, self.world.zxid()));
                }
                Some(Some(Change::Below { kind, path })) => {
                    let path = self.full(path.as_path().as_str());
                    self.heard(index, Told::Below(kind, path));
                }
                Some(Some(Change::Resync)) => {
                    let connection = self.handle.status().connections;
                    self.set_out(index, connection, None);
                    self.look_again(index, at, epoch).await;
                }
                Some(Some(Change::Lost)) => {
                    if watcher.next().await.is_some() {
                        self.fail("a subscription told of something after its end");
                    }
                    let outlived = self.is_in(epoch);
                    return End::Lost { outlived };
                }
                other => {
                    self.fail(format!("a subscription says {other:?}"));
                    return End::Dropped;
                }
            }
        }
    }

    fn heard(&self, index: usize, told: Told) {
        let mut journal = self.world.journal.borrow_mut();
        let leg = journal.subscriptions[index].legs.last_mut();
        let client = self.client;
        self.world.note(&[0x5b7, index as u64], || {
            format!("client {client}: subscription {index} tells {told:x?}")
        });
        leg.expect("a leg").told.push(told);
    }

    /// Reads again after a gap, and so learns from where on there is none.
    async fn look_again(&self, index: usize, at: &str, epoch: Epoch) {
        let session = self.handle.pinned(epoch);
        let look = session.retry(Exists { path: path(at) });
        // What is too large to keep has been read all the same.
        if let Ok(_) | Err(Error::Server(_) | Error::ReplyTooLarge { .. }) = look.await {
            let mut journal = self.world.journal.borrow_mut();
            let leg = journal.subscriptions[index].legs.last_mut();
            leg.expect("a leg").from = Some(self.world.zxid());
        }
    }
}
