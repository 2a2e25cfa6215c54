//! What a scenario can do.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use docent_core::handle::{Handle, Share};
use docent_core::time::Instant;

use super::client::{Hold, Kind, OnBoard, OnHeap};
use super::executor::{NOBODY, Role};
use super::process::Exit;
use super::world::{Event, Relief, Sleep, World};
use crate::server::Ensemble;

/// A client of a simulated process; it is a [`docent_core::client::Client`].
pub type Client<K = OnHeap> = Handle<Hold<K>>;

/// The simulation, for the scenario that runs in it. Clones are cheap and mean the same one.
#[derive(Clone)]
pub struct Simulation(pub(super) Rc<World>);

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulation({:?})", self.now())
    }
}

impl Simulation {
    /// A new process with a client, which connects by itself.
    pub fn process(&self) -> Process {
        self.employ(self.places())
    }

    /// A new process with a client that has as little memory as [on a board](OnBoard). Some kilobytes
    /// of it are never given back.
    pub fn process_on_board(&self) -> Process<OnBoard> {
        self.employ(self.places())
    }

    /// A new process that runs `main` as its first task, and once more, with a new client, whenever
    /// it was ended by a [fault](super::Fault::Crash) or by the scenario.
    pub fn start<F>(&self, main: impl Fn(Process) -> F + 'static) -> Process
    where
        F: Future<Output = ()> + 'static,
    {
        let id = self.places();
        let start = move |world: &Rc<World>, id| {
            let process: Process = Self(Rc::clone(world)).employ(id);
            drop(process.spawn(main(process.clone())));
            process
        };
        let process = start(&self.0, id);
        let main = Rc::new(move |world: &Rc<World>, id| drop(start(world, id)));
        self.0.processes.borrow_mut()[id].main = Some(main);
        process
    }

    /// The client of a new [process](Self::process).
    pub fn client(&self) -> Client {
        self.process().client()
    }

    /// The client of a new [process on a board](Self::process_on_board).
    pub fn client_on_board(&self) -> Client<OnBoard> {
        self.process_on_board().client()
    }

    fn places(&self) -> usize {
        self.0.processes.borrow().len()
    }

    fn employ<K: Kind>(&self, id: usize) -> Process<K> {
        let client = self.0.employ(id);
        Process {
            simulation: self.clone(),
            id,
            client,
        }
    }

    /// Runs a task that belongs to no process: nothing freezes or ends it. Most tasks belong to
    /// [one](Process::spawn).
    pub fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Task<T> {
        self.spawn_in(NOBODY, task)
    }

    fn spawn_in<T: 'static>(&self, id: usize, task: impl Future<Output = T> + 'static) -> Task<T> {
        let state = Rc::new(RefCell::new(End::default()));
        let ending = Ending(Rc::clone(&state));
        let role = Role::Task { finite: true };
        self.0.executor.spawn(id, "a task", role, async move {
            let value = task.await;
            ending.0.borrow_mut().value = Some(value);
        });
        Task(state)
    }

    /// Waits, in simulated time.
    ///
    /// # Cancel safety
    /// Nothing is lost by cancelling it.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Sleep::until(&self.0, self.0.now().saturating_add(micros))
    }

    /// Waits for a future, but only so long; `None` if that was not enough. The future is dropped.
    ///
    /// # Cancel safety
    /// Cancelling it drops the future.
    pub async fn timeout<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let (mut future, mut sleep) = (pin!(future), pin!(self.sleep(time)));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// The time that everybody would agree on. The clocks of processes show other times.
    pub fn now(&self) -> Instant {
        self.0.instant()
    }

    /// A number below `end`, by the seed.
    ///
    /// # Panics
    /// If `end` is zero.
    pub fn random(&self, end: u64) -> u64 {
        self.0.draw(|rng| rng.below(end))
    }

    /// Ends all faults now, those that the scenario began too; there will be no more.
    pub fn heal(&self) {
        self.0.heal();
    }

    /// Does with the [model](crate::server) of the servers whatever it can: look at the nodes, kill
    /// members, end sessions.
    pub fn ensemble<T>(&self, act: impl FnOnce(&mut Ensemble) -> T) -> T {
        let now = self.0.instant();
        let result = {
            let mut ensemble = self.0.ensemble.borrow_mut();
            ensemble.handle_timeout(now);
            act(&mut ensemble)
        };
        self.0.run_ensemble();
        result
    }

    /// Writes a line into the timeline that is told if the simulation fails.
    pub fn note(&self, what: impl Display) {
        let text = what.to_string();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.0.note(&[hasher.finish()], || text);
    }
}

/// A simulated process: a client, and tasks that are frozen or ended together with it.
pub struct Process<K: Kind = OnHeap> {
    simulation: Simulation,
    id: usize,
    client: Client<K>,
}

impl<K: Kind> Clone for Process<K> {
    fn clone(&self) -> Self {
        Self {
            simulation: self.simulation.clone(),
            id: self.id,
            client: self.client.clone(),
        }
    }
}

impl<K: Kind> fmt::Debug for Process<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({}, {:?})", self.id, self.client.shared())
    }
}

impl<K: Kind> Process<K> {
    /// Its number, by which the timeline calls its client.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its client.
    pub fn client(&self) -> Client<K> {
        self.client.clone()
    }

    /// The simulation.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Runs a task of this process.
    pub fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Task<T> {
        self.simulation.spawn_in(self.id, task)
    }

    /// The time by its own clock.
    pub fn now(&self) -> Instant {
        self.client.shared().now()
    }

    /// Waits by its own clock.
    ///
    /// # Cancel safety
    /// Nothing is lost by cancelling it.
    pub fn sleep(&self, time: Duration) -> Sleep {
        let until = self.client.shared().when(self.now() + time);
        Sleep::until(&self.simulation.0, until)
    }

    /// Freezes it, client and tasks, as SIGSTOP or a long collection of garbage does.
    pub fn pause_for(&self, time: Duration) {
        let world = &self.simulation.0;
        world.freeze(self.id, Some(true), Some(true));
        self.later(time, Relief::Client(self.id));
        self.tell("is frozen");
    }

    /// Cuts its connection; the session goes on, and the client connects again. `false` if there is
    /// none.
    pub fn cut(&self) -> bool {
        let world = &self.simulation.0;
        let link = world.driver(self.id).borrow().link();
        if let Some(link) = link {
            world.cut_by(link, &[1]);
            self.tell("loses its connection");
        }
        link.is_some()
    }

    /// Lets nothing through between it and a member.
    pub fn part_from(&self, member: usize, time: Duration) {
        let pair = (self.id, member);
        self.simulation.0.blocked.borrow_mut().push(pair);
        self.later(time, Relief::Partition(self.id, member));
        self.tell(&format!("does not reach member {member}"));
    }

    /// Lets nothing through between it and all members.
    pub fn part_from_all(&self, time: Duration) {
        let members = self.simulation.0.plan.members;
        (0..members).for_each(|member| self.part_from(member, time));
    }

    /// Makes the servers end its session, as if it had been silent for too long. `false` if there is
    /// none, or no server that could.
    pub fn expire(&self) -> bool {
        let world = &self.simulation.0;
        let credentials = world.driver(self.id).borrow().credentials();
        self.tell("loses its session");
        credentials.is_some_and(|its| self.simulation.ensemble(|all| all.expire(its.id)))
    }

    /// Ends it at once: its tasks are dropped wherever they are, and its session times out. If it was
    /// [started](Simulation::start) with a `main`, that runs once more.
    pub fn crash(&self) {
        self.tell("dies");
        self.simulation.0.exit(self.id, Exit::Crash);
    }

    /// Drops its tasks, and closes its session. If it was [started](Simulation::start) with a `main`,
    /// that then runs once more.
    pub fn close(&self) {
        self.tell("is closed");
        self.simulation.0.exit(self.id, Exit::Close);
    }

    fn later(&self, time: Duration, relief: Relief) {
        let world = &self.simulation.0;
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        world.schedule(world.now().saturating_add(micros), Event::Relief(relief));
    }

    fn tell(&self, what: &str) {
        self.simulation
            .note(format_args!("client {} {what}", self.id));
    }
}

/// A task that was spawned, to be awaited: its value, or `None` if its process has ended before.
/// Dropping it leaves the task alone.
#[must_use = "a task goes on by itself, but its value is only had by awaiting it"]
pub struct Task<T>(Rc<RefCell<End<T>>>);

/// How a task has ended.
struct End<T> {
    value: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

impl<T> Default for End<T> {
    fn default() -> Self {
        Self {
            value: None,
            over: false,
            waker: None,
        }
    }
}

/// Tells that a task is over, however it ends.
struct Ending<T>(Rc<RefCell<End<T>>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        let mut end = self.0.borrow_mut();
        end.over = true;
        let waker = end.waker.take();
        drop(end);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = self.0.borrow().over;
        f.debug_struct("Task")
            .field("over", &over)
            .finish_non_exhaustive()
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut end = self.0.borrow_mut();
        if end.over {
            return Poll::Ready(end.value.take());
        }
        end.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
