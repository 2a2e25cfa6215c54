//! An executor for one thread, which runs whoever is ready in the order of chance.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use super::rng::Rng;

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Who is ready to run.
type Ready = Arc<Mutex<Vec<usize>>>;

/// Marks a place of the executor as ready.
struct Flag {
    place: usize,
    raised: AtomicBool,
    ready: Ready,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        if !self.raised.swap(true, Ordering::Relaxed) {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            ready.push(self.place);
        }
    }
}

/// What a place of the executor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The driver of a client, which has no job.
    Driver,
    /// What runs beside the driver.
    Reaper,
    Task {
        /// Whether the simulation waits for its end.
        finite: bool,
    },
}

struct Place {
    /// The client that it runs in.
    client: usize,
    name: &'static str,
    role: Role,
    job: Option<Job>,
    over: bool,
    flag: Arc<Flag>,
}

impl Place {
    fn is_awaited(&self) -> bool {
        self.role == Role::Task { finite: true } && !self.over
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            NOBODY => f.write_str(self.name),
            client => write!(f, "client {client}: {}", self.name),
        }
    }
}

/// Stands for a client where a task belongs to none, so that no fault befalls it.
pub(super) const NOBODY: usize = usize::MAX;

#[derive(Default)]
pub(super) struct Executor {
    places: RefCell<Vec<Place>>,
    ready: Ready,
}

/// Who runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Driver(usize),
    Task(usize),
}

impl Executor {
    /// Adds a task that is ready to run.
    pub(super) fn spawn(
        &self,
        client: usize,
        name: &'static str,
        role: Role,
        job: impl Future<Output = ()> + 'static,
    ) {
        let waker = self.place(client, name, role, Some(Box::pin(job)));
        waker.wake();
    }

    /// Adds a driver, and returns what makes it run.
    pub(super) fn driver(&self, client: usize) -> Waker {
        self.place(client, "driver", Role::Driver, None)
    }

    fn place(&self, client: usize, name: &'static str, role: Role, job: Option<Job>) -> Waker {
        let mut places = self.places.borrow_mut();
        let flag = Arc::new(Flag {
            place: places.len(),
            raised: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        places.push(Place {
            client,
            name,
            role,
            job,
            over: false,
            flag: Arc::clone(&flag),
        });
        flag.into()
    }

    /// Takes one of those that are ready, unless they are asleep.
    pub(super) fn pick(
        &self,
        rng: &mut Rng,
        is_asleep: impl Fn(usize, Role) -> bool,
    ) -> Option<Turn> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.borrow();
        let awake: Vec<_> = (0..ready.len())
            .filter(|&at| {
                let place = &places[ready[at]];
                !is_asleep(place.client, place.role)
            })
            .collect();
        if awake.is_empty() {
            return None;
        }
        let place = ready.swap_remove(awake[rng.index(awake.len())]);
        places[place].flag.raised.store(false, Ordering::Relaxed);
        Some(match places[place].role {
            Role::Driver => Turn::Driver(places[place].client),
            _ => Turn::Task(place),
        })
    }

    /// Polls a task, and says whether it is one of the application.
    pub(super) fn poll(&self, place: usize) -> bool {
        let (job, flag, role) = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[place];
            (place.job.take(), Arc::clone(&place.flag), place.role)
        };
        let Some(mut job) = job else {
            return false;
        };
        let waker = Waker::from(flag);
        let poll = job.as_mut().poll(&mut Context::from_waker(&waker));
        let mut places = self.places.borrow_mut();
        let place = &mut places[place];
        // It may have been dismissed meanwhile.
        place.over |= poll.is_ready();
        let rest = if place.over {
            Some(job)
        } else {
            place.job.replace(job)
        };
        drop(places);
        drop(rest);
        role != Role::Reaper
    }

    /// What a turn is called, and whose it is.
    pub(super) fn name(&self, turn: Turn) -> String {
        match turn {
            Turn::Driver(client) => format!("client {client}"),
            Turn::Task(place) => self.places.borrow()[place].to_string(),
        }
    }

    /// Who is to end and has not, in words.
    pub(super) fn waiting(&self) -> Vec<String> {
        let places = self.places.borrow();
        let open = places.iter().filter(|place| place.is_awaited());
        open.map(Place::to_string).collect()
    }

    /// Drops all tasks.
    pub(super) fn clear(&self) {
        self.end(|_| true);
    }

    /// Drops the tasks of a client, and what runs beside its driver if the client is to end at once.
    pub(super) fn dismiss(&self, client: usize, at_once: bool) {
        self.end(|place| {
            place.client == client && (at_once || matches!(place.role, Role::Task { .. }))
        });
    }

    fn end(&self, is_meant: impl Fn(&Place) -> bool) {
        let mut places = self.places.borrow_mut();
        let meant = places.iter_mut().filter(|place| is_meant(place));
        let jobs: Vec<_> = meant
            .filter_map(|place| {
                place.over = true;
                place.job.take()
            })
            .collect();
        // What is dropped may wake others.
        drop(places);
        drop(jobs);
    }
}
