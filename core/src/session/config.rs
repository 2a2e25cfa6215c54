//! What a user may set about a session.

use core::time::Duration;

use super::hosts::Backoff;

/// The settings of a session.
///
/// [`Config::DEFAULT`] is a good start on servers; every field is public. [`check`](Self::check)
/// is called by the transports before anything is sent.
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
        within("session_timeout", self.session_timeout, MAX_TIMEOUT)?;
        within("connection_timeout", self.connection_timeout, MAX_TIMEOUT)?;
        within("close_timeout", self.close_timeout, MAX_TIMEOUT)?;
        within("backoff.base", self.backoff.base, MAX_TIMEOUT)?;
        within("backoff.cap", self.backoff.cap, MAX_TIMEOUT)?;
        if let Some(timeout) = self.operation_timeout {
            within("operation_timeout", timeout, MAX_TIMEOUT)?;
        }
        match self.max_request {
            MIN_REQUEST..=MAX_REQUEST => Ok(()),
            size => Err(BadConfig::Size { size }),
        }
    }

    /// The wanted timeout as it goes on the wire.
    pub(crate) fn wanted_ms(&self) -> i32 {
        i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    pub(crate) fn margin(&self, timeout: Duration) -> Duration {
        self.lease_margin
            .unwrap_or_else(|| Duration::from_secs(2).min(timeout / 3))
            .min(timeout)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The wire has room for 2^31 - 1 milliseconds.
const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);
/// A handshake.
const MIN_REQUEST: usize = 45;
const MAX_REQUEST: usize = i32::MAX as usize;

fn within(name: &'static str, value: Duration, max: Duration) -> Result<(), BadConfig> {
    if value < Duration::from_millis(1) || value > max {
        return Err(BadConfig::Time { name, value });
    }
    Ok(())
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
