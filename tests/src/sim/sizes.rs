//! How much memory clients have.

use std::fmt;

use super::roles::Role;

/// The memory of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Size {
    /// As on a server.
    Heap,
    /// A board with room for four calls and watches, and 512 bytes in each buffer.
    Common,
    /// A board with room for two calls and watches, and 256 bytes in each buffer.
    Small,
    /// A board with no more than a lock takes: one call, one watch, and 192 bytes in each buffer.
    Lock,
    /// The smallest board: one call, one watch, and 64 bytes in each buffer. Most requests or their
    /// replies do not fit, and end with an error that says so.
    Smallest,
}

impl Size {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Heap,
        Self::Common,
        Self::Small,
        Self::Lock,
        Self::Smallest,
    ];

    /// The size of a client. In every other pair of seeds they are of all sizes, side by side.
    pub(super) fn of(seed: u64, client: usize) -> Self {
        if seed % 4 < 2 {
            return Self::Heap;
        }
        let turn = seed / 4 % Self::ALL.len() as u64;
        Self::ALL[(turn as usize + client) % Self::ALL.len()]
    }

    /// Whether this can be had. The names of a read/write lock are longer than others.
    pub(super) const fn has_room_for(self, role: Role) -> bool {
        match self {
            Self::Heap | Self::Common | Self::Small => true,
            Self::Lock => !matches!(role, Role::Reader | Role::Writer),
            Self::Smallest => false,
        }
    }

    /// Whether events fit whatever the path. One that does not costs the connection.
    pub(super) const fn has_room_for_events(self) -> bool {
        !matches!(self, Self::Smallest)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Heap => "on the heap",
            Self::Common => "on a board with 4 calls, 4 watches, 512 bytes",
            Self::Small => "on a board with 2 calls, 2 watches, 256 bytes",
            Self::Lock => "on a board with 1 call, 1 watch, 192 bytes",
            Self::Smallest => "on a board with 1 call, 1 watch, 64 bytes",
        })
    }
}
