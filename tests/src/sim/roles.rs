//! What can be held, and who waits for whom.

use std::fmt;

/// Something to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// A lock.
    Mutex,
    /// A read/write lock, to write.
    Writer,
    /// A read/write lock, to read.
    Reader,
    /// A lease of a semaphore.
    Lease,
    /// The leadership of an election.
    Leader,
}

impl Role {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Mutex,
        Self::Writer,
        Self::Reader,
        Self::Lease,
        Self::Leader,
    ];

    /// Whether it waits for others ahead of this role, in the same queue.
    pub(super) const fn waits_for(self, ahead: Self) -> bool {
        match self {
            Self::Mutex | Self::Writer | Self::Leader => true,
            Self::Reader => matches!(ahead, Self::Writer),
            // It waits until there are enough.
            Self::Lease => false,
        }
    }

    /// Whether nobody else holds anything at the same place.
    pub(super) const fn is_alone(self) -> bool {
        self.waits_for(self)
    }

    /// Whether only so many may hold either at the same place.
    pub(super) const fn excludes(self, other: Self) -> bool {
        !matches!((self, other), (Self::Reader, Self::Reader))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mutex => "times a lock was held",
            Self::Writer => "times a read/write lock was held to write",
            Self::Reader => "times a read/write lock was held to read",
            Self::Lease => "times a lease of a semaphore was held",
            Self::Leader => "times somebody led",
        })
    }
}
