//! Counting: by conditional writes, and by the numbers that servers give.

use docent_core::client::Client as _;
use docent_core::error::{Code, Error};
use docent_core::wire::{Acl, Create, CreateMode, GetData, SetData};

use super::{Task, path};
use crate::sim::check::{COUNTER, Numbered, number};
use crate::sim::client::Kind;

/// Where numbered nodes are.
const NUMBERS: &str = "/numbers";

impl<K: Kind> Task<K> {
    pub(super) async fn count(mut self) {
        while self.is_active() {
            if self.rng.once_in(2) {
                self.increment().await;
            } else {
                self.take_number().await;
            }
            self.pause(500_000).await;
        }
    }

    async fn increment(&mut self) {
        let (at, handle) = (self.at(COUNTER), self.handle.clone());
        let get = GetData { path: path(&at) };
        let (value, version) = match self.perhaps(handle.retry(get)).await {
            Some(Ok(data)) => (number(data.data()), data.stat().version),
            Some(Err(Error::Server(Code::NoNode))) => {
                self.create(&at).await;
                return;
            }
            _ => return,
        };
        let data = (value + 1).to_string();
        let set = SetData {
            path: path(&at),
            data: data.as_bytes(),
            version: Some(version),
        };
        self.world.journal.borrow_mut().count.open += 1;
        let Some(result) = self.perhaps(handle.call(set)).await else {
            return;
        };
        let count = &mut self.world.journal.borrow_mut().count;
        match result {
            Err(error) if error.may_have_run() => {}
            result => {
                count.open -= 1;
                count.done += u64::from(result.is_ok());
            }
        }
    }

    async fn take_number(&mut self) {
        let (at, mark) = (self.at(&format!("{NUMBERS}/n-")), self.mark());
        let create = Create {
            path: path(&at),
            data: mark.as_bytes(),
            mode: CreateMode::PersistentSequential,
            acl: Acl::OPEN,
        };
        match self.create_as(create, &mark).await {
            Some(Ok((path, stat))) => {
                let path = self.full(&path);
                let zxid = stat.czxid;
                let mut journal = self.world.journal.borrow_mut();
                journal.numbered.push(Numbered { zxid, path });
            }
            Some(Err(Error::Server(Code::NoNode))) => {
                let at = self.at(NUMBERS);
                self.create(&at).await;
            }
            _ => {}
        }
    }
}
