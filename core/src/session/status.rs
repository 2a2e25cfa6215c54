//! What a session is, seen from outside.

use core::fmt;
use core::num::NonZeroU32;

/// Counts the sessions of a client, from 1. Everything that belongs to a session carries its epoch.
///
/// It has nothing to do with the epoch that is the upper half of a zxid, which counts the leaders of
/// the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch(NonZeroU32);

impl Epoch {
    const FIRST: Self = Self(NonZeroU32::MIN);

    /// The count.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    pub(super) fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

/// What a client can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum State {
    /// There is no session yet. Requests wait.
    Connecting,
    /// Requests are served, writes too unless `read_only`.
    Connected {
        /// The server has lost its quorum: reads may be stale and writes are refused.
        read_only: bool,
    },
    /// The connection is lost and the session lives, as far as the client can know. Requests wait.
    Suspended,
    /// As [`Suspended`](Self::Suspended), but for so long that the servers may have ended the
    /// session and given its locks away.
    Lapsed,
    /// The session is over, and the client with it.
    Expired,
    /// A server refused the client's credentials. The client is over.
    AuthFailed,
    /// The client was closed, or is about to be and takes no requests any more.
    Closed,
}

impl State {
    /// Whether requests are served now.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Why nothing can ever be sent again, if that is so.
    pub const fn end(self) -> Option<End> {
        match self {
            Self::Expired => Some(End::Expired),
            Self::AuthFailed => Some(End::AuthFailed),
            Self::Closed => Some(End::Closed),
            _ => None,
        }
    }
}

/// Why a request can no longer be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum End {
    /// Its session is over.
    Expired,
    /// A server refused the client's credentials.
    AuthFailed,
    /// The client was closed.
    Closed,
}

impl core::error::Error for End {}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its session is over",
            Self::AuthFailed => "a server refused the client's credentials",
            Self::Closed => "the client is closed",
        })
    }
}

/// How a session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Lost {
    /// A server said that it is over.
    Expired,
    /// A server answered with another session than the one asked for.
    Replaced,
    /// No server was heard for 4/3 of its timeout.
    Presumed,
}

/// A session at one moment.
///
/// Two equal values mean that nothing happened in between: every connection, lapse and session
/// moves a counter, so that a slow observer misses no change, only its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status {
    /// The session.
    pub epoch: Epoch,
    /// How many connections have served requests, over all sessions.
    pub connections: u32,
    /// How often the lease ran out or was given up, or a session ended: whoever held a lock then must
    /// not trust it.
    pub lapses: u32,
    /// What the client can do.
    pub state: State,
    /// How the session before this one was lost.
    pub lost: Option<Lost>,
}

impl Status {
    pub(super) const NEW: Self = Self {
        epoch: Epoch::FIRST,
        connections: 0,
        lapses: 0,
        state: State::Connecting,
        lost: None,
    };
}

/// What is needed to take a session up again, after a restart or deep sleep.
///
/// The password is a secret: whoever has it can take the session over. It is not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The session's id.
    pub id: i64,
    /// The password the server gave for it.
    pub password: [u8; 16],
    /// The last transaction the session has seen.
    pub zxid: i64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Credentials {{ id: {:#x}, password: .., zxid: {:#x} }}",
            self.id, self.zxid
        )
    }
}
