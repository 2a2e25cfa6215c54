//! Those who ask for everything, and make nothing of the answers.

use docent_core::client::{Client, Watcher as _};
use docent_core::error::{Code, Error};
use docent_core::path::Path;
use docent_core::recipes::Lock;
use docent_core::session::End;
use docent_core::wire::{
    Acl, AddWatchMode, CountDescendants, Create, CreateMode, Delete, Exists, GetAcl, GetChildNames,
    GetChildren, GetData, GetEphemerals, Multi, MultiRead, Op, ReadOp, SetData, Sync, WhoAmI,
};

use super::{Task, path};
use crate::sim::check::LOCK;
use crate::sim::client::Kind;

impl<K: Kind> Task<K> {
    /// Asks until all faults have ended. Then at last somebody must answer.
    pub(super) async fn ask(mut self) {
        while self.is_active() {
            let (lock, register) = (self.at(LOCK), self.register());
            let at = [&lock, &register, &register][self.rng.index(3)];
            let (choice, patience) = (self.rng.below(21), self.patience());
            let question = ask(&self.handle, choice, path(at), path(&lock));
            let answer = self.within(patience, question).await;
            self.note(choice, answer);
            self.pause(100_000).await;
        }
        self.be_served().await;
    }

    /// For how long it waits for an answer.
    fn patience(&mut self) -> u64 {
        let timeout = self.world.plan.timeout_ms * 1000;
        let most = [timeout / 100, timeout / 4, 2 * timeout][self.rng.index(3)];
        self.rng.below(most)
    }

    /// Takes note of how a question ended, so that a run can be told from another.
    fn note(&self, choice: u64, answer: Option<Result<(), Error>>) {
        let client = self.client;
        self.world.journal.borrow_mut().ops += 1;
        self.world.note(&[0xa5c, choice], || {
            format!("client {client}: question {choice} is answered {answer:?}")
        });
    }

    /// Asks for something that every client has room for, until there is an answer.
    async fn be_served(&self) {
        let root = Path::ROOT;
        while !self.is_over() {
            match self.handle.retry(Sync { path: root }).await {
                Ok(()) => return,
                // There will be another session.
                Err(Error::NotSent(End::Expired) | Error::Server(Code::SessionExpired)) => {}
                Err(error) => return self.fail(format!("is not served: {error:?}")),
            }
        }
    }
}

/// Asks a question.
async fn ask<C: Client>(
    client: &C,
    choice: u64,
    at: Path<'_>,
    lock: Path<'_>,
) -> Result<(), Error> {
    match choice {
        0 => client.call(GetData { path: at }).await.map(drop),
        1 => client.call(Exists { path: at }).await.map(drop),
        2 => client.call(GetChildren { path: at }).await.map(drop),
        3 => client.call(GetChildNames { path: at }).await.map(drop),
        4 => client.call(GetAcl { path: at }).await.map(drop),
        5 => client.call(GetEphemerals { prefix: at }).await.map(drop),
        6 => client.call(CountDescendants { path: at }).await.map(drop),
        7 => client.call(WhoAmI).await.map(drop),
        8 => client.retry(Sync { path: at }).await,
        9 => client.call(set(at)).await.map(drop),
        10 => client.call(create(at)).await.map(drop),
        11 => client.call(delete(at)).await,
        12 => read_many(client, at).await,
        13 => write_many(client, at).await,
        14 => watch(client, at).await,
        15 => watch_absent(client, at).await,
        16 => follow(client, at, AddWatchMode::Persistent).await,
        17 => follow(client, at, AddWatchMode::Recursive).await,
        _ => hold(client, lock).await,
    }
}

async fn read_many<C: Client>(client: &C, at: Path<'_>) -> Result<(), Error> {
    let ops = [ReadOp::GetData(at), ReadOp::GetChildren(at)];
    let reply = client.call(MultiRead { ops: &ops }).await?;
    reply.iter().for_each(drop);
    Ok(())
}

async fn write_many<C: Client>(client: &C, at: Path<'_>) -> Result<(), Error> {
    let ops = [Op::SetData(set(at)), Op::Delete(delete(at))];
    let reply = client.call(Multi { ops: &ops }).await?;
    reply.outcome().into_iter().flatten().for_each(drop);
    Ok(())
}

async fn watch<C: Client>(client: &C, at: Path<'_>) -> Result<(), Error> {
    let (names, mut watcher) = client.watch(GetChildNames { path: at }).await?;
    names.iter().for_each(drop);
    drop(names);
    watcher.next().await;
    Ok(())
}

async fn watch_absent<C: Client>(client: &C, at: Path<'_>) -> Result<(), Error> {
    let (_, mut watcher) = client.watch_absent(Exists { path: at }).await?;
    watcher.next().await;
    Ok(())
}

async fn follow<C: Client>(client: &C, at: Path<'_>, mode: AddWatchMode) -> Result<(), Error> {
    let mut watcher = client.subscribe(at, mode).await?;
    while watcher.next().await.is_some() {}
    Ok(())
}

async fn hold<C: Client>(client: &C, at: Path<'_>) -> Result<(), Error> {
    let guard = Lock::new(client.clone(), at)?.acquire().await?;
    guard.lost().await;
    guard.release().await
}

const fn set(at: Path<'_>) -> SetData<'_> {
    SetData {
        path: at,
        data: b"data",
        version: None,
    }
}

const fn create(at: Path<'_>) -> Create<'_> {
    Create {
        path: at,
        data: b"",
        mode: CreateMode::Persistent,
        acl: Acl::OPEN,
    }
}

const fn delete(at: Path<'_>) -> Delete<'_> {
    Delete {
        path: at,
        version: None,
    }
}
