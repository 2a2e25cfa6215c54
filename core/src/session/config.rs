//! What a user may set about a session.

use core::time::Duration;

use super::hosts::Backoff;
use crate::rng::Rng;
use crate::time::Millis;

/// The settings of a session.
///
/// [`Config::DEFAULT`] is a good start on servers; every field is public. [`check`](Self::check)
/// is called by the transports before anything is sent. Times count in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// The session timeout to ask for. Servers clamp it, by default to 2 to 20 of their ticks.
    pub session_timeout: Duration,
    /// How long one attempt may take, from dialling to the end of the handshake. An attempt never
    /// gets more than a third of the session timeout, so that another server can still be tried.
    pub connection_timeout: Duration,
    /// How long requests may be in flight without any of them being answered before the connection
    /// is given up, although the server answers pings.
    pub operation_timeout: Option<Duration>,
    /// How long closing may take before the connection is cut.
    pub close_timeout: Duration,
    /// How much earlier than the session's timeout its lease is taken to end, to allow for the time
    /// servers take to tell their leader of a heartbeat. `None` is two seconds, or a third of the
    /// timeout if that is less.
    pub lease_margin: Option<Duration>,
    /// The pauses between attempts to connect.
    pub backoff: Backoff,
    /// Whether a server that lost its quorum, and serves stale reads only, is good enough.
    pub read_only: bool,
    /// Whether a new session follows one that is lost. Without it, the client ends with its session.
    pub renew: bool,
    /// Whether the servers are tried in random order rather than as listed.
    pub shuffle: bool,
    /// The largest request to send, in bytes of the frame's payload. A server drops the connection
    /// for one larger than its `jute.maxbuffer`, by default 1,048,575 bytes.
    pub max_request: usize,
}

impl Config {
    /// Ten seconds of session timeout, five to connect, thirty for a stalled request.
    pub const DEFAULT: Self = Self {
        session_timeout: Duration::from_secs(10),
        connection_timeout: Duration::from_secs(5),
        operation_timeout: Some(Duration::from_secs(30)),
        close_timeout: Duration::from_secs(1),
        lease_margin: None,
        backoff: Backoff::DEFAULT,
        read_only: false,
        renew: true,
        shuffle: true,
        max_request: 1_048_575,
    };

    /// Checks every setting against its range.
    ///
    /// # Errors
    /// [`BadConfig`] names the first setting that is out of range, and the range.
    pub fn check(&self) -> Result<(), BadConfig> {
        Settings::new(self).map(|_| ())
    }
}

/// A [`Config`] as a session keeps it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) session_timeout: Millis,
    pub(super) connection_timeout: Millis,
    pub(super) operation_timeout: Option<Millis>,
    pub(super) close_timeout: Millis,
    lease_margin: Option<Millis>,
    base: Millis,
    cap: Millis,
    pub(super) stable: Millis,
    pub(super) read_only: bool,
    pub(super) renew: bool,
    pub(super) max_request: usize,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Result<Self, BadConfig> {
        let stall = |timeout| within("operation_timeout", timeout);
        Ok(Self {
            session_timeout: within("session_timeout", config.session_timeout)?,
            connection_timeout: within("connection_timeout", config.connection_timeout)?,
            close_timeout: within("close_timeout", config.close_timeout)?,
            base: within("backoff.base", config.backoff.base)?,
            cap: within("backoff.cap", config.backoff.cap)?,
            operation_timeout: config.operation_timeout.map(stall).transpose()?,
            lease_margin: config.lease_margin.map(Millis::ceil),
            stable: Millis::floor(config.backoff.stable),
            read_only: config.read_only,
            renew: config.renew,
            max_request: match config.max_request {
                size @ MIN_REQUEST..=MAX_REQUEST => size,
                size => return Err(BadConfig::Size { size }),
            },
        })
    }

    /// The pause before the attempt after `rounds` fruitless rounds, in microseconds. See [`Backoff`].
    pub(super) fn pause(&self, rounds: u32, saving: Option<Millis>, rng: &mut Rng) -> u64 {
        let grown = self.base.times(1 << rounds.min(20)).min(self.cap);
        let bound = saving.map_or(grown, |timeout| grown.min(timeout / 8));
        rng.up_to(bound.micros())
    }

    pub(super) fn margin(&self, timeout: Millis) -> Millis {
        self.lease_margin
            .unwrap_or_else(|| Millis(2000).min(timeout / 3))
            .min(timeout)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The wire has room for 2^31 - 1 milliseconds.
const LONGEST: u32 = i32::MAX as u32;
/// A handshake.
const MIN_REQUEST: usize = 45;
const MAX_REQUEST: usize = i32::MAX as usize;

#[inline(never)]
fn within(name: &'static str, value: Duration) -> Result<Millis, BadConfig> {
    match Millis::floor(value) {
        millis @ Millis(1..=LONGEST) => Ok(millis),
        _ => Err(BadConfig::Time { name, value }),
    }
}

/// A setting out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BadConfig {
    /// A time that the wire cannot carry.
    #[error("{name} is {value:?}, but must be from 1 ms to 2147483647 ms")]
    Time {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
    },
    /// A size that no request fits, or that no frame can have.
    #[error("max_request is {size} bytes, but must be from 45 to 2147483647")]
    Size {
        /// What it was set to.
        size: usize,
    },
    /// A count of servers that is zero or too large.
    #[error("{count} servers are listed, but there must be from 1 to 32")]
    Hosts {
        /// How many there are.
        count: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(backoff: Backoff) -> Settings {
        let config = Config {
            backoff,
            ..Config::DEFAULT
        };
        Settings::new(&config).unwrap()
    }

    #[test]
    fn pauses_grow_to_the_cap_and_fill_their_range() {
        let mut rng = Rng::new(1);
        let mut longest = |rounds, saving: Option<Millis>| {
            let settings = settings(Backoff::DEFAULT);
            let pauses = (0..500).map(|_| settings.pause(rounds, saving, &mut rng));
            Duration::from_micros(pauses.max().unwrap())
        };
        let near = |longest: Duration, bound| longest <= bound && longest > bound.mul_f32(0.9);
        assert!(near(longest(0, None), Duration::from_secs(1)));
        assert!(near(longest(2, None), Duration::from_secs(4)));
        assert!(near(longest(u32::MAX, None), Duration::from_secs(10)));
        assert!(near(longest(9, Some(Millis(8000))), Duration::from_secs(1)));
    }

    #[test]
    fn no_settings_make_a_pause_longer_than_their_bounds() {
        let mut rng = Rng::new(2);
        for _ in 0..2_000 {
            let mut time = || Duration::from_millis(1 + rng.up_to(i32::MAX as u64 - 1));
            let (base, cap, saved) = (time(), time(), time());
            let backoff = Backoff {
                base,
                cap,
                ..Backoff::DEFAULT
            };
            let rounds = rng.up_to(70) as u32;
            let saving = rounds.is_multiple_of(2).then_some(saved);
            let saving = saving.map(Millis::floor);
            let pause = settings(backoff).pause(rounds, saving, &mut rng);
            let pause = Duration::from_micros(pause);
            let grown = base.saturating_mul(2_u32.saturating_pow(rounds));
            assert!(pause <= grown && pause <= cap);
            assert!(saving.is_none_or(|saved| pause <= saved.duration() / 8));
        }
    }
}
