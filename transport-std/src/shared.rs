//! The hub of a client, its lock and its clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use docent_core::handle::{Share, act};
use docent_core::hub::{Heap, Hub};
use docent_core::path::HeapPath;
use docent_core::time::Instant;
use tokio::time::Instant as Time;

/// What the handles of a client and its driver have in common.
pub(crate) struct Shared {
    hub: Mutex<Hub<Heap>>,
    started: Time,
    chroot: Arc<str>,
    /// How the last attempt to connect failed.
    last_failure: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(hub: Hub<Heap>, chroot: Arc<str>, started: Time) -> Self {
        Self {
            hub: Mutex::new(hub),
            started,
            chroot,
            last_failure: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub<Heap>> {
        // Encoding is all or nothing, so that a panic under the lock leaves nothing half done.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.instant(Time::now())
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        let micros = time.saturating_duration_since(self.started).as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn time(&self, instant: Instant) -> Time {
        self.started + instant.since(Instant::ZERO)
    }

    pub(crate) fn last_failure(&self) -> MutexGuard<'_, Option<String>> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share in a client. When the last one of the user goes, the client closes.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    /// The driver's share has none. Only its end matters.
    _alive: Option<Arc<Alive>>,
}

struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        let link = Link::of_driver(Arc::clone(&self.0));
        let now = self.0.now();
        act(&link, |hub| hub.close(now));
    }
}

impl Link {
    pub(crate) fn of_user(shared: Arc<Shared>) -> Self {
        Self {
            _alive: Some(Arc::new(Alive(Arc::clone(&shared)))),
            shared,
        }
    }

    pub(crate) const fn of_driver(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            _alive: None,
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hub = self.shared.hub();
        let status = hub.session().status();
        write!(
            f,
            "session {:#x}, {:?}, {} requests waiting",
            hub.session().id(),
            status.state,
            hub.requests()
        )
    }
}

impl Share for Link {
    type Storage = Heap;
    type Path = HeapPath;
    type Body = Bytes;
    type Time = std::time::Instant;

    #[inline]
    fn with<T>(&self, act: impl FnOnce(&mut Hub<Heap>) -> T) -> T {
        act(&mut self.shared.hub())
    }

    fn now(&self) -> Instant {
        self.shared.now()
    }

    fn time(&self, instant: Instant) -> std::time::Instant {
        self.shared.time(instant).into_std()
    }

    #[inline]
    fn chroot(&self) -> &str {
        &self.shared.chroot
    }

    #[inline]
    fn body(&self, body: Bytes) -> Bytes {
        body
    }
}
