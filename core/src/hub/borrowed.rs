//! Storage for boards: everything lies in memory that the application hands over once.

use core::task::Waker;

use super::calls::{Call, Pending};
use super::claims::Claimed;
use super::storage::{Auths, Bodies, Events, Fifo, Parts, Slots, Storage, Tx, Waiters, Watches};
use super::watches::Watch;
use crate::path::{FixedPath, Path, PathBuf};
use crate::wire::{Credential, EventKind, Full, SliceSink};

/// The longest path, in bytes, that borrowed storage remembers: of a watch or of a lock's node.
/// Paths of plain calls are bounded by the transmit buffer only.
///
/// It is 96, or what the environment says as `DOCENT_BYTES_PER_PATH` when this is compiled: write it
/// under `[env]` into the `.cargo/config.toml` of the firmware. A lock's nodes have names of up to 56
/// bytes, which leaves 39 of 96 for the path of the lock.
pub const BYTES_PER_PATH: usize = match option_env!("DOCENT_BYTES_PER_PATH") {
    None => 96,
    Some(text) => match usize::from_str_radix(text, 10) {
        Ok(bytes) => bytes,
        Err(_) => 0,
    },
};
const _: () = assert!(
    BYTES_PER_PATH > 0 && BYTES_PER_PATH <= u16::MAX as usize,
    "DOCENT_BYTES_PER_PATH is a number from 1 to 65535"
);

/// A path of a board.
pub type BoardPath = FixedPath<BYTES_PER_PATH>;

/// [`Storage`] in borrowed memory.
#[derive(Debug)]
pub struct Borrowed<'d>(core::marker::PhantomData<&'d mut ()>);

impl<'d> Storage for Borrowed<'d> {
    type Bodies = Pool<'d>;
    type Calls = Table<'d, Call<Pool<'d>>>;
    type Pending = Ring<'d, Pending>;
    type Watches = WatchTable<'d>;
    type Claims = Table<'d, Claimed<BoardPath>>;
    type Waiters = Turns<'d>;
    type Path = BoardPath;
    type Tx = FixedTx<'d>;
    type Chroot = &'d str;
    type Auths = &'d [Credential<'d>];
}

/// The tables of a client in borrowed memory: `CALLS` calls in flight and as many claims, `WATCHES`
/// watches. The only place with const generics.
///
/// Up to `TASKS` tasks may wait for room, and as many for a change of the session's state. More of
/// them keep waking each other, so that each gets its turn: that is fair, but a board that does so
/// hardly sleeps. A task that waits for several things at a time counts as many times.
///
/// Its size, and that of what goes with it, is in the documentation of `docent-embassy`, in a table that
/// a test compares with what there is.
pub struct Resources<'d, const CALLS: usize, const WATCHES: usize, const TASKS: usize = 8> {
    rooms: [Option<&'d mut [u8]>; CALLS],
    calls: [Option<Call<Pool<'d>>>; CALLS],
    // The hub itself sends requests too, to end and to renew watches.
    pending: [[Pending; 2]; CALLS],
    watches: [Option<Watch<Queue>>; WATCHES],
    claims: [Option<Claimed<BoardPath>>; CALLS],
    room: [Option<(usize, Waker)>; TASKS],
    state: [Option<(usize, Waker)>; TASKS],
}

/// The bytes of a client in borrowed memory, sized by whoever owns them.
///
/// To take a lock, with the chroot counted as part of its path,
///
/// * each transmit buffer needs 97 bytes and the length of the path, more with data or an own access
///   control list;
/// * the room for one reply needs 128 bytes and the length of the path, and 176 bytes to stand in a
///   queue of any length, 208 in that of a read/write lock: names are looked through as they come in.
///   Where a contender's name is too long for that, waiting fails with
///   [`ReplyTooLarge`](crate::error::Error::ReplyTooLarge).
#[derive(Debug)]
pub struct Buffers<'d> {
    /// Two buffers for requests, one being filled while the other is written. Each must take the
    /// largest request, and a handshake of 49 bytes.
    pub tx: [&'d mut [u8]; 2],
    /// Room for replies, shared out evenly among the calls.
    pub bodies: &'d mut [u8],
}

impl<const CALLS: usize, const WATCHES: usize, const TASKS: usize> Default
    for Resources<'_, CALLS, WATCHES, TASKS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<'d, const CALLS: usize, const WATCHES: usize, const TASKS: usize>
    Resources<'d, CALLS, WATCHES, TASKS>
{
    /// Empty tables, fit for a `static`.
    pub const fn new() -> Self {
        Self {
            rooms: [const { None }; CALLS],
            calls: [const { None }; CALLS],
            pending: [[Pending::VACANT; 2]; CALLS],
            watches: [const { None }; WATCHES],
            claims: [const { None }; CALLS],
            room: [const { None }; TASKS],
            state: [const { None }; TASKS],
        }
    }

    /// The parts of a hub, and the transmit buffer that the driver starts with.
    pub fn parts(
        &'d mut self,
        buffers: Buffers<'d>,
        chroot: &'d str,
        auths: &'d [Credential<'d>],
    ) -> (Parts<Borrowed<'d>>, FixedTx<'d>) {
        let Buffers {
            tx: [tx, spare],
            bodies,
        } = buffers;
        let size = bodies.len().checked_div(CALLS).unwrap_or(0).max(1);
        for (room, body) in self.rooms.iter_mut().zip(bodies.chunks_exact_mut(size)) {
            *room = Some(body);
        }
        let parts = Parts {
            bodies: Pool(&mut self.rooms),
            calls: Table(&mut self.calls),
            pending: Ring {
                slots: self.pending.as_flattened_mut(),
                head: 0,
                len: 0,
            },
            watches: WatchTable(&mut self.watches),
            claims: Table(&mut self.claims),
            room: Turns(&mut self.room),
            state: Turns(&mut self.state),
            tx: FixedTx::new(tx),
            chroot,
            auths,
        };
        (parts, FixedTx::new(spare))
    }
}

/// Room for replies, lent out and given back by moving the `&mut` itself.
pub struct Pool<'d>(&'d mut [Option<&'d mut [u8]>]);

/// A reply in a lent buffer.
#[derive(Debug)]
pub struct Loan<'d> {
    room: &'d mut [u8],
    len: usize,
}

impl AsRef<[u8]> for Loan<'_> {
    fn as_ref(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }
}

impl<'d> Bodies for Pool<'d> {
    type Frame<'f> = &'f [u8];
    type Room = &'d mut [u8];
    type Body = Loan<'d>;

    fn reserve(&mut self) -> Option<&'d mut [u8]> {
        self.0.iter_mut().find_map(Option::take)
    }

    fn keep(room: &'d mut [u8], frame: &[u8], skip: usize) -> Result<Loan<'d>, &'d mut [u8]> {
        let body = frame.get(skip..).unwrap_or_default();
        match room.get_mut(..body.len()) {
            Some(start) => {
                start.copy_from_slice(body);
                Ok(Loan {
                    room,
                    len: body.len(),
                })
            }
            None => Err(room),
        }
    }

    fn bytes<'r>(room: &'r mut &'d mut [u8]) -> Option<&'r mut [u8]> {
        Some(room)
    }

    fn seal(room: &'d mut [u8], len: usize) -> Loan<'d> {
        Loan { room, len }
    }

    fn release(&mut self, room: &'d mut [u8]) {
        if let Some(vacant) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *vacant = Some(room);
        }
    }

    fn recycle(&mut self, body: Loan<'d>) {
        self.release(body.room);
    }
}

/// A table in a slice.
pub struct Table<'d, T>(&'d mut [Option<T>]);

impl<T> Slots<T> for Table<'_, T> {
    fn vacancy(&self) -> Option<usize> {
        self.0.iter().position(Option::is_none)
    }

    fn fill(&mut self, index: usize, value: T) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = Some(value);
        }
    }

    #[inline(never)]
    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index)?.as_mut()
    }

    fn remove(&mut self, index: usize) -> Option<T> {
        self.0.get_mut(index)?.take()
    }

    fn bound(&self) -> usize {
        self.0.len()
    }
}

/// A queue in a slice.
#[derive(Debug)]
pub struct Ring<'d, T> {
    slots: &'d mut [T],
    head: usize,
    len: usize,
}

impl<T> Ring<'_, T> {
    fn place(&self, offset: usize) -> usize {
        (self.head + offset)
            .checked_rem(self.slots.len())
            .unwrap_or(0)
    }
}

impl<T: Copy> Fifo<T> for Ring<'_, T> {
    fn push(&mut self, value: T) -> Result<(), Full> {
        let place = self.place(self.len);
        let free = self.len < self.slots.len();
        *self.slots.get_mut(place).filter(|_| free).ok_or(Full)? = value;
        self.len += 1;
        Ok(())
    }

    fn unpush(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    fn front(&self) -> Option<T> {
        self.slots.get(self.head).copied().filter(|_| self.len > 0)
    }

    fn pop(&mut self) -> Option<T> {
        let front = self.front()?;
        self.head = self.place(1);
        self.len -= 1;
        Some(front)
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Watches in a slice, looked up one by one.
pub struct WatchTable<'d>(&'d mut [Option<Watch<Queue>>]);

impl Watches for WatchTable<'_> {
    type Events = Queue;

    fn insert(
        &mut self,
        path: Path<'_>,
        new: impl FnOnce(Queue) -> Watch<Queue>,
    ) -> Result<usize, Full> {
        let watch = new(Queue::at(path)?);
        Table(self.0).insert(watch).map_err(|_| Full)
    }

    fn get(&self, index: usize) -> Option<(&str, &Watch<Queue>)> {
        let watch = self.0.get(index)?.as_ref()?;
        Some((watch.queue.own(), watch))
    }

    #[inline(never)]
    fn get_mut(&mut self, index: usize) -> Option<&mut Watch<Queue>> {
        self.0.get_mut(index)?.as_mut()
    }

    fn remove(&mut self, index: usize) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = None;
        }
    }

    fn bound(&self) -> usize {
        self.0.len()
    }

    fn each_at(&mut self, path: &str, visit: &mut dyn FnMut(&mut Watch<Queue>)) {
        let watches = self.0.iter_mut().flatten();
        watches
            .filter(|watch| watch.queue.own() == path)
            .for_each(visit);
    }
}

/// The path of a watch, and room for one event of a recursive one. As that is at or below the path,
/// what its own path has more follows in the same place.
#[derive(Debug)]
pub struct Queue {
    text: heapless::String<BYTES_PER_PATH, u16>,
    /// How much of the text is the path of the watch.
    own: u16,
    event: Option<EventKind>,
}

impl Queue {
    fn at(path: Path<'_>) -> Result<Self, Full> {
        let mut text = heapless::String::new();
        text.push_str(path.as_str()).map_err(|_| Full)?;
        let own = u16::try_from(text.len()).map_err(|_| Full)?;
        Ok(Self {
            text,
            own,
            event: None,
        })
    }

    fn own(&self) -> &str {
        self.text.get(..self.own.into()).unwrap_or_default()
    }
}

impl Events for Queue {
    type Path = BoardPath;

    fn push(&mut self, kind: EventKind, path: &str) -> Result<(), Full> {
        let more = path.strip_prefix(self.own()).ok_or(Full)?;
        if self.event.is_some() {
            return Err(Full);
        }
        self.text.push_str(more).map_err(|_| Full)?;
        self.event = Some(kind);
        Ok(())
    }

    fn pop(&mut self) -> Option<(EventKind, BoardPath)> {
        let event = Some((self.event?, BoardPath::try_from_parts(&[&self.text])?));
        self.clear();
        event
    }

    fn is_empty(&self) -> bool {
        self.event.is_none()
    }

    fn clear(&mut self) {
        // Unlike `truncate` this cannot panic.
        while self.text.len() > self.own.into() && self.text.pop().is_some() {}
        self.event = None;
    }
}

/// Waiting tasks in a slice. More of them than there are places keep waking each other.
pub struct Turns<'d>(&'d mut [Option<(usize, Waker)>]);

impl Turns<'_> {
    fn oldest(&mut self) -> Option<&mut Option<(usize, Waker)>> {
        self.0
            .iter_mut()
            .filter(|slot| slot.is_some())
            .min_by_key(|slot| slot.as_ref().map(|(ticket, _)| *ticket))
    }

    fn at(&mut self, ticket: usize) -> Option<&mut Option<(usize, Waker)>> {
        self.0
            .iter_mut()
            .find(|slot| matches!(slot, Some((at, _)) if *at == ticket))
    }
}

impl Waiters for Turns<'_> {
    fn set(&mut self, ticket: usize, waker: &Waker) -> Option<Waker> {
        let new = (ticket, waker.clone());
        if let Some(slot) = self.at(ticket) {
            *slot = Some(new);
            return None;
        }
        if let Some(vacant) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *vacant = Some(new);
            return None;
        }
        match self.oldest() {
            Some(slot) => slot.replace(new).map(|(_, waker)| waker),
            None => Some(new.1),
        }
    }

    fn remove(&mut self, ticket: usize) -> bool {
        self.at(ticket).and_then(Option::take).is_some()
    }

    fn pop(&mut self) -> Option<Waker> {
        self.oldest().and_then(Option::take).map(|(_, waker)| waker)
    }
}

/// A transmit buffer in a slice.
pub type FixedTx<'d> = SliceSink<'d>;

impl Tx for FixedTx<'_> {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn capacity(&self) -> usize {
        self.room()
    }
}

impl Auths for &[Credential<'_>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, index: usize) -> Option<Credential<'_>> {
        <[_]>::get(self, index).copied()
    }
}
