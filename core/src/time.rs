//! Time as the core sees it: a number handed in by the transport.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Microseconds since an epoch of the transport's choosing.
///
/// The core reads no clock. A transport passes the reading of a monotonic one, best of a kind that
/// goes on while the machine sleeps.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The transport's epoch.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the transport's epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the transport's epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_micros(self.0))
    }
}

/// Without the 128 bits of [`Duration::as_micros`], and not everywhere inline, as 64 bits are much for
/// a small processor.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
const fn micros(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000);
    seconds.saturating_add(duration.subsec_micros() as u64)
}
