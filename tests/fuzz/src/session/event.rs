//! What may happen to a client.

use std::time::Duration;

use super::super::tape::Tape;

/// Something that happens between a caller, a client, the network and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The caller wants this operation done on this path.
    Submit(u8, u8),
    /// The same, with a watch.
    Watch(u8, u8),
    /// The caller does not want an answer any more.
    Cancel(u8),
    /// The caller does not look at a watch any more.
    Drop(u8),
    /// So many bytes reach the server.
    Write(u8),
    /// So many bytes reach the client.
    Read(u8),
    /// Something is wrong with a frame that is on its way to the client: which, what, and where.
    Spoil(u8, Damage, u8),
    /// Time goes by, and the client looks at the clock whenever it said it would.
    Wait(Duration),
    /// Time goes by while the client is stopped.
    Sleep(Duration),
    /// The client looks at the clock.
    Look,
    /// The attempt to connect succeeds.
    Open,
    /// The attempt to connect fails, or the connection does.
    Cut,
    /// The server answers a probe.
    Probed(bool),
    /// The server ends the session.
    Expire,
    /// The user closes the client.
    Close,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It gets lost.
    Lost,
    /// It comes twice.
    Twice,
    /// It overtakes the next one.
    Late,
    /// A byte is another one.
    Flipped(u8),
    /// Its end is missing, and the length says so.
    Short,
    /// Its end is missing, and nothing says so.
    Torn,
}

impl Event {
    pub(super) fn take(tape: &mut Tape<'_>) -> Self {
        match tape.byte() % 24 {
            0..=2 => Self::Submit(tape.byte(), tape.byte()),
            3 | 4 => Self::Watch(tape.byte(), tape.byte()),
            5 => Self::Cancel(tape.byte()),
            6 => Self::Drop(tape.byte()),
            7 | 8 => Self::Write(u8::MAX),
            9 => Self::Write(tape.byte()),
            10 | 11 => Self::Read(u8::MAX),
            12 => Self::Read(tape.byte()),
            13 => Self::Spoil(tape.byte(), Damage::take(tape), tape.byte()),
            14 | 15 => Self::Wait(span(tape.byte(), tape.byte())),
            16 => Self::Sleep(span(tape.byte(), tape.byte())),
            17 => Self::Look,
            18 | 19 => Self::Open,
            20 => Self::Cut,
            21 => Self::Probed(tape.byte() < 128),
            22 => Self::Expire,
            _ if tape.byte() < 16 => Self::Close,
            _ => Self::Open,
        }
    }
}

impl Damage {
    fn take(tape: &mut Tape<'_>) -> Self {
        match tape.byte() % 8 {
            0 => Self::Lost,
            1 => Self::Twice,
            2 => Self::Late,
            3 => Self::Short,
            4 => Self::Torn,
            _ => Self::Flipped(tape.byte().max(1)),
        }
    }
}

/// From a microsecond to some ten times a session's timeout.
pub(super) fn span(count: u8, unit: u8) -> Duration {
    let unit = [1, 100, 1_000, 10_000, 100_000, 500_000][usize::from(unit % 6)];
    Duration::from_micros(u64::from(count) * unit)
}
