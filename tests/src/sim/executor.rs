//! An executor for one thread, which runs whoever is ready in the order of chance.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

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

/// A place of the executor: a task, or the driver of a client if there is no job.
struct Place {
    /// The client that it runs in.
    client: usize,
    name: &'static str,
    /// Whether the simulation waits for its end.
    finite: bool,
    job: Option<Job>,
    over: bool,
    flag: Arc<Flag>,
}

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
        finite: bool,
        job: impl Future<Output = ()> + 'static,
    ) {
        let waker = self.place(client, name, finite, Some(Box::pin(job)));
        waker.wake();
    }

    /// Adds a driver, and returns what makes it run.
    pub(super) fn driver(&self, client: usize) -> Waker {
        self.place(client, "driver", false, None)
    }

    fn place(&self, client: usize, name: &'static str, finite: bool, job: Option<Job>) -> Waker {
        let mut places = self.places.borrow_mut();
        let flag = Arc::new(Flag {
            place: places.len(),
            raised: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        places.push(Place {
            client,
            name,
            finite,
            job,
            over: false,
            flag: Arc::clone(&flag),
        });
        flag.into()
    }

    /// Takes one of those that are ready, unless their client is asleep.
    pub(super) fn pick(&self, rng: &mut Rng, is_asleep: impl Fn(usize) -> bool) -> Option<Turn> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let places = self.places.borrow();
        let awake: Vec<_> = (0..ready.len())
            .filter(|&at| !is_asleep(places[ready[at]].client))
            .collect();
        if awake.is_empty() {
            return None;
        }
        let place = ready.swap_remove(awake[rng.index(awake.len())]);
        places[place].flag.raised.store(false, Ordering::Relaxed);
        Some(match places[place].name {
            "driver" => Turn::Driver(places[place].client),
            _ => Turn::Task(place),
        })
    }

    /// Polls a task.
    pub(super) fn poll(&self, place: usize) {
        let (job, flag) = {
            let mut places = self.places.borrow_mut();
            let place = &mut places[place];
            (place.job.take(), Arc::clone(&place.flag))
        };
        let Some(mut job) = job else {
            return;
        };
        let waker = Waker::from(flag);
        match job.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => self.places.borrow_mut()[place].over = true,
            Poll::Pending => self.places.borrow_mut()[place].job = Some(job),
        }
    }

    /// What a turn is called, and whose it is.
    pub(super) fn name(&self, turn: Turn) -> String {
        match turn {
            Turn::Driver(client) => format!("client {client}"),
            Turn::Task(place) => {
                let place = &self.places.borrow()[place];
                format!("client {}: {}", place.client, place.name)
            }
        }
    }

    /// What is to end and has not.
    pub(super) fn unfinished(&self) -> Vec<(usize, &'static str)> {
        let places = self.places.borrow();
        let open = places.iter().filter(|place| place.finite && !place.over);
        open.map(|place| (place.client, place.name)).collect()
    }

    /// Drops all tasks.
    pub(super) fn clear(&self) {
        let jobs: Vec<_> = self
            .places
            .borrow_mut()
            .iter_mut()
            .filter_map(|place| place.job.take())
            .collect();
        drop(jobs);
    }
}
