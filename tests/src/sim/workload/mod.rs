//! What the applications do: each client runs some tasks, which note what they do and see.

mod ask;
mod caches;
mod counters;
mod elections;
mod holders;
mod jobs;
mod locks;
mod observers;
mod operator;
mod perhaps;
mod presence;
mod quit;
mod reads;
mod rw_locks;
mod secrets;
mod semaphores;
mod subscriptions;
mod watches;
mod writes;

use std::rc::Rc;

use docent_core::client::Client as _;
use docent_core::error::Error;
use docent_core::handle::Handle;
use docent_core::path::Path;
use docent_core::session::Epoch;

pub(in crate::sim) use self::holders::Holders;
pub(in crate::sim) use self::jobs::{Job, Work};

use super::check::Effect;
use super::client::{Hold, Kind};
use super::executor::Role;
use super::faults::Fault;
use super::rng::Rng;
use super::world::{Sleep, World};

const REGISTERS: [&str; 3] = ["/r0", "/r1", "/r2"];

/// What a task knows.
pub(in crate::sim) struct Task<K: Kind> {
    pub(super) world: Rc<World>,
    pub(super) client: usize,
    pub(super) handle: Handle<Hold<K>>,
    pub(super) holders: Holders,
    pub(super) rng: Rng,
}

fn path(text: &str) -> Path<'_> {
    Path::new(text).expect("a valid path")
}

impl<K: Kind> Task<K> {
    /// Starts the task.
    pub(super) fn start(self, job: Job) {
        let world = Rc::clone(&self.world);
        let (client, name) = (self.client, job.name());
        let role = Role::Task {
            finite: job.is_finite(),
        };
        match job {
            Job::Lock => world.executor.spawn(client, name, role, self.lock()),
            Job::LockOtherwise => world
                .executor
                .spawn(client, name, role, self.lock_otherwise()),
            Job::Share => world.executor.spawn(client, name, role, self.share()),
            Job::Lease => world.executor.spawn(client, name, role, self.lease()),
            Job::Stand => world.executor.spawn(client, name, role, self.stand()),
            Job::Observe => world.executor.spawn(client, name, role, self.observe()),
            Job::Write => world.executor.spawn(client, name, role, self.write()),
            Job::Count => world.executor.spawn(client, name, role, self.count()),
            Job::Appear => world.executor.spawn(client, name, role, self.appear()),
            Job::Secret => world.executor.spawn(client, name, role, self.keep_secret()),
            Job::Operate => world.executor.spawn(client, name, role, self.operate()),
            Job::Quit => world.executor.spawn(client, name, role, self.quit()),
            Job::Ask => world.executor.spawn(client, name, role, self.ask()),
            Job::Subscribe => world.executor.spawn(client, name, role, self.subscribe()),
            Job::Cache => world.executor.spawn(client, name, role, self.cache()),
            Job::Watch => world.executor.spawn(client, name, role, self.watch()),
        }
    }

    /// One more of the same client.
    fn fork(&mut self) -> Self {
        Self {
            world: Rc::clone(&self.world),
            client: self.client,
            handle: self.handle.clone(),
            holders: Rc::clone(&self.holders),
            rng: self.rng.fork(),
        }
    }

    fn is_active(&self) -> bool {
        !self.world.healed.get() && !self.is_over()
    }

    /// Whether the client is closed.
    fn is_over(&self) -> bool {
        self.handle.status().state.end().is_some()
    }

    /// Whether the session of `epoch` is the one there is now.
    fn is_in(&self, epoch: Epoch) -> bool {
        let status = self.handle.status();
        status.epoch == epoch && status.state.end().is_none()
    }

    fn pause(&mut self, micros: u64) -> Sleep {
        self.world.sleep(self.rng.below(micros + 1))
    }

    /// The path by which this client knows a node of the application.
    fn at(&self, node: &str) -> String {
        let work = &self.world.plan.work;
        format!("{}{node}", work.prefix(self.client))
    }

    /// The path by which the servers know what this client calls `path`.
    fn full(&self, path: &str) -> String {
        let chroot = self.world.plan.work.chroot(self.client);
        match path {
            "/" if !chroot.is_empty() => chroot.to_owned(),
            path => format!("{chroot}{path}"),
        }
    }

    fn register(&mut self) -> String {
        let register = REGISTERS[self.rng.index(REGISTERS.len())];
        self.at(register)
    }

    fn mark(&self) -> String {
        format!("c{}-{}", self.client, self.world.serial())
    }

    fn begin(&self, mark: &str, batch: u64) -> usize {
        let since = self.world.zxid();
        let mut journal = self.world.journal.borrow_mut();
        journal.ops += 1;
        journal.writes.begin(self.client, mark, batch, since)
    }

    fn end(&self, write: usize, result: Result<Effect, Error>) {
        let (client, marks) = (self.client, [0xe4d, write as u64]);
        if result == Err(Error::Full) {
            self.world.count(Fault::Full);
        }
        self.world.note(&marks, || {
            format!("client {client}: write {write}: {result:x?}")
        });
        let mut journal = self.world.journal.borrow_mut();
        journal.writes.end(write, result, self.world.zxid());
    }

    fn fail(&self, what: impl std::fmt::Display) {
        self.world.fail(format!("client {}: {what}", self.client));
    }
}
