//! Writes of all kinds, alone, in batches and in transactions.

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::wire::{
    Acl, Create, CreateMode, Delete, Multi, MultiFailure, Op, OpResult, SetData, Stat,
};

use super::{Task, path};
use crate::sim::check::Effect;
use crate::sim::client::Kind;

/// What a write of this data by this node's stat has led to.
fn effect(stat: Stat) -> Effect {
    Effect {
        zxid: Some(stat.mzxid),
        version: Some(stat.version),
    }
}

fn set<'a>(at: &'a str, mark: &'a str) -> SetData<'a> {
    SetData {
        path: path(at),
        data: mark.as_bytes(),
        version: None,
    }
}

fn delete(at: &str) -> Delete<'_> {
    Delete {
        path: path(at),
        version: None,
    }
}

fn create<'a>(at: &'a str, mark: &'a str) -> Create<'a> {
    Create {
        path: path(at),
        data: mark.as_bytes(),
        mode: CreateMode::Persistent,
        acl: Acl::OPEN,
    }
}

impl<K: Kind> Task<K> {
    pub(super) async fn write(mut self) {
        while self.is_active() {
            match self.rng.below(9) {
                0 | 1 => self.set().await,
                2 => self.node().await,
                3 => self.batch().await,
                4 => self.multi().await,
                5 => self.futile_multi().await,
                6 => self.read_synced().await,
                7 => self.read_many().await,
                _ => self.read_twice().await,
            }
            self.pause(500_000).await;
        }
    }

    async fn set(&mut self) {
        let (at, mark) = (self.register(), self.mark());
        let version = self.rng.once_in(4).then_some(3);
        let set = SetData {
            version,
            ..set(&at, &mark)
        };
        if self.set_data(set, &mark).await == Some(Err(Error::Server(Code::NoNode))) {
            self.create(&at).await;
        }
    }

    /// Makes a write of data that is `mark`; nothing comes back if nobody waited for its end.
    pub(super) async fn set_data(
        &mut self,
        set: SetData<'_>,
        mark: &str,
    ) -> Option<Result<Stat, Error>> {
        let write = self.begin(mark, 0);
        let handle = self.handle.clone();
        let result = self.perhaps(handle.call(set)).await?;
        self.end(write, result.map(effect));
        Some(result)
    }

    /// Creates a persistent node, and says whether it did for sure.
    pub(super) async fn create(&mut self, at: &str) -> bool {
        let mark = self.mark();
        let result = self.create_as(create(at, &mark), &mark).await;
        result.is_some_and(|result| result.is_ok())
    }

    /// Creates a node whose data is `mark`; returns its path, and its stat.
    pub(super) async fn create_as(
        &mut self,
        create: Create<'_>,
        mark: &str,
    ) -> Option<Result<(String, Stat), Error>> {
        let write = self.begin(mark, 0);
        let handle = self.handle.clone();
        let result = self.perhaps(handle.call(create)).await?;
        let result = result.map(|made| (made.path().as_str().to_owned(), made.stat()));
        self.end(
            write,
            result
                .as_ref()
                .map(|(_, stat)| effect(*stat))
                .map_err(|error| *error),
        );
        Some(result)
    }

    /// Deletes a node that is deleted once at most.
    async fn delete(&mut self, at: &str) -> Option<Result<(), Error>> {
        let write = self.begin(&format!("delete {}", self.full(at)), 0);
        let handle = self.handle.clone();
        let result = self.perhaps(handle.call(delete(at))).await?;
        self.end(write, result.map(|()| Effect::default()));
        Some(result)
    }

    /// Deletes a node that others may delete, too.
    pub(super) async fn remove(&mut self, at: &str) -> Option<Result<(), Error>> {
        let handle = self.handle.clone();
        self.perhaps(handle.call(delete(at))).await
    }

    /// Makes a node and deletes it.
    async fn node(&mut self) {
        let at = self.at(&format!("/{}", self.mark()));
        if self.create(&at).await {
            self.delete(&at).await;
        }
    }

    /// Submits writes one after the other, and then looks at some of the replies.
    async fn batch(&mut self) {
        let batch = self.world.serial();
        let writes = 0..self.rng.range(2, 5);
        let writes: Vec<_> = writes.map(|_| (self.register(), self.mark())).collect();
        let mut replies = Vec::new();
        for (at, mark) in &writes {
            let write = self.begin(mark, batch);
            match self.handle.submit(&set(at, mark)) {
                Ok(reply) if !self.rng.once_in(5) => replies.push((write, reply)),
                Ok(_) => {}
                Err(error) => self.end(write, Err(error)),
            }
        }
        for (write, reply) in replies {
            if let Some(result) = self.perhaps(reply).await {
                self.end(write, result.map(effect));
            }
        }
    }

    /// Sets a register and deletes it.
    async fn multi(&mut self) {
        let (at, mark) = (self.register(), self.mark());
        let ops = [Op::SetData(set(&at, &mark)), Op::Delete(delete(&at))];
        self.transact(&ops, &mark).await;
    }

    /// Tries to create a node, in a transaction that fails for something else.
    async fn futile_multi(&mut self) {
        let mark = self.mark();
        let (new, absent) = (format!("/new-{mark}"), format!("/absent-{mark}"));
        let (new, absent) = (self.at(&new), self.at(&absent));
        let mut ops = vec![Op::Create(create(&new, &mark)); 1 + self.rng.index(2)];
        let index = self.rng.index(ops.len());
        ops.insert(index, Op::Delete(delete(&absent)));
        let Some(Err(failure)) = self.transact(&ops, &mark).await else {
            return;
        };
        let expected = MultiFailure {
            index,
            code: Code::NoNode,
        };
        if failure.is_some_and(|failure| failure != expected) {
            self.fail(format!("{failure:?} instead of {expected:?}"));
        }
    }

    /// Makes a transaction that leaves `mark` in the history. The inner error says which operation
    /// it failed for.
    pub(super) async fn transact(
        &mut self,
        ops: &[Op<'_>],
        mark: &str,
    ) -> Option<Result<(), Option<MultiFailure>>> {
        let write = self.begin(mark, 0);
        let handle = self.handle.clone();
        let reply = match self.perhaps(handle.call(Multi { ops })).await? {
            Ok(reply) => reply,
            Err(error) => {
                self.end(write, Err(error));
                return Some(Err(None));
            }
        };
        if reply.len() != ops.len() {
            self.fail(format!("{reply:?} is no answer to {ops:?}"));
        }
        let outcome = reply.outcome().map(|mut results| {
            results.find_map(|result| match result {
                OpResult::Set(stat) => Some(effect(stat)),
                _ => None,
            })
        });
        drop(reply);
        let result = outcome.map(Option::unwrap_or_default);
        self.end(write, result.map_err(|failure| Error::Server(failure.code)));
        Some(result.map(drop).map_err(Some))
    }
}
