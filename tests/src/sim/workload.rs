//! What the applications do: write, read, watch, and compete for a lock.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use docent_core::client::{Client as _, Watcher as _};
use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::hub::Change;
use docent_core::path::Path;
use docent_core::recipes::{Guard, Lock};
use docent_core::wire::{
    Acl, Create, CreateMode, Delete, Exists, GetChildren, GetData, Multi, Op, OpResult, SetData,
};

use super::check::{Aim, LOCK, REGISTER, Tale, Watch, first};
use super::client::{Hold, Kind};
use super::faults::Fault;
use super::rng::Rng;
use super::world::{Sleep, World};

const REGISTERS: [&str; 3] = ["/r0", "/r1", "/r2"];

type Held<K> = Rc<Guard<Handle<Hold<K>>>>;
/// The guards that are held, and the clients that hold them.
pub(super) type Holders<K> = Rc<RefCell<Vec<(usize, Held<K>)>>>;

/// What a task knows.
pub(super) struct Task<K: Kind> {
    pub(super) world: Rc<World>,
    pub(super) client: usize,
    pub(super) handle: Handle<Hold<K>>,
    pub(super) holders: Holders<K>,
    pub(super) rng: Rng,
}

fn path(text: &str) -> Path<'_> {
    Path::new(text).expect("a valid path")
}

impl<K: Kind> Task<K> {
    fn is_active(&self) -> bool {
        !self.world.healed.get()
    }

    fn pause(&mut self, micros: u64) -> Sleep {
        self.world.sleep(self.rng.below(micros + 1))
    }

    fn mark(&self) -> String {
        format!("c{}-{}", self.client, self.world.serial())
    }

    fn begin(&self, mark: &str, batch: u64) -> usize {
        let write = self.world.journal.borrow_mut();
        { write }.begin(self.client, mark, batch)
    }

    fn end(&self, write: usize, result: Result<Option<i64>, Error>) {
        let (client, marks) = (self.client, [0xe4d, write as u64]);
        if result == Err(Error::Full) {
            self.world.count(Fault::Full);
        }
        self.world.note(&marks, || {
            format!("client {client}: write {write}: {result:x?}")
        });
        self.world.journal.borrow_mut().end(write, result);
    }

    /// Runs a future that may be dropped before its end.
    async fn perhaps<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let odds = self.world.plan.cancel;
        let cancels = odds > 0 && self.is_active() && self.rng.once_in(odds);
        let polls = if self.rng.once_in(2) {
            self.rng.below(8)
        } else {
            u64::MAX
        };
        let patience = self.rng.below(3_000_000);
        let timer = cancels.then(|| self.world.sleep(patience));
        let outcome = Perhaps {
            future: Box::pin(future),
            polls,
            timer: timer.map(Box::pin),
        }
        .await;
        if outcome.is_none() {
            self.world.count(Fault::Cancel);
        }
        outcome
    }

    // ---- writing and reading ----

    pub(super) async fn write(mut self) {
        while self.is_active() {
            match self.rng.below(6) {
                0 | 1 => self.set().await,
                2 => self.node().await,
                3 => self.batch().await,
                4 => self.multi().await,
                _ => self.read_twice().await,
            }
            self.pause(500_000).await;
        }
    }

    fn register(&mut self) -> &'static str {
        REGISTERS[self.rng.index(REGISTERS.len())]
    }

    async fn set(&mut self) {
        let (at, mark) = (self.register(), self.mark());
        let write = self.begin(&mark, 0);
        let handle = self.handle.clone();
        let set = SetData {
            path: path(at),
            data: mark.as_bytes(),
            version: self.rng.once_in(4).then_some(3),
        };
        let result = self.perhaps(handle.call(set)).await;
        let Some(result) = result else { return };
        self.end(write, result.map(|stat| Some(stat.mzxid)));
        if result.is_err_and(Error::is_no_node) {
            self.create(at, CreateMode::Persistent).await;
        }
    }

    async fn create(&mut self, at: &str, mode: CreateMode) -> bool {
        let mark = self.mark();
        let write = self.begin(&mark, 0);
        let handle = self.handle.clone();
        let create = Create {
            path: path(at),
            data: mark.as_bytes(),
            mode,
            acl: Acl::OPEN,
        };
        let result = self.perhaps(handle.call(create)).await;
        let Some(result) = result else { return false };
        let result = result.map(|created| Some(created.stat().czxid));
        self.end(write, result);
        result.is_ok()
    }

    /// Makes a node and deletes it.
    async fn node(&mut self) {
        let at = format!("/{}", self.mark());
        if !self.create(&at, CreateMode::Persistent).await {
            return;
        }
        let write = self.begin(&format!("delete {at}"), 0);
        let handle = self.handle.clone();
        let delete = Delete {
            path: path(&at),
            version: None,
        };
        if let Some(result) = self.perhaps(handle.call(delete)).await {
            self.end(write, result.map(|()| None));
        }
    }

    /// Submits writes one after the other, and then looks at some of the replies.
    async fn batch(&mut self) {
        let batch = self.world.serial();
        let marks: Vec<_> = (0..self.rng.range(2, 5)).map(|_| self.mark()).collect();
        let mut replies = Vec::new();
        for mark in &marks {
            let at = self.register();
            let write = self.begin(mark, batch);
            let set = SetData {
                path: path(at),
                data: mark.as_bytes(),
                version: None,
            };
            match self.handle.submit(&set) {
                Ok(reply) if !self.rng.once_in(5) => replies.push((write, reply)),
                Ok(_) => {}
                Err(error) => self.end(write, Err(error)),
            }
        }
        for (write, reply) in replies {
            if let Some(result) = self.perhaps(reply).await {
                self.end(write, result.map(|stat| Some(stat.mzxid)));
            }
        }
    }

    /// Sets a register and deletes it.
    async fn multi(&mut self) {
        let (at, mark) = (self.register(), self.mark());
        let write = self.begin(&mark, 0);
        let set = SetData {
            path: path(at),
            data: mark.as_bytes(),
            version: None,
        };
        let delete = Delete {
            path: path(at),
            version: None,
        };
        let ops = [Op::SetData(set), Op::Delete(delete)];
        let handle = self.handle.clone();
        let Some(result) = self.perhaps(handle.call(Multi { ops: &ops })).await else {
            return;
        };
        let result = result.and_then(|reply| match reply.outcome() {
            Ok(mut results) => Ok(match results.next() {
                Some(OpResult::Set(stat)) => Some(stat.mzxid),
                _ => None,
            }),
            Err(failure) => Err(Error::Server(failure.code)),
        });
        self.end(write, result);
    }

    /// Reads a register twice: the second time it must not be older.
    async fn read_twice(&mut self) {
        let at = self.register();
        let before = self.handle.status();
        let first = self.read(at).await;
        let second = self.read(at).await;
        let same = before.epoch == self.handle.status().epoch;
        if let (Some(first), Some(second)) = (first, second)
            && same
            && second < first
            && self.world.plan.history_holds()
        {
            let client = self.client;
            self.world.fail(format!(
                "client {client}: {at} went back: {first:#x}, {second:#x}"
            ));
        }
    }

    async fn read(&mut self, at: &str) -> Option<i64> {
        let handle = self.handle.clone();
        let get = GetData { path: path(at) };
        let data = self.perhaps(handle.retry(get)).await?.ok()?;
        let zxid = data.stat().mzxid;
        let mut journal = self.world.journal.borrow_mut();
        journal.read(at, data.data(), zxid);
        Some(zxid)
    }

    // ---- watching ----

    pub(super) async fn watch(mut self) {
        while self.is_active() {
            if self.rng.once_in(3) {
                self.watch_children().await;
            } else {
                self.watch_data().await;
            }
            self.pause(200_000).await;
        }
    }

    async fn watch_data(&mut self) {
        let (at, handle) = (self.register(), self.handle.clone());
        let epoch = handle.status().epoch;
        let before = self.world.ensemble.borrow().zxid();
        let pinned = handle.pinned(epoch);
        let watch = async {
            if before % 2 == 0 {
                let (data, watcher) = pinned.watch(GetData { path: path(at) }).await?;
                return Ok::<_, Error>((Some(data.stat().mzxid), watcher));
            }
            let (stat, watcher) = pinned.watch_absent(Exists { path: path(at) }).await?;
            Ok((stat.map(|stat| stat.mzxid), watcher))
        };
        let Some(Ok((seen, watcher))) = self.perhaps(watch).await else {
            return;
        };
        // Where there is no node, nobody says since when: at the latest since now.
        let since = seen.unwrap_or_else(|| self.world.ensemble.borrow().zxid());
        self.listen(watcher, at, Aim::Data, since, epoch.get(), seen.is_none())
            .await;
    }

    async fn watch_children(&mut self) {
        let handle = self.handle.clone();
        let epoch = handle.status().epoch;
        let pinned = handle.pinned(epoch);
        let watch = pinned.watch(GetChildren { path: path(LOCK) });
        let Some(Ok((children, watcher))) = self.perhaps(watch).await else {
            return;
        };
        let since = children.stat().pzxid.max(children.stat().czxid);
        drop(children);
        self.listen(watcher, LOCK, Aim::Children, since, epoch.get(), false)
            .await;
    }

    async fn listen(
        &mut self,
        mut watcher: <Handle<Hold<K>> as docent_core::client::Client>::Watcher,
        at: &str,
        aim: Aim,
        since: i64,
        epoch: u32,
        vague: bool,
    ) {
        let watch = Watch {
            client: self.client,
            path: at.to_owned(),
            aim,
            since,
            epoch,
            ended: epoch,
            absent: vague.then(|| self.handle.status().connections),
            tale: Tale::Waiting,
        };
        let index = {
            let mut journal = self.world.journal.borrow_mut();
            journal.ops += 1;
            journal.watches.push(watch);
            journal.watches.len() - 1
        };
        let client = self.client;
        self.world.note(&[0x3a7, index as u64], || {
            format!("client {client}: watch {index} on {at} since {since:#x}")
        });
        let change = self.perhaps(watcher.next()).await;
        let now = if vague {
            i64::MAX
        } else {
            self.world.ensemble.borrow().zxid()
        };
        let tale = match change {
            // An event of before `since` counts where that is only an upper bound.
            Some(Some(Change::Node(_))) if vague => Tale::Dropped,
            Some(Some(Change::Node(_))) => Tale::Changed(now),
            Some(Some(Change::Lost)) => Tale::Lost,
            Some(Some(_)) => Tale::Resync,
            // Nobody has looked at it to its end.
            None => Tale::Dropped,
            Some(None) => Tale::Resync,
        };
        if matches!(tale, Tale::Changed(_)) && watcher.next().await.is_some() {
            self.world.fail(format!(
                "client {}: a one-shot watch told twice",
                self.client
            ));
        }
        let ended = self.handle.status().epoch.get();
        self.world.note(&[0x3a8, index as u64], || {
            format!("client {client}: watch {index}: {tale:x?}")
        });
        let watch = &mut self.world.journal.borrow_mut().watches[index];
        (watch.tale, watch.ended) = (tale, ended);
    }

    // ---- the lock ----

    pub(super) async fn lock(mut self) {
        let lock = Lock::new(self.handle.clone(), path(LOCK)).expect("room for a path");
        while self.is_active() {
            match self.perhaps(lock.acquire()).await {
                Some(Ok(guard)) => self.hold(guard).await,
                Some(Err(error)) => self.refused(error),
                None => {}
            }
            self.pause(1_000_000).await;
        }
    }

    fn refused(&self, error: Error) {
        let client = self.client;
        let marks = [0x5ef, client as u64];
        self.world
            .note(&marks, || format!("client {client}: no lock: {error}"));
        if error == Error::Full {
            self.world.count(Fault::Full);
        }
        // What bounded memory may say, or a server without a quorum, and no other.
        let read_only = self.world.plan.read_only;
        let expected = match error {
            Error::Full | Error::ReplyTooLarge { .. } => true,
            Error::Server(Code::NotReadOnly) => read_only,
            _ => false,
        };
        if !expected {
            self.world
                .fail(format!("client {client}: no lock: {error:?}"));
        }
    }

    async fn hold(&mut self, guard: Guard<Handle<Hold<K>>>) {
        let guard = Rc::new(guard);
        self.granted(&guard);
        let entry = Entry {
            holders: Rc::clone(&self.holders),
            guard: Rc::clone(&guard),
        };
        entry
            .holders
            .borrow_mut()
            .push((self.client, guard.clone()));
        for _ in 0..self.rng.below(3) {
            self.write_in_memory(&guard);
            self.write_fenced(&guard).await;
            let long = if self.rng.once_in(10) {
                20_000_000
            } else {
                300_000
            };
            self.pause(long).await;
        }
        if self.rng.once_in(8) && self.is_active() {
            self.wait_for_loss(&guard).await;
        }
        drop(entry);
        let client = self.client;
        self.world.note(&[0x4e1, client as u64], || {
            format!("client {client}: releases {}", guard.path())
        });
        let Some(guard) = Rc::into_inner(guard) else {
            return;
        };
        if self.rng.once_in(2) {
            return;
        }
        let _: Option<Result<(), Error>> = self.perhaps(guard.release()).await;
    }

    /// A lock was granted: nobody else holds it, and it is this one's turn.
    fn granted(&self, guard: &Held<K>) {
        let (world, client) = (&self.world, self.client);
        let token = guard.fencing_token();
        world.note(&[0x64a, client as u64, token.cast_unsigned()], || {
            format!("client {client}: holds {}, token {token:#x}", guard.path())
        });
        let overlaps = u64::from(!self.holders.borrow().is_empty());
        let mut journal = world.journal.borrow_mut();
        journal.sections += 1;
        journal.overlaps += overlaps;
        drop(journal);
        if !world.plan.leases_hold() || !guard.is_held() {
            return;
        }
        let first = first(&world.ensemble.borrow());
        if first
            .as_ref()
            .is_none_or(|first| first.0 != guard.path().as_str())
        {
            world.fail(format!(
                "client {client}: holds {}, but the first is {first:x?}",
                guard.path()
            ));
        }
        for (other, held) in &*self.holders.borrow() {
            if held.is_held() {
                world.fail(format!("clients {client} and {other} hold the lock"));
            }
        }
    }

    /// Writes to a register in memory, which refuses stale tokens.
    fn write_in_memory(&self, guard: &Held<K>) {
        let (held, token) = (guard.is_held(), guard.fencing_token());
        let mut journal = self.world.journal.borrow_mut();
        let stale = token < journal.token;
        journal.token = token.max(journal.token);
        drop(journal);
        if stale && held && self.world.plan.leases_hold() {
            self.world
                .fail(format!("client {}: the holder is stale", self.client));
        }
    }

    /// Writes to a register of the ensemble, as long as the lock's node is there.
    async fn write_fenced(&mut self, guard: &Held<K>) {
        let mark = self.mark();
        let write = self.begin(&mark, 0);
        let set = SetData {
            path: path(REGISTER),
            data: mark.as_bytes(),
            version: None,
        };
        let ops = [guard.check(), Op::SetData(set)];
        let handle = self.handle.clone();
        let Some(result) = self.perhaps(handle.call(Multi { ops: &ops })).await else {
            return;
        };
        let result = result.and_then(|reply| match reply.outcome() {
            Ok(_) => Ok(None),
            Err(failure) => Err(Error::Server(failure.code)),
        });
        self.end(write, result);
        if result == Err(Error::Server(Code::NoNode)) {
            self.create(REGISTER, CreateMode::Persistent).await;
        }
    }

    /// Waits until the lock is lost, for a while.
    async fn wait_for_loss(&mut self, guard: &Held<K>) {
        let patience = self.rng.below(20_000_000);
        Perhaps {
            future: Box::pin(guard.lost()),
            polls: u64::MAX,
            timer: Some(Box::pin(self.world.sleep(patience))),
        }
        .await;
    }
}

/// Who holds the lock, until it is dropped.
struct Entry<K: Kind> {
    holders: Holders<K>,
    guard: Held<K>,
}

impl<K: Kind> Drop for Entry<K> {
    fn drop(&mut self) {
        let mut holders = self.holders.borrow_mut();
        holders.retain(|(_, guard)| !Rc::ptr_eq(guard, &self.guard));
    }
}

/// A future that is dropped at some poll or time, if it is not over by then.
struct Perhaps<F> {
    future: Pin<Box<F>>,
    polls: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Perhaps<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(timer) = &mut self.timer else {
            return self.future.as_mut().poll(cx).map(Some);
        };
        if timer.as_mut().poll(cx).is_ready() || self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(cx).map(Some)
    }
}
