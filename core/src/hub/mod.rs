//! Where callers and one connection meet: calls, watches, claims and the bytes to send.
//!
//! A [`Hub`] does no I/O and takes no lock. A transport wraps it in a lock of its own kind and runs
//! two sides against it:
//!
//! * callers [submit](Hub::submit) requests, which are encoded at once into the transmit buffer, and
//!   [poll](Hub::poll_reply) for the reply;
//! * one driver carries out the session's [actions](Hub::poll_action), feeds in
//!   [frames](Hub::handle_frame) and writes out what [`poll_transmit`](Hub::poll_transmit) fills.
//!
//! Wakers are handed out by [`poll_waker`](Hub::poll_waker), to be called when the lock is released.
//!
//! What was submitted is sent in that order, and answered in that order. A request that was still in
//! the transmit buffer when a connection died has certainly not run: it stays there for the next
//! connection. One that was handed to the transport ends as
//! [`ConnectionLost`](Error::ConnectionLost), which therefore means exactly: may or may not have run.

mod borrowed;
mod calls;
mod claims;
mod drive;
#[cfg(feature = "alloc")]
mod heap;
mod sieve;
mod storage;
#[cfg(test)]
mod tests;
mod watches;

use core::mem;
use core::task::{Poll, Waker};

pub use borrowed::{
    BYTES_PER_PATH, BoardPath, Borrowed, Buffers, FixedTx, Loan, Pool, Queue, Resources, Ring,
    Table, Turns, WatchTable,
};
pub use calls::{Call, Id, Pending};
pub(crate) use claims::{ClaimTicket, NewClaim};
pub use claims::{Claimed, Orphan};
#[cfg(feature = "alloc")]
pub use heap::{
    Heap, HeapAuths, HeapEvents, HeapTx, HeapWaiters, HeapWatches, Limited, Limits, Shared, Slab,
};
pub use storage::{
    Auths, Bodies, Events as EventQueue, Fifo, Parts, Slots, Storage, Tx, Waiters, Watches,
};
pub use watches::{Change, Watch};

use crate::error::Error;
use crate::path::PathBuf as _;
use crate::session::{Epoch, Session, Status};
use crate::time::Instant;
use crate::wire::{AddWatch, Encode, Encoder, OpCode, Request, RequestHeader, Sink as _, frame};
use calls::Stage;
use drive::Ending;
use sieve::{Sifting, note};

/// A frame as the storage's driver holds it.
pub type Frame<'f, S> = <<S as Storage>::Bodies as Bodies>::Frame<'f>;
/// A reply's body as the storage keeps it.
pub type BodyOf<S> = <<S as Storage>::Bodies as Bodies>::Body;

/// A session with everything that is in flight on it.
pub struct Hub<S: Storage> {
    session: Session,
    parts: Parts<S>,
    /// How many of the pending requests are still in the transmit buffer.
    unsent: usize,
    /// The session as it was when last followed.
    seen: Status,
    linked: bool,
    driver: Option<Waker>,
    reaper: Option<Waker>,
    wake: Wake,
    /// Whether tasks may be waiting for room.
    contended: bool,
    /// A task that lost its place among the waiting ones, and must ask for it again.
    evicted: Option<Waker>,
    /// Watches that nobody looks at any more while the server still has them.
    unwatching: usize,
    /// Claims whose nodes wait to be cleaned up.
    orphaned: usize,
    /// The reply that is too large to keep and is being looked through.
    sifting: Option<Sifting>,
    next_claim: u64,
    next_ticket: usize,
}

/// Which wakers are due.
#[derive(Clone, Copy, Debug, Default)]
struct Wake {
    driver: bool,
    reaper: bool,
    state: bool,
    /// Waiters for room, one for each place that became free.
    room: usize,
    /// From where on calls, and watches, may have wakers due.
    calls: Option<usize>,
    watches: Option<usize>,
}

impl Wake {
    const fn any(&self) -> bool {
        self.driver
            || self.reaper
            || self.state
            || self.room > 0
            || self.calls.is_some()
            || self.watches.is_some()
    }
}

/// Bytes of the frame of an addWatch, but for its path.
const ADD_WATCH: usize = 4 + 8 + 4 + 4;

/// What comes with a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// The watch that a good reply sets.
    pub watch: Option<Id>,
    /// The only session in which the request may run.
    pub epoch: Option<Epoch>,
}

impl<S: Storage> Hub<S> {
    /// A hub that keeps everything in `parts`. `seed` must be unlike that of other clients of the
    /// same session.
    // Inlined, and moved to where it stays, it would be twice the code on a board.
    #[inline(never)]
    pub fn new(mut session: Session, parts: Parts<S>, seed: u64) -> Self {
        (0..parts.auths.count()).for_each(|_| session.add_auth());
        Self {
            seen: session.status(),
            session,
            parts,
            unsent: 0,
            linked: false,
            driver: None,
            reaper: None,
            wake: Wake::default(),
            contended: false,
            evicted: None,
            unwatching: 0,
            orphaned: 0,
            sifting: None,
            next_claim: seed,
            next_ticket: 0,
        }
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The prefix of all paths, as given by the connect string.
    pub const fn chroot(&self) -> &S::Chroot {
        &self.parts.chroot
    }

    /// The session's state, after a look at the clock: a process that slept through the end of its
    /// lease learns so here, before it acts on a lock.
    pub fn status(&mut self, now: Instant) -> Status {
        if self.session.lease().is_some_and(|end| end <= now) {
            self.handle_timeout(now);
        }
        self.session.status_of_callers()
    }

    /// How many requests are waiting for their reply, sent or not.
    pub fn requests(&self) -> usize {
        self.parts.pending.len()
    }

    // ---- calls ----

    /// Encodes `request` into the transmit buffer, behind all submitted before. `waker` is woken
    /// when the reply is there.
    ///
    /// The call must be [polled](Self::poll_reply) to its end or [abandoned](Self::abandon).
    ///
    /// # Errors
    /// Nothing was queued, and the request will never run: [`Error::Full`] if there is no room now
    /// (see [`await_room`](Self::await_room)), [`Error::TooLarge`], or [`Error::NotSent`] once the
    /// session is over.
    pub fn submit<R: Request>(
        &mut self,
        request: &R,
        terms: Terms,
        waker: Option<&Waker>,
    ) -> Result<Id, Error> {
        self.submit_encoded(request, terms, waker)
    }

    #[inline]
    pub(crate) fn submit_encoded<R: Encode + ?Sized>(
        &mut self,
        request: &R,
        terms: Terms,
        waker: Option<&Waker>,
    ) -> Result<Id, Error> {
        self.admit(terms.epoch)?;
        let index = self.parts.calls.vacancy().ok_or(Error::Full)?;
        let call = Id::new(index).ok_or(Error::Full)?;
        let mut room = self.parts.bodies.reserve().ok_or(Error::Full)?;
        if let Some(bytes) = S::Bodies::bytes(&mut room) {
            note(bytes, request.picks());
        }
        if let Err(error) = self.enqueue(request, Some(call), terms.watch) {
            self.parts.bodies.release(room);
            return Err(error);
        }
        self.parts.calls.fill(index, Call::new(room));
        if let Some(slot) = self.parts.calls.get_mut(index) {
            slot.waker = waker.cloned();
        }
        Ok(call)
    }

    /// Encodes a request that may set `watch`.
    fn enqueue<R: Encode + ?Sized>(
        &mut self,
        request: &R,
        call: Option<Id>,
        watch: Option<Id>,
    ) -> Result<(), Error> {
        let covered = watch.and_then(|watch| self.persistent_beside(watch));
        let beside = covered.is_some();
        match covered {
            None => self.encode(request, call, watch, watch.is_some())?,
            Some((path, mode)) => {
                let path = path.as_path();
                let beside = AddWatch { path, mode };
                self.enqueue_beside(request, call, watch, &beside)?;
            }
        }
        if let Some(watch) = watch {
            self.expect_watch(watch, beside);
        }
        self.wake.driver |= self.driver.is_some() && self.session.may_send();
        Ok(())
    }

    /// Encodes a request for a watch on the path of a persistent one, both or nothing.
    ///
    /// A server before 3.9 keeps one kind of watch per path, the last one set. So a read leaves no
    /// watch of its own: the persistent one, which is set again before it, serves both. A persistent
    /// watch cannot be left out, and the recursive one is set again behind it.
    fn enqueue_beside<R: Encode + ?Sized>(
        &mut self,
        request: &R,
        call: Option<Id>,
        watch: Option<Id>,
        beside: &AddWatch<'_>,
    ) -> Result<(), Error> {
        let (start, unsent) = (self.parts.tx.len(), self.unsent);
        // Few requests come here, which need no code of their own.
        let encode_beside: &dyn Encode = beside;
        let encoded = if request.opcode() == OpCode::ADD_WATCH {
            self.encode(request, call, watch, true)
                .and_then(|()| self.encode(encode_beside, None, None, true))
        } else {
            self.encode(encode_beside, None, watch, true)
                .and_then(|()| self.encode(request, call, watch, false))
        };
        encoded.map_err(|error| {
            self.parts.tx.truncate(start);
            while self.unsent > unsent {
                self.parts.pending.unpush();
                self.unsent -= 1;
            }
            self.unfit(request, beside).unwrap_or(error)
        })
    }

    /// What is wrong with requests that do not fit together even when there is nothing else.
    #[cold]
    fn unfit<R: Encode + ?Sized>(&mut self, request: &R, beside: &AddWatch<'_>) -> Option<Error> {
        let start = self.parts.tx.len();
        let limit = self.parts.tx.capacity();
        self.encode(request, None, None, true).ok()?;
        self.parts.pending.unpush();
        self.unsent -= 1;
        let own = self.parts.tx.len() - start;
        self.parts.tx.truncate(start);
        let size = own + self.chroot().as_ref().len() + beside.path.as_str().len() + ADD_WATCH;
        (size > limit).then_some(Error::TooLarge { size, limit })
    }

    /// Encodes a request, which leaves a watch if it `watches`.
    fn encode<R: Encode + ?Sized>(
        &mut self,
        request: &R,
        call: Option<Id>,
        watch: Option<Id>,
        watches: bool,
    ) -> Result<(), Error> {
        if request.opcode() == OpCode::CHECK {
            return Err(Error::CheckAlone);
        }
        let xid = self.session.next_xid();
        self.parts
            .pending
            .push(Pending { xid, call, watch })
            .map_err(|_| Error::Full)?;
        let limit = self
            .session
            .max_request()
            .min(self.parts.tx.capacity().saturating_sub(4));
        let body = |out: &mut Encoder<'_>| {
            RequestHeader {
                xid,
                op: request.opcode(),
            }
            .encode(out);
            request.encode_body(out);
        };
        match frame(
            &mut self.parts.tx,
            limit,
            self.parts.chroot.as_ref(),
            watches,
            body,
        ) {
            Ok(()) => {
                self.unsent += 1;
                Ok(())
            }
            Err(refused) => {
                self.parts.pending.unpush();
                Err(refused.into())
            }
        }
    }

    fn admit(&self, epoch: Option<Epoch>) -> Result<(), Error> {
        if let Some(end) = self.session.end_for_new_requests() {
            return Err(Error::NotSent(end));
        }
        match epoch {
            Some(epoch) if epoch != self.seen.epoch => {
                Err(Error::NotSent(crate::session::End::Expired))
            }
            _ => Ok(()),
        }
    }

    /// The reply of `call`; takes it once it is there, which ends the call.
    #[inline]
    pub fn poll_reply(&mut self, call: Id, waker: &Waker) -> Poll<Result<BodyOf<S>, Error>> {
        let Some(slot) = self.parts.calls.get_mut(call.index()) else {
            return Poll::Ready(Err(Error::ConnectionLost));
        };
        let Some(result) = slot.poll(waker) else {
            return Poll::Pending;
        };
        self.parts.calls.vacate(call.index());
        self.freed_room();
        Poll::Ready(result)
    }

    /// Nobody waits for `call` any more. It may run all the same.
    pub fn abandon(&mut self, call: Id) {
        let Some(slot) = self.parts.calls.get_mut(call.index()) else {
            return;
        };
        match mem::replace(&mut slot.stage, Stage::Moving) {
            // The place stays taken until the reply has come by, for the order of replies.
            Stage::Waiting(room) => {
                *slot = Call {
                    stage: Stage::Abandoned(room),
                    waker: None,
                }
            }
            stage => {
                slot.stage = stage;
                if let Some(call) = self.parts.calls.remove(call.index()) {
                    self.discard(call);
                }
                self.freed_room();
            }
        }
    }

    fn discard(&mut self, call: Call<S::Bodies>) {
        match call.stage {
            Stage::Waiting(room) | Stage::Abandoned(room) => self.parts.bodies.release(room),
            Stage::Done(Ok(body)) => self.parts.bodies.recycle(body),
            Stage::Done(Err(_)) | Stage::Moving => {}
        }
    }

    /// Takes back the room of a body that has been read.
    pub fn recycle(&mut self, body: BodyOf<S>) {
        self.parts.bodies.recycle(body);
        self.freed_room();
    }

    /// Ends `call`, and returns the waker of its task.
    fn complete(&mut self, call: Id, ending: Ending<'_, S>) -> Option<Waker> {
        let slot = self.parts.calls.get_mut(call.index())?;
        match mem::replace(&mut slot.stage, Stage::Moving) {
            Stage::Waiting(room) => {
                let (result, room) = ending.finish(room);
                slot.stage = Stage::Done(result);
                let waker = slot.waker.take();
                if let Some(room) = room {
                    self.parts.bodies.release(room);
                }
                waker
            }
            stage => {
                let waker = slot.waker.take();
                if let Some(call) = self.parts.calls.remove(call.index()) {
                    self.discard(Call { stage, ..call });
                }
                self.freed_room();
                waker
            }
        }
    }

    /// Ends `call` with `error`; its task is woken by a later sweep.
    fn fail(&mut self, call: Id, error: Error) {
        let waker = self.complete(call, Ending::Failed(error));
        if let Some(slot) = self.parts.calls.get_mut(call.index()) {
            slot.waker = waker;
            self.wake.calls = Some(0);
        }
    }

    // ---- waiting ----

    /// A place became free that somebody may wait for.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    const fn freed_room(&mut self) {
        if self.contended {
            self.wake.room += 1;
        }
    }

    /// Registers a task to be woken when a request may fit that was [refused](Error::Full) before.
    /// `ticket` is the task's place in the queue; [forget](Self::forget_room) it when done.
    pub fn await_room(&mut self, ticket: &mut Option<usize>, waker: &Waker) {
        let ticket = *ticket.get_or_insert_with(|| Self::ticket(&mut self.next_ticket));
        self.contended = true;
        let evicted = self.parts.room.set(ticket, waker);
        self.evicted = evicted.or_else(|| self.evicted.take());
    }

    /// Gives up a place in the queue for room. If its turn had come, it passes to the next.
    pub fn forget_room(&mut self, ticket: usize) {
        if !self.parts.room.remove(ticket) {
            self.freed_room();
        }
    }

    /// Waits until the status differs from `since`; see [`await_room`](Self::await_room) for `ticket`.
    pub fn poll_changed(
        &mut self,
        since: Status,
        ticket: &mut Option<usize>,
        waker: &Waker,
        now: Instant,
    ) -> Poll<Status> {
        let status = self.status(now);
        if status != since {
            return Poll::Ready(status);
        }
        self.await_state(ticket, waker);
        Poll::Pending
    }

    /// Waits until the server of this connection has accepted the credential at `place`.
    ///
    /// # Errors
    /// [`Error::NotSent`] if the client is over, by a refusal of the credential or otherwise.
    pub fn poll_auth(
        &mut self,
        place: u16,
        ticket: &mut Option<usize>,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        if let Some(end) = self.session.status().state.end() {
            return Poll::Ready(Err(Error::NotSent(end)));
        }
        if self.session.auth_accepted(place) {
            return Poll::Ready(Ok(()));
        }
        self.await_state(ticket, waker);
        Poll::Pending
    }

    /// Waits until the client is over.
    pub(crate) fn poll_over(&mut self, ticket: &mut Option<usize>, waker: &Waker) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        self.await_state(ticket, waker);
        Poll::Pending
    }

    fn await_state(&mut self, ticket: &mut Option<usize>, waker: &Waker) {
        let ticket = *ticket.get_or_insert_with(|| Self::ticket(&mut self.next_ticket));
        let evicted = self.parts.state.set(ticket, waker);
        self.evicted = evicted.or_else(|| self.evicted.take());
    }

    /// Gives up waiting for a change of state.
    pub fn forget_state(&mut self, ticket: usize) {
        self.parts.state.remove(ticket);
    }

    /// Once they are used up they begin again: for once somebody is overtaken then.
    const fn ticket(next: &mut usize) -> usize {
        *next = next.wrapping_add(1);
        *next
    }

    // ---- the end ----

    /// Ends the session when everything submitted so far is answered, within the close timeout.
    pub fn close(&mut self, now: Instant) {
        self.session.close(now);
        self.follow();
        self.wake.state = true;
        self.wake.driver = true;
    }

    /// Ends the client and leaves the session to time out, or to be resumed.
    pub fn detach(&mut self) {
        self.session.detach();
        self.follow();
        self.wake.driver = true;
    }

    // ---- wakers ----

    /// A task to be woken once the lock is released. Ask until there is none.
    #[inline]
    pub fn poll_waker(&mut self) -> Option<Waker> {
        if self.wake.any() || self.evicted.is_some() {
            self.due_waker()
        } else {
            None
        }
    }

    fn due_waker(&mut self) -> Option<Waker> {
        if mem::take(&mut self.wake.driver)
            && let Some(driver) = self.driver.take()
        {
            return Some(driver);
        }
        if mem::take(&mut self.wake.reaper)
            && let Some(reaper) = self.reaper.take()
        {
            return Some(reaper);
        }
        let evicted = self.evicted.take();
        evicted
            .or_else(|| self.room_waker())
            .or_else(|| self.call_waker())
            .or_else(|| self.watch_waker())
            .or_else(|| self.state_waker())
    }

    fn room_waker(&mut self) -> Option<Waker> {
        let due = mem::take(&mut self.wake.room);
        let waker = if due > 0 { self.parts.room.pop() } else { None };
        if waker.is_some() {
            self.wake.room = due - 1;
        } else if due > 0 {
            self.contended = false;
        }
        waker
    }

    fn call_waker(&mut self) -> Option<Waker> {
        let from = self.wake.calls.take()?;
        for index in from..self.parts.calls.bound() {
            let waker = self.parts.calls.get_mut(index).and_then(Call::take_waker);
            if waker.is_some() {
                self.wake.calls = Some(index + 1);
                return waker;
            }
        }
        None
    }

    fn watch_waker(&mut self) -> Option<Waker> {
        let from = self.wake.watches.take()?;
        for index in from..self.parts.watches.bound() {
            let waker = self
                .parts
                .watches
                .get_mut(index)
                .and_then(Watch::take_waker);
            if waker.is_some() {
                self.wake.watches = Some(index + 1);
                return waker;
            }
        }
        None
    }

    fn state_waker(&mut self) -> Option<Waker> {
        let waker = if self.wake.state {
            self.parts.state.pop()
        } else {
            None
        };
        self.wake.state = waker.is_some();
        waker
    }
}

type RoomOf<S> = <<S as Storage>::Bodies as Bodies>::Room;
type Finished<S> = (Result<BodyOf<S>, Error>, Option<RoomOf<S>>);
