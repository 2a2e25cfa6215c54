//! Time as the core sees it: a number handed in by the transport.

use core::fmt;
use core::ops::{Add, Div, Sub};
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

    /// So many microseconds later.
    pub(crate) const fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.after(micros(duration))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

/// Time in whole milliseconds: what the wire and the settings of a session are made of. Unlike a
/// [`Duration`] it needs no numbers of 64 bits to be compared and divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) u32);

impl Millis {
    /// As much of `duration` as there can be.
    pub(crate) fn floor(duration: Duration) -> Self {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let millis = seconds.saturating_mul(1000);
        Self(millis.saturating_add(duration.subsec_millis()))
    }

    /// At least `duration`, if there can be so much.
    pub(crate) fn ceil(duration: Duration) -> Self {
        Self::floor(duration.saturating_add(Duration::from_nanos(999_999)))
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }

    pub(crate) const fn micros(self) -> u64 {
        self.0 as u64 * 1000
    }

    pub(crate) const fn times(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Div<u32> for Millis {
    type Output = Self;

    fn div(self, divisor: u32) -> Self {
        Self(self.0.checked_div(divisor).unwrap_or(self.0))
    }
}

impl Add<Millis> for Instant {
    type Output = Self;

    // 64 bits are much for a small processor.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn add(self, millis: Millis) -> Self {
        self.after(millis.micros())
    }
}

impl Sub<Millis> for Instant {
    type Output = Self;

    fn sub(self, millis: Millis) -> Self {
        Self(self.0.saturating_sub(millis.micros()))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_micros(self.0))
    }
}

/// Without the 128 bits of [`Duration::as_micros`].
const fn micros(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000);
    seconds.saturating_add(duration.subsec_micros() as u64)
}
