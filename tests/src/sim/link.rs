//! Connections between clients and members: bytes that take their time, arrive in pieces, or never.

use std::collections::VecDeque;

use super::rng::Rng;
use crate::server::ConnId;

/// The number of a connection, never used twice.
pub(super) type LinkId = u64;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Server,
    Client,
}

/// What travels: bytes, or the end of the stream.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// When the last piece will arrive.
    last: u64,
    /// Pieces that have arrived while the lane is blocked.
    pub(super) held: VecDeque<Piece>,
    /// After how many more bytes the connection is cut.
    pub(super) fuse: Option<usize>,
    /// Bytes that the receiver has not taken.
    pub(super) on_the_way: usize,
    /// Whether the sender waits for the receiver to take some.
    pub(super) awaited: bool,
    /// Whether the receiver is gone.
    pub(super) closed: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: usize,
    pub(super) member: usize,
    pub(super) conn: ConnId,
    pub(super) to_server: Lane,
    pub(super) to_client: Lane,
    /// Nothing arrives, though nobody is told.
    pub(super) stalled: bool,
    pub(super) cut: bool,
    /// The server does not read.
    pub(super) deaf: bool,
    /// Whether the server's answers have been dropped.
    pub(super) muted: bool,
    /// Whether the handshake has been answered.
    pub(super) greeted: bool,
    /// Whether some of the server's answers may have been wrong.
    pub(super) lied: bool,
    /// An answer that comes after the next one.
    pub(super) late: Vec<u8>,
}

/// How bytes travel in a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// The delay in microseconds, least and most.
    pub(super) delay: (u64, u64),
    /// The longest piece.
    pub(super) piece: usize,
    /// How many bytes may be on the way to a server that does not read.
    pub(super) window: usize,
}

impl Link {
    pub(super) fn new(client: usize, member: usize, conn: ConnId) -> Self {
        Self {
            client,
            member,
            conn,
            to_server: Lane::default(),
            to_client: Lane::default(),
            stalled: false,
            cut: false,
            deaf: false,
            muted: false,
            greeted: false,
            lied: false,
            late: Vec::new(),
        }
    }

    pub(super) const fn lane(&mut self, to: To) -> &mut Lane {
        match to {
            To::Server => &mut self.to_server,
            To::Client => &mut self.to_client,
        }
    }
}

impl Lane {
    /// Splits bytes, and says when each piece arrives.
    pub(super) fn send(
        &mut self,
        now: u64,
        bytes: &[u8],
        weather: Weather,
        rng: &mut Rng,
    ) -> Vec<(u64, Piece)> {
        self.on_the_way += bytes.len();
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.index(weather.piece.min(rest.len())));
            pieces.push((
                self.arrival(now, weather, rng),
                Piece::Bytes(piece.to_vec()),
            ));
            rest = after;
        }
        pieces
    }

    /// When something that is sent now arrives: never before what was sent earlier.
    pub(super) fn arrival(&mut self, now: u64, weather: Weather, rng: &mut Rng) -> u64 {
        let delay = rng.range(weather.delay.0, weather.delay.1);
        self.last = self.last.max(now + delay);
        self.last
    }

    /// How much of `bytes` gets through, and whether the connection is cut then.
    pub(super) fn burn(&mut self, bytes: &mut Vec<u8>) -> bool {
        let Some(fuse) = &mut self.fuse else {
            return false;
        };
        let burnt = *fuse <= bytes.len();
        bytes.truncate(*fuse);
        *fuse -= bytes.len();
        burnt
    }
}
