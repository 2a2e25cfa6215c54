//! The lock, its holders, and what they write.

use std::cell::RefCell;
use std::rc::Rc;

use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::recipes::{Guard, Lock};
use docent_core::session::End;
use docent_core::wire::{Op, SetData};

use super::{Job, Task, path};
use crate::sim::check::{LOCK, REGISTER, first};
use crate::sim::client::{Hold, Kind};
use crate::sim::faults::Fault;

type Held<K> = Rc<Guard<Handle<Hold<K>>>>;
/// The guards that are held, and the clients that hold them.
pub(in crate::sim) type Holders = Rc<RefCell<Vec<(usize, Rc<dyn Hand>)>>>;

/// A guard of a client of any size.
pub(in crate::sim) trait Hand {
    fn holds(&self) -> bool;
}

impl<K: Kind> Hand for Guard<Handle<Hold<K>>> {
    fn holds(&self) -> bool {
        self.is_held()
    }
}

impl<K: Kind> Task<K> {
    pub(super) async fn lock(mut self) {
        let at = self.at(LOCK);
        let lock = Lock::new(self.handle.clone(), path(&at)).expect("room for a path");
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
        let size = self.world.plan.sizes[client];
        // What bounded memory may say, or a server without a quorum, and no other.
        let expected = match error {
            Error::Full => true,
            Error::TooLarge { .. } | Error::ReplyTooLarge { .. } => !size.has_room_for_lock(),
            Error::Server(Code::NotReadOnly) => self.world.plan.read_only,
            Error::NotSent(End::Closed) => self.world.plan.work.has(Job::Quit),
            _ => self.is_over(),
        };
        if !expected {
            self.fail(format!("no lock: {error:?}"));
        }
    }

    async fn hold(&mut self, guard: Guard<Handle<Hold<K>>>) {
        let guard = Rc::new(guard);
        self.granted(&guard);
        let entry = Entry::new(&self.holders, self.client, guard.clone());
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
        if self.is_gone(&guard) {
            guard.lost().await;
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

    /// Whether the node of a lock is gone, so that its holder must be told. Where there is no room
    /// it may not be.
    fn is_gone(&self, guard: &Held<K>) -> bool {
        let node = self.full(guard.path().as_str());
        let gone = self.world.ensemble.borrow().node(&node).is_none();
        gone && self.world.plan.has_room() && K::TASKS == usize::MAX
    }

    /// A lock was granted: nobody else holds it, and it is this one's turn.
    fn granted(&self, guard: &Held<K>) {
        let (world, client) = (&self.world, self.client);
        let token = guard.fencing_token();
        world.note(&[0x64a, client as u64, token.cast_unsigned()], || {
            format!("client {client}: holds {}, token {token:#x}", guard.path())
        });
        let others = self.holders.borrow();
        let mut journal = world.journal.borrow_mut();
        journal.held.sections += 1;
        journal.held.overlaps += u64::from(!others.is_empty());
        drop(journal);
        if !guard.is_held() || !self.excludes() {
            return;
        }
        let first = first(&world.ensemble.borrow());
        let own = self.full(guard.path().as_str());
        if first.as_ref().is_none_or(|(path, ..)| *path != own) {
            self.fail(format!("holds {own}, but the first is {first:x?}"));
        }
        for (other, _) in others.iter().filter(|(_, held)| held.holds()) {
            self.fail(format!("client {other} holds the lock, too"));
        }
    }

    /// Whether nobody holds a lock whose node is gone.
    fn excludes(&self) -> bool {
        let plan = &self.world.plan;
        plan.leases_hold() && !plan.work.has(Job::Operate)
    }

    /// Writes to a register in memory, which refuses stale tokens.
    fn write_in_memory(&self, guard: &Held<K>) {
        let (held, token) = (guard.is_held(), guard.fencing_token());
        let stale = self.world.journal.borrow_mut().held.is_stale(token);
        if stale && held && self.excludes() {
            self.fail("the holder is stale");
        }
    }

    /// Writes to a register of the ensemble, as long as the lock's node is there.
    async fn write_fenced(&mut self, guard: &Held<K>) {
        let (at, mark) = (self.at(REGISTER), self.mark());
        let set = SetData {
            path: path(&at),
            data: mark.as_bytes(),
            version: None,
        };
        let ops = [guard.check(), Op::SetData(set)];
        let failure = self.transact(&ops, &mark).await;
        if let Some(Err(Some(failure))) = failure
            && failure.index == 1
            && failure.code == Code::NoNode
        {
            self.create(&at).await;
        }
    }

    /// Waits until the lock is lost, for a while.
    async fn wait_for_loss(&mut self, guard: &Held<K>) {
        let patience = self.rng.below(20_000_000);
        self.within(patience, guard.lost()).await;
    }
}

/// Who holds the lock, until it is dropped.
struct Entry {
    holders: Holders,
    guard: Rc<dyn Hand>,
}

impl Entry {
    fn new(holders: &Holders, client: usize, guard: Rc<dyn Hand>) -> Self {
        holders.borrow_mut().push((client, Rc::clone(&guard)));
        Self {
            holders: Rc::clone(holders),
            guard,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut holders = self.holders.borrow_mut();
        holders.retain(|(_, guard)| !Rc::ptr_eq(guard, &self.guard));
    }
}
