//! A hub that several tasks share, by whatever lock their transport has.

use core::fmt;

use crate::hub::{BodyOf, Hub, Storage};
use crate::path::PathBuf;
use crate::time::Instant;

/// A hub that several tasks share.
pub trait Share: Clone {
    /// Whether code is to be small rather than fast.
    const COMPACT: bool = false;
    /// The hub's memory.
    type Storage: Storage<
            Path = Self::Path,
            Watches: crate::hub::Watches<Events: crate::hub::EventQueue<Path = Self::Path>>,
        >;
    /// An owned path.
    type Path: PathBuf;
    /// A reply's body. It is [`Kept`] where it has room of its own to give back.
    type Body: AsRef<[u8]>;
    /// A time by the clock of the application.
    type Time;

    /// Calls `act` with the hub locked. `act` wakes nobody.
    fn with<T>(&self, act: impl FnOnce(&mut Hub<Self::Storage>) -> T) -> T;
    /// The time by the transport's clock.
    fn now(&self) -> Instant;
    /// What the application calls this instant.
    fn time(&self, instant: Instant) -> Self::Time;
    /// The prefix of all paths.
    fn chroot(&self) -> &str;
    /// Hands a body to a caller.
    fn body(&self, body: BodyOf<Self::Storage>) -> Self::Body;
}

/// A reply's body that gives its room back to the hub when it is dropped.
pub struct Kept<H: Share> {
    shared: H,
    body: Option<BodyOf<H::Storage>>,
}

impl<H: Share> Kept<H> {
    /// Keeps `body`.
    pub const fn new(shared: H, body: BodyOf<H::Storage>) -> Self {
        Self {
            shared,
            body: Some(body),
        }
    }
}

impl<H: Share> AsRef<[u8]> for Kept<H> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], AsRef::as_ref)
    }
}

impl<H: Share> fmt::Debug for Kept<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} bytes)", self.as_ref().len())
    }
}

impl<H: Share> Drop for Kept<H> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            act(&self.shared, |hub| hub.recycle(body));
        }
    }
}

/// Calls `act` with the hub locked, and wakes whom it says once the lock is released.
#[inline]
pub fn act<H: Share, T>(shared: &H, act: impl FnOnce(&mut Hub<H::Storage>) -> T) -> T {
    if H::COMPACT {
        let result = shared.with(act);
        wake(shared);
        return result;
    }
    let (result, due) = shared.with(|hub| (act(hub), hub.poll_waker()));
    if let Some(waker) = due {
        waker.wake();
        wake(shared);
    }
    result
}

/// Wakes whom the hub says.
#[inline(never)]
pub fn wake<H: Share>(shared: &H) {
    while let Some(waker) = shared.with(Hub::poll_waker) {
        waker.wake();
    }
}
