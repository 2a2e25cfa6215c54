//! Watches that fire once.

use docent_core::client::{Client as _, Watcher as _};
use docent_core::error::Error;
use docent_core::handle::Watcher;
use docent_core::hub::Change;
use docent_core::session::Epoch;
use docent_core::wire::{Exists, GetChildren, GetData};

use super::{Job, Task, path};
use crate::sim::check::{Aim, LOCK, Tale, Watch};
use crate::sim::client::{Hold, Kind};

impl<K: Kind> Task<K> {
    pub(super) async fn watch(mut self) {
        while self.is_active() {
            if self.rng.once_in(3) {
                self.watch_children().await;
            } else {
                let at = self.datum();
                self.watch_data(&at).await;
            }
            let rest = 1 + self.world.plan.work.crowd() as u64 / 4;
            self.pause(200_000 * rest).await;
        }
    }

    /// A node to watch.
    fn datum(&mut self) -> String {
        let secrets = self.world.plan.work.has(Job::Secret);
        if secrets && self.rng.once_in(3) {
            self.secret(self.client)
        } else {
            self.register()
        }
    }

    /// Watches a node, or for it.
    async fn watch_data(&mut self, at: &str) {
        let epoch = self.handle.status().epoch;
        let pinned = self.handle.pinned(epoch);
        let reads = self.rng.once_in(2);
        let watch = async {
            if reads {
                let (data, watcher) = pinned.watch(GetData { path: path(at) }).await?;
                return Ok::<_, Error>((Some(data.stat().mzxid), watcher));
            }
            let (stat, watcher) = pinned.watch_absent(Exists { path: path(at) }).await?;
            Ok((stat.map(|stat| stat.mzxid), watcher))
        };
        match self.perhaps(watch).await {
            Some(Ok((seen, watcher))) => self.listen(watcher, epoch, at, Aim::Data, seen).await,
            Some(Err(error)) => self.must_be_known(error),
            None => {}
        }
    }

    async fn watch_children(&mut self) {
        let epoch = self.handle.status().epoch;
        let pinned = self.handle.pinned(epoch);
        let at = self.at(LOCK);
        let watch = pinned.watch(GetChildren { path: path(&at) });
        let Some(Ok((children, watcher))) = self.perhaps(watch).await else {
            return;
        };
        let since = children.stat().pzxid.max(children.stat().czxid);
        drop(children);
        self.listen(watcher, epoch, &at, Aim::Children, Some(since))
            .await;
    }

    /// Waits for what a watch has to tell of what happens after `seen`, the last change that was
    /// seen when it was set in a session.
    async fn listen(
        &mut self,
        mut watcher: Watcher<Hold<K>>,
        epoch: Epoch,
        at: &str,
        aim: Aim,
        seen: Option<i64>,
    ) {
        let status = self.handle.status();
        let watch = Watch {
            client: self.client,
            path: self.full(at),
            aim,
            // Where there is no node, nobody says since when: at the latest since now.
            since: seen.unwrap_or_else(|| self.world.zxid()),
            outlived: false,
            absent: seen.is_none().then_some(status.connections),
            tale: Tale::Waiting,
        };
        let index = self.enter(watch);
        let change = self.perhaps(watcher.next()).await;
        let tale = match change {
            // An event of before `since` counts where that is only an upper bound.
            Some(Some(Change::Node(_))) if seen.is_none() => Tale::Dropped,
            Some(Some(Change::Node(_))) => Tale::Changed(self.world.zxid()),
            Some(Some(Change::Lost)) => Tale::Lost,
            Some(_) => Tale::Resync,
            // Nobody has looked at it to its end.
            None => Tale::Dropped,
        };
        if tale != Tale::Dropped && watcher.next().await.is_some() {
            self.fail("a watch told of something after its end");
        }
        self.told(index, tale, epoch);
    }

    fn enter(&self, watch: Watch) -> usize {
        let mut journal = self.world.journal.borrow_mut();
        journal.ops += 1;
        journal.watches.push(watch);
        let (index, client) = (journal.watches.len() - 1, self.client);
        let watch = &journal.watches[index];
        self.world.note(&[0x3a7, index as u64], || {
            let (at, since) = (&watch.path, watch.since);
            format!("client {client}: watch {index} on {at} since {since:#x}")
        });
        index
    }

    fn told(&self, index: usize, tale: Tale, epoch: Epoch) {
        let client = self.client;
        self.world.note(&[0x3a8, index as u64], || {
            format!("client {client}: watch {index}: {tale:x?}")
        });
        let watch = &mut self.world.journal.borrow_mut().watches[index];
        (watch.tale, watch.outlived) = (tale, self.is_in(epoch));
    }
}
