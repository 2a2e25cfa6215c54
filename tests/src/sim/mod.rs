//! A simulation of clients and their ensemble under faults: one thread, one seed, no real time.
//!
//! The clients are the real ones: the hub in either [storage](docent_core::hub::Storage), the
//! handles, the recipes and the reaper. The servers are those of the [model](crate::server). A seed
//! decides about everything else: how many there are of each, what the applications do and what
//! goes wrong when. The same seed always gives the same run.
//!
//! At some time all faults end. Within three session timeouts everything must then be well again.
//! What was done and seen is compared with what the ensemble has agreed on.

mod check;
mod client;
mod executor;
mod faults;
mod link;
mod rng;
mod trouble;
mod workload;
mod world;

use std::rc::Rc;

use docent_core::recipes::reap;

pub use self::faults::{Counts, Fault};

use self::client::{Client, Kind, OnBoard, OnHeap};
use self::executor::Turn;
use self::link::{Piece, To};
use self::workload::{Holders, Task};
use self::world::{Event, World};

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
    /// How many watches were checked.
    pub watches: u64,
    /// How many times the lock was held.
    pub sections: u64,
    /// What went wrong by design.
    pub faults: Counts,
    /// What happened, in words; nothing unless it was asked for.
    pub timeline: Vec<String>,
}

/// Plays a seed. Every fourth one is played on boards.
pub fn play(seed: u64, verbose: bool) -> Report {
    if seed % 4 == 3 {
        Sim::<OnBoard>::new(seed, verbose).play(seed)
    } else {
        Sim::<OnHeap>::new(seed, verbose).play(seed)
    }
}

/// Nothing goes on for so many turns without time passing, unless something spins.
const MOST_TURNS: u64 = 200_000;

/// For how many microseconds those who are ready may have to wait at a time.
const SOON: u64 = 5_000;

struct Sim<K: Kind> {
    world: Rc<World>,
    clients: Vec<Client<K>>,
    holders: Holders<K>,
}

impl<K: Kind> Sim<K> {
    fn new(seed: u64, verbose: bool) -> Self {
        let world = World::new(seed, verbose);
        let clients = (0..world.plan.clients)
            .map(|id| Client::new(&world, id))
            .collect();
        let sim = Self {
            world,
            clients,
            holders: Holders::default(),
        };
        (0..sim.clients.len()).for_each(|client| sim.employ(client));
        sim
    }

    /// Starts the tasks of a client.
    fn employ(&self, client: usize) {
        let executor = &self.world.executor;
        executor.spawn(client, "reaper", false, reap(self.clients[client].handle()));
        let plan = &self.world.plan;
        for _ in 0..plan.lockers.min(K::TASKS) {
            executor.spawn(client, "lock", true, self.task(client).lock());
        }
        for _ in 0..plan.writers.min(K::TASKS) {
            executor.spawn(client, "write", true, self.task(client).write());
        }
        for _ in 0..plan.watchers.min(K::TASKS) {
            executor.spawn(client, "watch", false, self.task(client).watch());
        }
    }

    fn task(&self, client: usize) -> Task<K> {
        Task {
            world: Rc::clone(&self.world),
            client,
            handle: self.clients[client].handle(),
            holders: Rc::clone(&self.holders),
            rng: self.world.draw(rng::Rng::fork),
        }
    }

    fn play(mut self, seed: u64) -> Report {
        let world = Rc::clone(&self.world);
        world.note(&[seed], || format!("{:?}", world.plan));
        world.schedule(world.plan.pace, Event::Fault);
        self.run(world.plan.heal_at);
        world.heal();
        self.run(world.plan.heal_at + world.plan.recovery());
        if !world.has_failed() {
            self.is_well();
            let connections =
                |client: &Client<K>| client.with(|hub| hub.session().status().connections);
            let connections: Vec<_> = self.clients.iter().map(connections).collect();
            check::check(&world, &connections);
        }
        self.report(seed)
    }

    fn report(self, seed: u64) -> Report {
        let world = self.world;
        world.executor.clear();
        let journal = world.journal.borrow();
        Report {
            seed,
            failures: world.failures(),
            hash: world.hash(),
            seconds: world.now() as f64 / 1e6,
            ops: journal.ops,
            watches: journal.watches.len() as u64,
            sections: journal.sections,
            faults: world.counts.borrow().clone(),
            timeline: world.timeline(),
        }
    }

    /// Lets everything happen until a time.
    fn run(&mut self, until: u64) {
        let (mut turns, mut at) = (0, self.world.now());
        while !self.world.has_failed() {
            let next = self.world.next_at().filter(|&next| next <= until);
            let Some(turn) = self.pick(next) else {
                let Some(next) = next else {
                    return self.world.advance(until);
                };
                self.world.advance(next);
                self.happen();
                (turns, at) = if self.world.now() > at {
                    (0, self.world.now())
                } else {
                    (turns + 1, at)
                };
                continue;
            };
            turns += 1;
            if turns + 12 > MOST_TURNS {
                self.world.note(&[], || {
                    format!("{turn:?} of {}", self.world.executor.name(turn))
                });
            }
            match turn {
                Turn::Driver(client) => self.clients[client].drive(),
                Turn::Task(place) => self.world.executor.poll(place),
            }
            if turns > MOST_TURNS {
                self.world.fail(format!("{turn:?} spins"));
            }
        }
    }

    /// Who runs next; nobody if something is to happen first.
    fn pick(&self, next: Option<u64>) -> Option<Turn> {
        let world = &self.world;
        let soon = next.is_some_and(|next| next <= world.now() + SOON);
        let idle = soon && world.draw(|rng| rng.once_in(world.plan.sloth));
        let awake = |client| world.is_asleep(client);
        let mut rng = world.rng.borrow_mut();
        (!idle).then(|| world.executor.pick(&mut rng, awake))?
    }

    /// What is due happens.
    fn happen(&mut self) {
        let world = Rc::clone(&self.world);
        if let Some(event) = world.next_event() {
            self.handle(event);
        }
        world.run_ensemble();
    }

    fn handle(&mut self, event: Event) {
        let world = Rc::clone(&self.world);
        match event {
            Event::Arrive(link, To::Server, piece) => world.at_server(link, piece),
            Event::Arrive(link, To::Client, piece) => {
                let Some((client, piece)) = world.at_client(link, piece) else {
                    return;
                };
                let bytes = match &piece {
                    Piece::Bytes(bytes) => Some(&bytes[..]),
                    Piece::End => None,
                };
                self.clients[client].arrive(link, bytes);
            }
            Event::Dialed {
                client,
                attempt,
                member,
            } => {
                // An answer that does not get through is none.
                if !world.is_blocked(client, member) {
                    let link = world.open(client, member);
                    self.clients[client].dialed(attempt, link);
                }
            }
            Event::Timer(client) => self.clients[client].awaken(),
            Event::Wake(waker) => waker.wake(),
            Event::Fault => world.trouble(),
            Event::Relief(relief) => world.relieve(relief),
        }
    }

    /// Whether everything is as if nothing had ever gone wrong.
    fn is_well(&self) {
        let world = &self.world;
        for (client, name) in world.executor.unfinished() {
            world.fail(format!("client {client}: {name} has not ended"));
        }
        for (id, client) in self.clients.iter().enumerate() {
            let (state, counts) = client.with(|hub| {
                let counts = (hub.requests(), hub.claims(), hub.orphans());
                (hub.session().status().state, counts)
            });
            if !state.is_connected() {
                world.fail(format!(
                    "client {id}: {state:?} after all faults have ended"
                ));
            }
            if counts != (0, 0, 0) {
                world.fail(format!(
                    "client {id}: requests, claims, orphans: {counts:?}"
                ));
            }
        }
        let left = check::first(&world.ensemble.borrow());
        if let Some(left) = left {
            world.fail(format!("a node of the lock is left: {left:x?}"));
        }
    }
}
