//! Docent's own simulation: clients that do everything at once, and whether all of it was right.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::check;
use super::client::{Drive, Kind, OnBoard, OnHeap};
use super::faults::{Counts, Plan};
use super::process::Main;
use super::rng::Rng;
use super::roles::Role;
use super::shrink::fewest;
use super::sizes::Size;
use super::workload::{Holders, Task};
use super::world::World;

/// What came of a seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub failures: Vec<String>,
    /// A number that two runs only share if the same happened.
    pub hash: u64,
    /// How long it took in the simulation, in seconds.
    pub seconds: f64,
    /// How many operations were checked.
    pub ops: u64,
    /// Of how many writes nobody knows whether they ran.
    pub unknown: u64,
    /// How many watches were checked.
    pub watches: u64,
    /// How many events lasting watches told of.
    pub events: u64,
    /// How many times each thing was held that can be.
    pub sections: BTreeMap<Role, u64>,
    /// How many times more held something at a time than may, as can be without fencing.
    pub overlaps: u64,
    /// How many clients of each size were played.
    pub clients: BTreeMap<Size, u64>,
    /// How many tasks of each kind clients of each size have had.
    pub tasks: BTreeMap<(Size, &'static str), u64>,
    /// What went wrong by design.
    pub faults: Counts,
    /// The same one by one, each with its number and time.
    pub injected: Vec<(u32, String)>,
    /// What happened, in words; nothing unless it was asked for.
    pub timeline: Vec<String>,
}

/// Plays a seed, and tells the timeline if that is wanted. In half of them there are boards,
/// and in one of eight servers lie.
pub fn play(seed: u64, verbose: bool) -> Report {
    play_only(seed, None, verbose)
}

/// Plays a seed that has failed again and again, with ever fewer faults. The last run that fails is
/// told; it is that with all faults if no other does.
pub fn shrink(failed: &Report) -> Report {
    let all: BTreeSet<_> = failed.injected.iter().map(|(number, _)| *number).collect();
    let fails = |only: &BTreeSet<u32>| !play_only(failed.seed, Some(only), false).is_good();
    let only = if fails(&all) {
        Some(fewest(all, fails))
    } else {
        None
    };
    play_only(failed.seed, only.as_ref(), true)
}

/// As [`play`], with those of the faults only that have these numbers.
pub fn play_only(seed: u64, only: Option<&BTreeSet<u32>>, verbose: bool) -> Report {
    swarm(seed, &World::new(seed, Plan::of(seed), only, verbose))
}

impl Report {
    /// Whether nothing was wrong.
    pub const fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    fn new(seed: u64, world: &World) -> Self {
        let journal = world.journal.borrow();
        let injected = world.injected.borrow();
        let injected = injected.iter().map(|one| (one.number, one.told.clone()));
        Self {
            seed,
            failures: world.failures(),
            hash: world.hash(),
            seconds: world.now() as f64 / 1e6,
            ops: journal.ops,
            unknown: journal.writes.unknown(),
            overlaps: journal.held.overlaps,
            watches: journal.watches.len() as u64,
            events: journal.events(),
            sections: journal.held.sections.clone(),
            clients: journal.clients.clone(),
            tasks: journal.tasks.clone(),
            faults: world.counts.borrow().clone(),
            injected: injected.collect(),
            timeline: world.timeline(),
        }
    }
}

fn swarm(seed: u64, world: &Rc<World>) -> Report {
    world.note(&[seed], || format!("{:?}", world.plan));
    let holders = Holders::default();
    let main: Main = Rc::new(move |world, id| start(world, id, &holders));
    for id in 0..world.plan.clients {
        main(world, id);
        world.processes.borrow_mut()[id].main = Some(Rc::clone(&main));
    }
    drop(main);
    world.run(world.plan.heal_at + world.plan.recovery(), || false);
    if !world.has_failed() {
        is_well(world);
        let processes = world.processes.borrow();
        let connections = |driver: &dyn Drive| driver.status().connections;
        let connections: Vec<_> = processes
            .iter()
            .map(|process| connections(&*process.driver.borrow()))
            .collect();
        drop(processes);
        check::check(world, &connections);
        is_clean(world);
    }
    world.clear();
    Report::new(seed, world)
}

/// Starts the client of a process and its tasks.
fn start(world: &Rc<World>, id: usize, holders: &Holders) {
    match world.plan.sizes[id] {
        Size::Heap => start_as::<OnHeap>(world, id, holders),
        Size::Common => start_as::<OnBoard>(world, id, holders),
        Size::Small => start_as::<OnBoard<2, 256>>(world, id, holders),
        Size::Lock => start_as::<OnBoard<1, 192>>(world, id, holders),
        Size::Smallest => start_as::<OnBoard<1, 64>>(world, id, holders),
    }
}

fn start_as<K: Kind>(world: &Rc<World>, id: usize, holders: &Holders) {
    let size = world.plan.sizes[id];
    let handle = world.employ::<K>(id);
    *world.journal.borrow_mut().clients.entry(size).or_default() += 1;
    for job in world.plan.work.jobs.iter().take(K::TASKS) {
        let key = (size, job.name());
        *world.journal.borrow_mut().tasks.entry(key).or_default() += 1;
        let task = Task {
            world: Rc::clone(world),
            client: id,
            handle: handle.clone(),
            holders: Rc::clone(holders),
            rng: world.draw(Rng::fork),
        };
        task.start(*job);
    }
}

/// Whether nothing is left of tasks that have ended.
fn is_clean(world: &Rc<World>) {
    if world.has_failed() {
        return;
    }
    (0..world.plan.clients).for_each(|id| world.executor.dismiss(id, false));
    let soon = 1_000_000 + 20 * world.plan.weather.delay.1;
    world.run(world.now() + soon, || false);
    if world.has_failed() {
        return;
    }
    for (id, process) in world.processes.borrow().iter().enumerate() {
        let driver = process.driver.borrow();
        let (debts, watches) = (driver.debts(), driver.watches());
        let link = driver.link();
        let links = world.links.borrow();
        let conn = link.and_then(|link| links.get(&link)).map(|link| link.conn);
        let kept = conn.map(|conn| world.ensemble.borrow().watches(conn));
        if (debts, watches, kept.unwrap_or(0)) != ([0; 3], 0, 0) {
            world.fail(format!(
                "client {id}: after all tasks {debts:?}, {watches} watches, {kept:?} at the server"
            ));
        }
    }
}

/// Whether everything is as if nothing had ever gone wrong.
fn is_well(world: &World) {
    for task in world.executor.waiting() {
        world.fail(format!("{task} has not ended"));
    }
    for (id, process) in world.processes.borrow().iter().enumerate() {
        let driver = process.driver.borrow();
        let state = driver.status().state;
        if world.plan.sizes[id].has_room_for_events() {
            world.check_calm(id, driver.status());
        }
        if !state.is_connected() {
            world.fail(format!(
                "client {id}: {state:?} after all faults have ended"
            ));
        }
        if driver.debts() != [0; 3] {
            let debts = driver.debts();
            world.fail(format!("client {id}: requests, claims, orphans: {debts:?}"));
        }
    }
    let ensemble = world.ensemble.borrow();
    // A client that was told that its node is gone has no reason to delete it.
    let left = check::ephemerals(&ensemble).filter(|_| world.plan.is_honest());
    for (path, owner) in left {
        world.fail(format!("{path} of {owner:#x} is left"));
    }
}
