//! Holders of locks, leases and leadership, and what they write.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use docent_core::error::{Code, Error};
use docent_core::handle::Handle;
use docent_core::path::{HeapPath, PathBuf as _};
use docent_core::recipes::{Guard, Held};
use docent_core::session::{End, Status};
use docent_core::wire::{Op, SetData};

use super::{Job, Task, path};
use crate::sim::check::{REGISTER, contenders};
use crate::sim::client::{Hold, Kind};
use crate::sim::faults::Fault;
use crate::sim::roles::Role;

/// What a client of this kind holds.
pub(super) type Grip<K> = Guard<Handle<Hold<K>>>;
/// What is held, and by which clients.
pub(in crate::sim) type Holders = Rc<RefCell<Vec<Rc<Holder>>>>;

/// Who holds what.
pub(in crate::sim) struct Holder {
    client: usize,
    role: Role,
    /// The parent of its node, as the servers know it.
    place: String,
    witness: Box<dyn Witness>,
}

/// What knows whether a client of any size holds something.
trait Witness {
    fn holds(&self) -> bool;
}

struct Grant<K: Kind> {
    handle: Handle<Hold<K>>,
    path: HeapPath,
    token: i64,
    granted: Status,
}

impl<K: Kind> Witness for Grant<K> {
    fn holds(&self) -> bool {
        Held::new(&self.handle, self.path.as_path(), self.token, self.granted).is_held()
    }
}

/// Somebody holds something, until this is dropped.
pub(super) struct Entry {
    holders: Holders,
    holder: Rc<Holder>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut holders = self.holders.borrow_mut();
        holders.retain(|holder| !Rc::ptr_eq(holder, &self.holder));
    }
}

impl<K: Kind> Task<K> {
    /// What was acquired, unless the future was dropped or has failed.
    pub(super) fn acquired<T>(&self, role: Role, outcome: Option<Result<T, Error>>) -> Option<T> {
        match outcome? {
            Ok(acquired) => Some(acquired),
            Err(error) => {
                self.refused(role, error);
                None
            }
        }
    }

    pub(super) fn refused(&self, role: Role, error: Error) {
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
            Error::TooLarge { .. } | Error::ReplyTooLarge { .. } => !size.has_room_for(role),
            Error::Server(Code::NotReadOnly) => self.world.plan.read_only,
            Error::NotSent(End::Closed) => self.world.plan.work.has(Job::Quit),
            _ => self.is_over(),
        };
        if !expected {
            self.fail(format!("no lock: {error:?}"));
        }
    }

    /// Holds something for a while, and gives it back.
    pub(super) async fn hold(&mut self, role: Role, guard: Grip<K>) {
        self.hold_all(role, vec![guard]).await;
    }

    /// The same with several at a time.
    pub(super) async fn hold_all(&mut self, role: Role, guards: Vec<Grip<K>>) {
        let grant = |guard| self.granted(role, guard);
        let entries: Vec<_> = guards.iter().map(grant).collect();
        for guard in &guards {
            self.occupy(role, guard).await;
        }
        drop(entries);
        for guard in guards {
            self.give_back(guard.release()).await;
        }
    }

    /// Waits for a release, or leaves it to the background.
    pub(super) async fn give_back(&mut self, release: impl Future<Output = Result<(), Error>>) {
        let client = self.client;
        self.world.note(&[0x4e1, client as u64], || {
            format!("client {client}: releases what it holds")
        });
        if self.rng.once_in(2) {
            return;
        }
        let _: Option<Result<(), Error>> = self.perhaps(release).await;
    }

    /// Begins to hold, and does what holders do.
    pub(super) async fn keep(&mut self, role: Role, guard: &Grip<K>) -> Entry {
        let entry = self.granted(role, guard);
        self.occupy(role, guard).await;
        entry
    }

    async fn occupy(&mut self, role: Role, guard: &Grip<K>) {
        for _ in 0..self.rng.below(3) {
            self.write_in_memory(role, guard);
            self.write_fenced(guard).await;
            let long = if self.rng.once_in(10) {
                20_000_000
            } else {
                300_000
            };
            self.pause(long).await;
        }
        if self.rng.once_in(8) && self.is_active() {
            self.wait_for_loss(guard).await;
        }
        if self.is_gone(guard) {
            guard.lost().await;
        }
    }

    /// Whether the node of a holder is gone, so that it must be told. Where there is no room it may
    /// not be.
    fn is_gone(&self, guard: &Grip<K>) -> bool {
        let node = self.full(guard.path().as_str());
        let gone = self.world.ensemble.borrow().node(&node).is_none();
        gone && self.world.plan.has_room() && K::TASKS == usize::MAX
    }

    /// Something was granted: it is this one's turn, and nobody holds what excludes it.
    pub(super) fn granted(&self, role: Role, guard: &Grip<K>) -> Entry {
        let (world, client) = (&self.world, self.client);
        let token = guard.fencing_token();
        world.note(&[0x64a, client as u64, token.cast_unsigned()], || {
            format!(
                "client {client}: {role:?} {}, token {token:#x}",
                guard.path()
            )
        });
        let entry = self.entry(role, guard);
        let mut journal = world.journal.borrow_mut();
        *journal.held.sections.entry(role).or_default() += 1;
        journal.held.overlaps += u64::from(self.excess(&entry.holder, |_| true).is_some());
        drop(journal);
        if guard.is_held() && self.excludes() {
            self.check_turn(guard);
            if let Some(excess) = self.excess(&entry.holder, |one| one.witness.holds()) {
                self.fail(excess);
            }
        }
        entry
    }

    /// Says who holds what, without a look at others.
    pub(super) fn entry(&self, role: Role, guard: &Grip<K>) -> Entry {
        let held = guard.held();
        let grant = Grant::<K> {
            handle: self.handle.clone(),
            path: HeapPath::try_from_parts(&[held.path().as_str()]).expect("room for a path"),
            token: held.fencing_token(),
            granted: held.granted(),
        };
        let holder = Rc::new(Holder {
            client: self.client,
            role,
            place: self.place(guard),
            witness: Box::new(grant),
        });
        self.holders.borrow_mut().push(Rc::clone(&holder));
        Entry {
            holders: Rc::clone(&self.holders),
            holder,
        }
    }

    /// Where a holder's node is, as the servers know it.
    fn place(&self, guard: &Grip<K>) -> String {
        let parent = guard.path().parent();
        parent.map_or_else(String::new, |parent| self.full(parent.as_str()))
    }

    /// What more hold than may, of those who count.
    fn excess(&self, own: &Rc<Holder>, counts: impl Fn(&Holder) -> bool) -> Option<String> {
        let holders = self.holders.borrow();
        let others = holders.iter().filter(|other| {
            let excluded = own.role.excludes(other.role) && other.place == own.place;
            excluded && !Rc::ptr_eq(other, own) && counts(other)
        });
        let others: Vec<_> = others.map(|other| (other.client, other.role)).collect();
        let most = match own.role {
            Role::Lease => self.world.plan.work.permits as usize - 1,
            _ => 0,
        };
        let excess = others.len() > most;
        excess.then(|| format!("holds {:?} beside {others:?}", own.role))
    }

    /// Nobody is in the way of a holder, as the servers know it.
    fn check_turn(&self, guard: &Grip<K>) {
        let own = self.full(guard.path().as_str());
        let all = contenders(&self.world.ensemble.borrow());
        let Some(own) = all.iter().find(|one| one.path == own) else {
            return self.fail(format!("holds {own}, which is gone"));
        };
        let journal = self.world.journal.borrow();
        let ahead = journal.held.in_the_way(all.iter(), own).cloned();
        drop(journal);
        if let Some(ahead) = ahead {
            self.fail(format!("holds {own:x?}, but ahead is {ahead:x?}"));
        }
    }

    /// Whether nobody holds anything whose node is gone.
    fn excludes(&self) -> bool {
        let plan = &self.world.plan;
        plan.leases_hold() && !plan.work.has(Job::Operate)
    }

    /// Writes to a register in memory, which refuses stale tokens.
    fn write_in_memory(&self, role: Role, guard: &Grip<K>) {
        if !role.is_alone() {
            return;
        }
        let (held, token, place) = (guard.is_held(), guard.fencing_token(), self.place(guard));
        let stale = self.world.journal.borrow_mut().held.is_stale(place, token);
        if stale && held && self.excludes() {
            self.fail("the holder is stale");
        }
    }

    /// Writes to a register of the ensemble, as long as the holder's node is there.
    async fn write_fenced(&mut self, guard: &Grip<K>) {
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

    /// Waits until what is held is lost, for a while.
    async fn wait_for_loss(&mut self, guard: &Grip<K>) {
        let patience = self.rng.below(20_000_000);
        self.within(patience, guard.lost()).await;
    }
}
