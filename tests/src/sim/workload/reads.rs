//! Reads, which must not go back in time, nor before what a sync has waited for.

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::wire::{GetData, MultiRead, ReadOp, ReadResult, Sync};

use super::{Task, path};
use crate::sim::check::{LOCK, Read};
use crate::sim::client::Kind;

impl<K: Kind> Task<K> {
    /// Reads a register twice: the second time it must not be older.
    pub(super) async fn read_twice(&mut self) {
        let at = self.register();
        let before = self.handle.status();
        let first = self.read(&at, 0).await;
        let second = self.read(&at, 0).await;
        let same = before.epoch == self.handle.status().epoch;
        if let (Some(first), Some(second)) = (first, second)
            && same
            && second < first
            && self.world.plan.history_holds()
        {
            self.fail(format!("{at} went back: {first:#x}, {second:#x}"));
        }
    }

    /// Reads what all servers have heard of by now.
    pub(super) async fn read_synced(&mut self) {
        let at = self.register();
        let handle = self.handle.clone();
        let acknowledged = self.world.journal.borrow().writes.acknowledged();
        let epoch = handle.status().epoch;
        let sync = handle.retry(Sync { path: path(&at) });
        let Some(Ok(())) = self.perhaps(sync).await else {
            return;
        };
        self.handle = handle.pinned(epoch);
        self.read(&at, acknowledged).await;
        self.handle = handle;
    }

    /// Reads a node. Returns the transaction that wrote it.
    async fn read(&mut self, at: &str, synced: i64) -> Option<i64> {
        let handle = self.handle.clone();
        let get = GetData { path: path(at) };
        let found = match self.perhaps(handle.retry(get)).await? {
            Ok(data) => Some((lossy(data.data()), data.stat().mzxid)),
            Err(Error::Server(Code::NoNode)) => None,
            Err(_) => return None,
        };
        let zxid = found.as_ref().map(|(_, zxid)| *zxid);
        self.found(at, found, synced);
        zxid
    }

    fn found(&self, at: &str, found: Option<(String, i64)>, synced: i64) {
        let mut journal = self.world.journal.borrow_mut();
        journal.ops += 1;
        journal.reads.push(Read {
            path: self.full(at),
            found,
            synced,
        });
    }

    /// Reads a register, something that is not there, and names.
    pub(super) async fn read_many(&mut self) {
        let (at, lock, absent) = (self.register(), self.at(LOCK), self.at("/absent"));
        let ops = [
            ReadOp::GetData(path(&at)),
            ReadOp::GetData(path(&absent)),
            ReadOp::GetChildren(path(&lock)),
        ];
        let handle = self.handle.clone();
        let read = handle.retry(MultiRead { ops: &ops });
        let Some(Ok(reply)) = self.perhaps(read).await else {
            return;
        };
        let mut results = reply.iter();
        match results.next() {
            Some(Ok(ReadResult::Data { data, stat })) => {
                self.found(&at, Some((lossy(data), stat.mzxid)), 0);
            }
            Some(Err(Code::NoNode)) => self.found(&at, None, 0),
            other => self.fail(format!("the data of {at} is {other:?}")),
        }
        if !matches!(results.next(), Some(Err(Code::NoNode))) {
            self.fail(format!("there is a {absent}"));
        }
        let names = results.next();
        if !matches!(names, Some(Ok(ReadResult::Children(_)) | Err(Code::NoNode)))
            || results.next().is_some()
        {
            self.fail(format!("the children of {lock} are {names:?}"));
        }
    }
}

fn lossy(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
