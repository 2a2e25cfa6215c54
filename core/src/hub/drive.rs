//! The driver's side of the hub: connections, frames and bytes.

use core::task::Waker;

use super::calls::{Pending, Stage};
use super::sieve::{Sieve, Sifting, is_noted};
use super::storage::{Auths, Bodies, Fifo, Slots as _, Storage, Tx, register};
use super::{Frame, Hub};
use crate::error::{Code, Error, ProtocolError};
use crate::session::{Action, CLOSE_XID, Control, End, HostIndex, Inbound};
use crate::time::Instant;
use crate::wire::{self, Encoder, OpCode, ReplyHeader, RequestHeader, Sink, xid};

impl<S: Storage> Hub<S> {
    /// What the transport must do next. Ask until there is nothing, before anything else.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.session.poll_action()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    /// Whether the client is over and the driver may stop.
    pub fn is_over(&self) -> bool {
        self.session.status().state.end().is_some()
    }

    /// Registers the driver, to be woken by the next submission.
    pub fn register_driver(&mut self, waker: &Waker) {
        register(&mut self.driver, waker);
    }

    /// The connection that was asked for is open.
    pub fn handle_opened(&mut self, now: Instant) {
        self.sifting = None;
        self.session.handle_opened(now);
    }

    /// The connection, or the attempt to open one, has failed.
    pub fn handle_lost(&mut self, now: Instant) {
        self.session.handle_lost(now);
        self.follow();
    }

    /// The answer to a [probe](Action::Probe).
    pub fn handle_probed(&mut self, now: Instant, host: HostIndex, writable: bool) {
        self.session.handle_probed(now, host, writable);
        self.follow();
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.follow();
    }

    /// A complete frame has arrived, without its length. Returns the task that waits for it.
    ///
    /// # Errors
    /// The server broke the protocol. The connection has been given up; the driver learns so from
    /// [`poll_action`](Self::poll_action), and may log the error.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        frame: Frame<'_, S>,
    ) -> Result<Option<Waker>, ProtocolError> {
        match self.session.handle_frame(now, frame.as_ref()) {
            Ok(Inbound::Reply(header)) => self.handle_reply(now, header, Ending::Kept(frame)),
            Ok(Inbound::Event(event)) => {
                let waker = self.dispatch(&event);
                Ok(waker)
            }
            Ok(Inbound::Quiet) => {
                self.follow();
                Ok(None)
            }
            Err(error) => Err(self.broken(now, error)),
        }
    }

    /// A frame of `size` bytes has begun that is too large to keep. All of it is skipped; what is,
    /// goes to [`handle_skipped`](Self::handle_skipped).
    ///
    /// # Errors
    /// As for [`handle_frame`](Self::handle_frame).
    pub fn handle_oversized(
        &mut self,
        now: Instant,
        header: ReplyHeader,
        size: usize,
    ) -> Result<Option<Waker>, ProtocolError> {
        match self.session.handle_header(now, header) {
            Ok(Inbound::Reply(header)) if header.err == 0 && self.is_noted(&header) => {
                self.sifting = Some(Sifting::new(header, size));
                Ok(None)
            }
            Ok(Inbound::Reply(header)) => {
                self.handle_reply(now, header, Ending::Failed(Error::ReplyTooLarge { size }))
            }
            Ok(_) => {
                self.follow();
                Ok(None)
            }
            Err(error) => Err(self.broken(now, error)),
        }
    }

    /// Some bytes of an oversized frame were skipped, the first four being its length.
    ///
    /// # Errors
    /// As for [`handle_frame`](Self::handle_frame).
    pub fn handle_skipped(
        &mut self,
        now: Instant,
        bytes: &[u8],
    ) -> Result<Option<Waker>, ProtocolError> {
        let Some(mut sifting) = self.sifting.take() else {
            return Ok(None);
        };
        if let Some(room) = self.room_due() {
            sifting.sieve.feed(room, bytes);
        }
        sifting.left = sifting.left.saturating_sub(bytes.len());
        if sifting.left > 0 {
            self.sifting = Some(sifting);
            return Ok(None);
        }
        let Sifting {
            header,
            size,
            sieve,
            ..
        } = sifting;
        self.handle_reply(now, header, Ending::Sifted(sieve, size))
    }

    /// The room of the call whose reply is due.
    fn room_due(&mut self) -> Option<&mut [u8]> {
        let call = self.parts.pending.front()?.call?;
        match &mut self.parts.calls.get_mut(call.index())?.stage {
            Stage::Waiting(room) => S::Bodies::bytes(room),
            _ => None,
        }
    }

    /// Whether the reply that is due is a list that can be looked through.
    fn is_noted(&mut self, header: &ReplyHeader) -> bool {
        let due = self.parts.pending.front();
        let due = due.is_some_and(|due| due.xid == header.xid);
        due && self.parts.pending.len() > self.unsent && self.room_due().is_some_and(is_noted)
    }

    /// The bytes of a connection are no frames.
    pub fn handle_broken(&mut self, now: Instant) {
        self.session.handle_broken(now);
        self.follow();
        self.wake.driver = true;
    }

    fn broken(&mut self, now: Instant, error: ProtocolError) -> ProtocolError {
        self.handle_broken(now);
        error
    }

    #[inline]
    fn handle_reply(
        &mut self,
        now: Instant,
        header: ReplyHeader,
        ending: Ending<'_, S>,
    ) -> Result<Option<Waker>, ProtocolError> {
        let in_flight = self.parts.pending.len() > self.unsent;
        let due = self
            .parts
            .pending
            .front()
            .filter(|due| in_flight && due.xid == header.xid);
        let Some(Pending { call, watch, .. }) = due else {
            return Err(self.broken(now, ProtocolError::UnexpectedXid(header.xid)));
        };
        self.parts.pending.pop();
        self.session.handle_reply(now, &header);
        match watch {
            Some(watch) if call.is_some() => self.settle_watch(watch, header.err),
            Some(watch) if header.err != 0 => self.bare_watch(watch),
            _ => {}
        }
        let waker = match call {
            Some(call) if header.err == 0 => self.complete(call, ending),
            Some(call) => {
                let error = Error::Server(Code::from(header.err));
                self.complete(call, Ending::Failed(error))
            }
            None => {
                self.freed_room();
                None
            }
        };
        self.flush_unwatched();
        if header.err != 0 {
            self.session.handle_refusal(now, Code::from(header.err));
        }
        self.follow();
        Ok(waker)
    }

    /// Fills `spare`, which must be empty, with what is to be written next, and says whether there
    /// is anything. Write it all before asking again, or clear it if the connection is lost: what it
    /// holds has been given up then.
    pub fn poll_transmit(&mut self, now: Instant, spare: &mut S::Tx) -> bool {
        while let Some(control) = self.session.next_control(self.parts.tx.is_empty()) {
            if !self.encode_control(now, control, spare) {
                break;
            }
        }
        if !spare.is_empty() {
            return true;
        }
        if self.parts.tx.is_empty() || !self.session.may_send() {
            return false;
        }
        core::mem::swap(&mut self.parts.tx, spare);
        self.session
            .requests_sent(now, u32::try_from(self.unsent).unwrap_or(u32::MAX));
        self.unsent = 0;
        self.freed_room();
        self.flush_unwatched();
        true
    }

    /// Whether `spare` took the message.
    fn encode_control(&mut self, now: Instant, control: Control, spare: &mut S::Tx) -> bool {
        let alone = spare.is_empty();
        let taken = match control {
            Control::Restore { from, zxid } => return self.encode_restore(now, from, zxid, spare),
            Control::Connect => {
                let connect = self.session.connect_request();
                put(spare, |out| connect.encode(out))
            }
            Control::Auth(place) => self
                .parts
                .auths
                .get(usize::from(place))
                .is_some_and(|auth| {
                    put(spare, |out| {
                        RequestHeader {
                            xid: xid::AUTH,
                            op: OpCode::AUTH,
                        }
                        .encode(out);
                        auth.encode(out);
                    })
                }),
            Control::Ping => put(spare, |out| {
                RequestHeader {
                    xid: xid::PING,
                    op: OpCode::PING,
                }
                .encode(out)
            }),
            Control::Close => put(spare, |out| {
                RequestHeader {
                    xid: CLOSE_XID,
                    op: OpCode::CLOSE_SESSION,
                }
                .encode(out)
            }),
        };
        match (taken, alone) {
            (true, _) => {
                self.session.control_sent(now, control);
                self.follow();
            }
            // It will never fit: nothing can be done on this connection, nor on another.
            (false, true) => self.handle_broken(now),
            (false, false) => {}
        }
        taken
    }

    /// Brings calls, watches and claims into line with what has become of the session.
    #[inline]
    pub(super) fn follow(&mut self) {
        if self.session.take_changed() {
            self.follow_change();
        }
    }

    fn follow_change(&mut self) {
        let status = self.session.status();
        let up = self.session.is_up();
        let fresh = status.connections != self.seen.connections;
        if status.epoch != self.seen.epoch || status.state.end().is_some() {
            self.end_epoch(status.state.end().unwrap_or(End::Expired));
        } else if self.linked && (!up || fresh) {
            self.fail_sent();
        }
        if up && fresh {
            self.resync_watches();
        }
        self.linked = up;
        self.seen = status;
        self.wake.state = true;
        self.wake.reaper = true;
        self.wake.driver = true;
    }

    /// Ends every request that was handed to the transport.
    fn fail_sent(&mut self) {
        while self.parts.pending.len() > self.unsent {
            let Some(pending) = self.parts.pending.pop() else {
                break;
            };
            self.fail_pending(pending, Error::ConnectionLost);
        }
        self.freed_room();
    }

    fn fail_pending(&mut self, Pending { call, watch, .. }: Pending, error: Error) {
        if let Some(watch) = watch.filter(|_| call.is_some()) {
            self.settle_watch(watch, Code::ConnectionLoss.number());
        }
        if let Some(call) = call {
            self.fail(call, error);
        }
    }

    fn end_epoch(&mut self, end: End) {
        self.fail_sent();
        while let Some(pending) = self.parts.pending.pop() {
            self.fail_pending(pending, Error::NotSent(end));
        }
        self.unsent = 0;
        self.parts.tx.clear();
        self.lose_watches();
        self.drop_orphans();
        self.freed_room();
    }
}

/// How a call ends.
pub(super) enum Ending<'f, S: Storage> {
    Failed(Error),
    /// By a whole frame.
    Kept(Frame<'f, S>),
    /// By what was found in a list of so many bytes.
    Sifted(Sieve, usize),
}

impl<S: Storage> Ending<'_, S> {
    /// The result, and the room if it is not in use any more.
    #[inline]
    pub(super) fn finish(self, room: super::RoomOf<S>) -> super::Finished<S> {
        match self {
            Self::Failed(error) => (Err(error), Some(room)),
            Self::Kept(frame) => keep::<S>(room, frame),
            Self::Sifted(sieve, size) => sifted::<S>(room, &sieve, size),
        }
    }
}

fn keep<S: Storage>(mut room: super::RoomOf<S>, frame: Frame<'_, S>) -> super::Finished<S> {
    let size = frame.as_ref().len();
    if let Some(bytes) = S::Bodies::bytes(&mut room)
        && size > bytes.len().saturating_add(ReplyHeader::SIZE)
        && is_noted(bytes)
    {
        let mut sieve = Sieve::new(ReplyHeader::SIZE);
        sieve.feed(bytes, frame.as_ref());
        return sifted::<S>(room, &sieve, size);
    }
    match S::Bodies::keep(room, frame, ReplyHeader::SIZE) {
        Ok(body) => (Ok(body), None),
        Err(room) => (Err(Error::ReplyTooLarge { size }), Some(room)),
    }
}

/// What was found in a list of `size` bytes.
fn sifted<S: Storage>(
    mut room: super::RoomOf<S>,
    sieve: &Sieve,
    size: usize,
) -> super::Finished<S> {
    match S::Bodies::bytes(&mut room).and_then(|bytes| sieve.finish(bytes)) {
        Some(len) => (Ok(S::Bodies::seal(room, len)), None),
        None => (Err(Error::ReplyTooLarge { size }), Some(room)),
    }
}

/// Appends one frame of the session itself.
pub(super) fn put(out: &mut impl Tx, body: impl FnOnce(&mut Encoder<'_>)) -> bool {
    wire::frame(out, usize::MAX, "", false, body).is_ok()
}
