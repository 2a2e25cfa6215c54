//! What was done and seen, and whether it agrees with what the ensemble has agreed on.

mod caches;
mod counters;
mod history;
mod observers;
mod presence;
mod queues;
mod reads;
mod sections;
mod subscriptions;
mod watches;
mod writes;

pub(super) use self::caches::{Followed, Look, Seen};
pub(super) use self::counters::{COUNTER, Count, Numbered, number};
pub(super) use self::observers::Observed;
pub(super) use self::presence::ephemerals;
pub(super) use self::queues::{
    Contender, ELECTION, LOCK, OTHER, QUEUES, RW, SEMAPHORE, contenders, empty_queues, fronts,
    has_joined,
};
pub(super) use self::reads::Read;
pub(super) use self::sections::Held;
pub(super) use self::subscriptions::{End, Leg, Subscription, Told};
pub(super) use self::watches::{Aim, Tale, Watch};
pub(super) use self::writes::{Effect, Writes};

use std::collections::BTreeMap;

use self::history::History;
use super::sizes::Size;
use super::world::World;

/// What holders write.
pub(super) const REGISTER: &str = "/register";

/// Whether a path is directly below another.
fn child_of(parent: &str, path: &str) -> bool {
    let below = path.strip_prefix(parent.trim_end_matches('/'));
    let name = below.and_then(|below| below.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// What tasks have done and seen.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) writes: Writes,
    pub(super) reads: Vec<Read>,
    pub(super) watches: Vec<Watch>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) caches: Vec<Followed>,
    pub(super) held: Held,
    pub(super) observers: Vec<Observed>,
    pub(super) count: Count,
    pub(super) numbered: Vec<Numbered>,
    /// How many tasks of each client wait for it.
    pub(super) waiting: BTreeMap<usize, usize>,
    /// How many clients there were of each size, and how many of their tasks of each kind.
    pub(super) clients: BTreeMap<Size, u64>,
    pub(super) tasks: BTreeMap<(Size, &'static str), u64>,
    pub(super) ops: u64,
}

impl Journal {
    /// A client's tasks are gone, and nobody looks at what they have waited for.
    pub(super) fn leave(&mut self, client: usize) {
        let its = self.watches.iter_mut();
        for watch in its.filter(|watch| watch.client == client && watch.tale == Tale::Waiting) {
            watch.tale = Tale::Dropped;
        }
        let its = self.subscriptions.iter_mut();
        for watch in its.filter(|watch| watch.client == client && watch.end == End::Open) {
            watch.end = End::Dropped;
        }
        let its = self.caches.iter_mut();
        for cache in its.filter(|cache| cache.client == client) {
            cache.dropped = true;
        }
        let its = self.observers.iter_mut();
        for observer in its.filter(|observer| observer.client == client) {
            observer.dropped = true;
        }
    }

    /// How many events lasting watches have told of.
    pub(super) fn events(&self) -> u64 {
        self.subscriptions.iter().map(Subscription::count).sum()
    }
}

/// Checks all that was done and seen, at the end.
pub(super) fn check(world: &World, connections: &[u32]) {
    // What the ensemble has forgotten cannot be asked of it.
    if !world.plan.history_holds() {
        return;
    }
    let ensemble = world.ensemble.borrow();
    let journal = world.journal.borrow();
    let history = History::new(&ensemble);
    // What has happened just now need not have been told.
    let settled = world.now() - 1_000_000 - 20 * world.plan.weather.delay.1;
    let is_excused = |watch: &Watch| {
        let moved = watch
            .absent
            .is_some_and(|at| at != connections[watch.client]);
        moved && ensemble.node(&watch.path).is_none()
    };
    let wrong = writes::check(&journal, &history)
        .into_iter()
        .chain(reads::check(&journal, &history))
        .chain(watches::check(&journal, &history, settled, &is_excused))
        .chain(subscriptions::check(&journal, &history, settled))
        .chain(caches::check(&journal, &history, &ensemble, settled))
        .chain(counters::check(&journal, &ensemble, world.plan.work.base))
        .chain(counters::check_numbers(&journal, &history))
        .chain(presence::check(&ensemble))
        .chain(observers::check(&journal, &ensemble, settled))
        .chain(sections::check(&journal, &ensemble, &world.plan.work));
    wrong.for_each(|wrong| world.fail(wrong));
}
