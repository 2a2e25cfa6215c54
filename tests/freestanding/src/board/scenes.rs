//! What the boards are to do.

use core::future::Future;
use core::pin::pin;
use core::time::Duration;

use docent_core::client::{Client, Watcher as _};
use docent_core::error::Error;
use docent_core::hub::{BoardPath, Change};
use docent_core::path::{Path, PathBuf as _};
use docent_core::recipes::{Guard, create_parents};
use docent_core::wire::{
    Acl, AddWatchMode, Create, CreateMode, Delete, EventKind, Exists, GetChildNames,
};

use super::world::{Failure, Progress, World, check};

/// The lock goes from board to board. Returns the last fencing token.
pub(crate) fn in_turn(world: &mut World<'_, '_>) -> Result<i64, Failure> {
    let (one, other) = (world.lock(0)?, world.lock(1)?);
    let guard = world.finish(one.acquire())?;
    let mut waiting = pin!(other.acquire());
    world.waits(waiting.as_mut())?;
    check(guard.is_held() && guard.valid_until().is_some(), "held")?;
    let token = guard.fencing_token();
    world.finish(guard.release())?;

    let guard = world.finish(waiting)?;
    check(guard.fencing_token() > token, "a larger token")?;
    let token = guard.fencing_token();
    stolen(world, &guard)?;
    world.finish(guard.release())?;
    world.clean()?;
    lapses(world)?;
    world.close()?;
    Ok(token)
}

/// The node of the lock is deleted by hand.
fn stolen<C: Client>(world: &mut World<'_, '_>, guard: &Guard<C>) -> Result<(), Failure> {
    let mut lost = pin!(guard.lost());
    world.waits(lost.as_mut())?;
    let path = guard.path();
    world.finish(delete(&world.handle(0), path))?;
    world.wait(lost)
}

async fn delete<C: Client>(client: &C, path: Path<'_>) -> Result<(), Error> {
    let version = None;
    client.call(Delete { path, version }).await
}

/// A board that is stopped for longer than its lease learns that it may have lost the lock.
fn lapses(world: &mut World<'_, '_>) -> Result<(), Failure> {
    let lock = world.lock(1)?;
    let guard = world.finish(lock.acquire())?;
    {
        let mut lost = pin!(guard.lost());
        world.waits(lost.as_mut())?;
        world.sleep(Duration::from_secs(8));
        check(!guard.is_held() && guard.valid_until().is_none(), "lapsed")?;
        world.wait(lost)?;
    }
    world.pass(Duration::from_millis(10));
    world.finish(guard.release())?;
    world.clean()
}

/// Two handles of the same board compete for the lock.
pub(crate) fn together(world: &mut World<'_, '_>) -> Result<(), Failure> {
    let (one, other) = (world.lock(0)?, world.lock(0)?);
    let guard = world.finish(one.acquire())?;
    let mut waiting = pin!(other.acquire());
    world.waits(waiting.as_mut())?;
    drop(guard);
    let guard = world.finish(waiting)?;
    let mut again = pin!(one.acquire());
    world.waits(again.as_mut())?;
    world.finish(guard.release())?;
    let guard = world.finish(again)?;
    world.finish(guard.release())?;
    world.clean()
}

/// A board sees what the other one does.
pub(crate) fn watch(world: &mut World<'_, '_>) -> Result<(), Failure> {
    let (one, other) = (world.handle(0), world.handle(1));
    let path = Path::new("/w").unwrap_or(Path::ROOT);
    let create = Create {
        path,
        data: b"data",
        mode: CreateMode::Ephemeral,
        acl: Acl::OPEN,
    };
    let exists = Exists { path };
    let (stat, mut watcher) = world.finish(one.watch_absent(exists))?;
    check(stat.is_none(), "absent")?;
    world.finish(other.call(create))?;
    let seen = world.wait(watcher.next())?;
    check(
        seen == Some(Change::Node(EventKind::Created.into())),
        "seen to be created",
    )?;
    drop(watcher);

    let mut watcher = world.finish(one.subscribe(Path::ROOT, AddWatchMode::Recursive))?;
    world.waits(pin!(watcher.next()))?;
    world.finish(delete(&other, path))?;
    let seen = world.wait(watcher.next())?;
    let deleted = matches!(
        &seen,
        Some(Change::Below { kind: EventKind::Deleted, path: at }) if at.as_path() == path
    );
    check(deleted, "seen to be deleted")?;
    drop(watcher);
    world.settle();
    world.clean()
}

/// When a future is dropped: after so many polls, and so many steps after the last one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) polls: usize,
    pub(crate) steps: usize,
}

impl Cut {
    /// Drops `future`, and waits until all that follows from it has happened.
    fn drop<F: Future>(self, world: &mut World<'_, '_>, future: F) -> Progress {
        let progress = self.leave(world, future);
        world.settle();
        progress
    }

    fn leave<F: Future>(self, world: &mut World<'_, '_>, future: F) -> Progress {
        let mut future = pin!(future);
        let result = world.poll(future.as_mut(), self.polls);
        (0..self.steps).for_each(|_| _ = world.step());
        result.map_or_else(|progress| progress, |_| Progress::Done)
    }
}

/// A future that is dropped half-way, with what it takes to start it.
pub(crate) type Scene = fn(&mut World<'_, '_>, Cut) -> Result<Progress, Failure>;

/// What is dropped, and how far it comes by itself.
pub(crate) const SCENES: [(Scene, Progress); 6] = [
    (acquire, Progress::Done),
    (acquire_behind, Progress::Waits),
    (acquire_in_a_crowd, Progress::Done),
    (release, Progress::Done),
    (lost, Progress::Waits),
    (subscribe, Progress::Done),
];

fn acquire(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let lock = world.lock(0)?;
    let progress = cut.drop(world, lock.acquire());
    world.clean()?;
    acquire_after(world)?;
    Ok(progress)
}

fn acquire_behind(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let (one, other) = (world.lock(0)?, world.lock(1)?);
    let guard = world.finish(one.acquire())?;
    let progress = cut.drop(world, other.acquire());
    check(guard.is_held(), "held")?;
    world.finish(guard.release())?;
    world.clean()?;
    acquire_after(world)?;
    Ok(progress)
}

/// There are more contenders than a list of them has room for.
fn acquire_in_a_crowd(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let (lock, other) = (world.lock(0)?, world.handle(1));
    let container = CreateMode::Container;
    world.finish(create_parents(&other, lock.path(), container, Acl::OPEN))?;
    let mut crowd = [const { None }; 3];
    for node in &mut crowd {
        *node = world.finish(contend(&other))?;
    }
    let progress = cut.drop(world, lock.acquire());
    world.clean()?;
    for node in crowd.iter().flatten() {
        world.finish(delete(&other, node.as_path()))?;
    }
    acquire_after(world)?;
    Ok(progress)
}

/// Makes a node as contenders do.
async fn contend<C: Client>(client: &C) -> Result<Option<BoardPath>, Error> {
    let path = Path::new("/l/_c_00112233-4455-6677-8899-aabbccddeeff-lock-")?;
    let create = Create {
        path,
        data: &[],
        mode: CreateMode::PersistentSequential,
        acl: Acl::OPEN,
    };
    let created = client.call(create).await?;
    Ok(BoardPath::try_from_parts(&[created.path().as_str()]))
}

fn release(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let lock = world.lock(0)?;
    let guard = world.finish(lock.acquire())?;
    let progress = cut.drop(world, guard.release());
    world.clean()?;
    acquire_after(world)?;
    Ok(progress)
}

fn lost(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let lock = world.lock(0)?;
    let guard = world.finish(lock.acquire())?;
    let progress = cut.drop(world, guard.lost());
    check(guard.is_held(), "held")?;
    world.finish(guard.release())?;
    world.clean()?;
    Ok(progress)
}

fn subscribe(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let handle = world.handle(0);
    let subscribe = handle.subscribe(Path::ROOT, AddWatchMode::Persistent);
    let progress = cut.drop(world, subscribe);
    world.clean()?;
    acquire_after(world)?;
    Ok(progress)
}

/// Whatever was dropped, both boards can still take the lock.
fn acquire_after(world: &mut World<'_, '_>) -> Result<(), Failure> {
    for board in 0..2 {
        let lock = world.lock(board)?;
        let guard = world.finish(lock.acquire())?;
        let names = world.finish(
            world
                .handle(board)
                .call(GetChildNames { path: lock.path() }),
        )?;
        check(names.len() == 1, "the only contender")?;
        drop(names);
        world.finish(guard.release())?;
    }
    world.clean()
}

/// A board wants the lock again before an attempt that it gave up has been cleaned up.
pub(crate) fn again(world: &mut World<'_, '_>, cut: Cut) -> Result<Progress, Failure> {
    let (one, other) = (world.lock(0)?, world.lock(1)?);
    let guard = world.finish(other.acquire())?;
    let progress = cut.leave(world, one.acquire());
    let mut waiting = pin!(one.acquire());
    world.waits(waiting.as_mut())?;
    drop(guard);
    let guard = world.finish(waiting)?;
    world.finish(guard.release())?;
    world.settle();
    world.clean()?;
    Ok(progress)
}
