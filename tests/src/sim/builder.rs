//! How a simulation of one's own is set up and run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::executor::{NOBODY, Role};
use super::failure::Failure;
use super::faults::{Fault, Plan};
use super::rng::{Rng, mix};
use super::schedule::Only;
use super::shrink::fewest;
use super::simulation::Simulation;
use super::world::World;
use crate::server::Release;

/// A simulation of one's own: settings, and then [`run`](Self::run) or [`sweep`](Self::sweep).
///
/// Unless told otherwise there are three servers of release 3.8, sessions time out after 4 s, bytes
/// take from 0.1 to 5 ms, and nothing goes wrong.
#[derive(Clone, Debug)]
#[must_use = "a simulation does nothing unless it is run"]
pub struct Sim {
    seed: u64,
    members: usize,
    release: Release,
    timeout: Duration,
    latency: (Duration, Duration),
    faults: Vec<Fault>,
    every: Duration,
    heal_after: Duration,
    time_limit: Duration,
    read_only: bool,
    only: Option<BTreeSet<u32>>,
}

/// Those who wait are stuck if nobody has gone on for so many session timeouts.
const PATIENCE: u64 = 10;

impl Sim {
    /// A simulation in which `seed` decides about everything that is left to chance.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            members: 3,
            release: Release::default(),
            timeout: Duration::from_secs(4),
            latency: (Duration::from_micros(100), Duration::from_millis(5)),
            faults: Vec::new(),
            every: Duration::from_secs(1),
            heal_after: Duration::from_secs(30),
            time_limit: Duration::from_secs(3600),
            read_only: false,
            only: None,
        }
    }

    /// How many servers there are, at least one.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members.max(1);
        self
    }

    /// The release that the servers behave like.
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// The timeout of all sessions; servers end them up to a quarter later.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(20), Duration::from_secs(3600));
        self
    }

    /// How long bytes take from one end to the other, at least and at most.
    pub fn latency(mut self, least: Duration, most: Duration) -> Self {
        self.latency = (least.min(most), most);
        self
    }

    /// Which kinds of faults happen: each seed draws its own subset. [`Fault::USUAL`] has those that
    /// programs are expected to survive.
    pub fn faults(mut self, kinds: &[Fault]) -> Self {
        self.faults = kinds.to_vec();
        self
    }

    /// The mean time between two faults; one second unless told.
    pub fn every(mut self, pace: Duration) -> Self {
        self.every = pace.max(Duration::from_millis(1));
        self
    }

    /// When all faults end, unless the simulation [ends them before](Simulation::heal); after thirty
    /// seconds unless told.
    pub fn heal_after(mut self, time: Duration) -> Self {
        self.heal_after = time;
        self
    }

    /// How much simulated time the simulation may take before it fails; one hour unless told.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Whether clients can do with servers that have lost their quorum; they cannot unless told.
    pub fn read_only(mut self, allowed: bool) -> Self {
        self.read_only = allowed;
        self
    }

    /// Leaves out all faults but those of these numbers, as a [failure](Failure) names them.
    pub fn only(mut self, faults: impl IntoIterator<Item = u32>) -> Self {
        self.only = Some(faults.into_iter().collect());
        self
    }

    /// Runs a scenario, and returns its value.
    ///
    /// # Panics
    /// If any task of the simulation panics, if nobody can go on though all faults have ended, or at
    /// the end of the [time limit](Self::time_limit). The message has the seed, the faults and the
    /// timeline.
    #[track_caller]
    pub fn run<T: 'static, F>(self, scenario: impl FnOnce(Simulation) -> F + 'static) -> T
    where
        F: Future<Output = T>,
    {
        match self.try_run(scenario) {
            Ok(value) => value,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// As [`run`](Self::run), without the panic.
    ///
    /// # Errors
    /// [`Failure`] where `run` panics.
    pub fn try_run<T: 'static, F>(
        self,
        scenario: impl FnOnce(Simulation) -> F + 'static,
    ) -> Result<T, Box<Failure>>
    where
        F: Future<Output = T>,
    {
        let only = self.only.clone();
        let (result, _) = self.attempt(only.as_ref(), true, scenario);
        result
    }

    /// Runs a scenario with every one of these seeds.
    ///
    /// # Panics
    /// At the first seed that [fails](Self::run), with the fewest faults with which it does.
    #[track_caller]
    pub fn sweep<T: 'static, F>(
        self,
        seeds: impl IntoIterator<Item = u64>,
        scenario: impl Fn(Simulation) -> F + Clone + 'static,
    ) where
        F: Future<Output = T>,
    {
        if let Some(failure) = self.find(seeds, scenario) {
            panic!("{failure}");
        }
    }

    /// The first of these seeds with which a scenario [fails](Self::run), with the fewest faults with
    /// which it does.
    pub fn find<T: 'static, F>(
        mut self,
        seeds: impl IntoIterator<Item = u64>,
        scenario: impl Fn(Simulation) -> F + Clone + 'static,
    ) -> Option<Box<Failure>>
    where
        F: Future<Output = T>,
    {
        let only = self.only.clone();
        seeds.into_iter().find_map(|seed| {
            self.seed = seed;
            let (result, hash) = self.attempt(only.as_ref(), false, scenario.clone());
            let failure = result.err()?;
            let (again, same) = self.attempt(only.as_ref(), true, scenario.clone());
            match again.err().filter(|_| same == hash) {
                Some(failure) => Some(self.shrink(failure, scenario.clone())),
                None => Some(fickle(failure)),
            }
        })
    }

    /// The same failure with fewer faults.
    fn shrink<T: 'static, F>(
        &self,
        failure: Box<Failure>,
        scenario: impl Fn(Simulation) -> F + Clone + 'static,
    ) -> Box<Failure>
    where
        F: Future<Output = T>,
    {
        let all = failure.faults.iter().map(|(number, _)| *number).collect();
        let only = fewest(all, |only| {
            let (result, _) = self.attempt(Some(only), false, scenario.clone());
            result.is_err()
        });
        let (last, _) = self.attempt(Some(&only), true, scenario);
        last.err().unwrap_or(failure)
    }

    /// Runs a scenario; the number is the same for the same run.
    fn attempt<T: 'static, F>(
        &self,
        only: Only<'_>,
        verbose: bool,
        scenario: impl FnOnce(Simulation) -> F + 'static,
    ) -> (Result<T, Box<Failure>>, u64)
    where
        F: Future<Output = T>,
    {
        let world = World::new(self.seed, self.plan(), only, verbose);
        let value = Rc::new(RefCell::new(None));
        let (result, simulation) = (Rc::clone(&value), Simulation(Rc::clone(&world)));
        let root = async move {
            let value = scenario(simulation).await;
            *result.borrow_mut() = Some(value);
        };
        let role = Role::Task { finite: true };
        world.executor.spawn(NOBODY, "the scenario", role, root);
        let limit = micros(self.time_limit);
        let patience = PATIENCE * micros(self.timeout);
        world.run(limit, || {
            value.borrow().is_some() || world.is_stuck(patience)
        });
        let value = value.borrow_mut().take();
        if value.is_none() && !world.has_failed() {
            world.fail(world.complaint(limit));
        }
        world.clear();
        let result = match value.filter(|_| !world.has_failed()) {
            Some(value) => Ok(value),
            None => Err(Box::new(self.failure(&world))),
        };
        (result, world.hash())
    }

    fn failure(&self, world: &World) -> Failure {
        let injected = world.injected.borrow();
        let faults = injected.iter().map(|one| (one.number, one.told.clone()));
        Failure {
            seed: self.seed,
            what: world.failures().join("; "),
            faults: faults.collect(),
            timeline: world.timeline(),
        }
    }

    /// The world of a seed.
    fn plan(&self) -> Plan {
        let mut rng = Rng::new(mix(self.seed.wrapping_add(1)));
        let mut plan = Plan::of_a_user(&subset(&self.faults, &mut rng), &mut rng);
        plan.members = self.members;
        plan.release = self.release;
        plan.timeout_ms = self.timeout.as_millis() as u64;
        plan.tick_ms = plan.timeout_ms / 4;
        plan.weather.delay = (micros(self.latency.0), micros(self.latency.1));
        plan.pace = micros(self.every);
        plan.heal_at = match plan.faults[..] {
            [] => 0,
            _ => micros(self.heal_after),
        };
        plan.read_only = self.read_only;
        plan
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// About half of the kinds, and at least one if there are any.
fn subset(kinds: &[Fault], rng: &mut Rng) -> Vec<Fault> {
    let mut some: Vec<_> = kinds.to_vec();
    some.retain(|_| rng.once_in(2));
    if some.is_empty() && !kinds.is_empty() {
        some.push(kinds[rng.index(kinds.len())]);
    }
    some
}

/// A failure that does not come again.
fn fickle(mut failure: Box<Failure>) -> Box<Failure> {
    failure.what += "; a second run of the same seed went differently, so that something in it does \
                     not depend on the seed: real time, a thread, the order of a HashMap";
    failure
}
