//! Bytes from a server, until they are frames.

use core::task::Waker;

use docent_core::error::ProtocolError;
use docent_core::handle::{Share as _, wake};
use docent_core::hub::Hub;
use docent_core::wire::{FrameReader, Step};

use crate::shared::{Link, now};

pub(crate) struct Receiver<'d> {
    link: Link<'d>,
    frames: FrameReader,
    buffer: &'d mut [u8],
    /// Bytes that have been received and are no whole frame yet.
    received: usize,
}

impl<'d> Receiver<'d> {
    pub(crate) const fn new(link: Link<'d>, buffer: &'d mut [u8]) -> Self {
        Self {
            link,
            frames: FrameReader::new(),
            buffer,
            received: 0,
        }
    }

    /// Before another connection.
    pub(crate) fn reset(&mut self) {
        self.frames = FrameReader::new();
        self.received = 0;
    }

    /// Where to put what is received next. There is always some.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.received..).unwrap_or_default()
    }

    /// Hands on the frames that are complete with `count` more bytes.
    ///
    /// # Errors
    /// The server broke the protocol.
    pub(crate) fn receive(&mut self, count: usize) -> Result<(), ProtocolError> {
        self.received = self.received.saturating_add(count).min(self.buffer.len());
        let mut at = 0;
        while let Some(done) = self.step(at)? {
            at += done;
        }
        self.buffer.copy_within(at..self.received, 0);
        self.received -= at;
        Ok(())
    }

    /// Takes one step through what was received, from `at` on. Returns how many bytes are done with.
    fn step(&mut self, at: usize) -> Result<Option<usize>, ProtocolError> {
        let received = self.buffer.get(at..self.received).unwrap_or_default();
        let (now, longest) = (now(), self.buffer.len().saturating_sub(4));
        let (done, waker) = match self.frames.step(received, longest)? {
            Step::NeedMore { .. } => return Ok(None),
            Step::Skipping { n } => {
                let skipped = received.get(..n).unwrap_or_default();
                (n, self.link.with(|hub| hub.handle_skipped(now, skipped))?)
            }
            Step::Oversized { header, len } => {
                let handle = |hub: &mut Hub<_>| hub.handle_oversized(now, header, len);
                (0, self.link.with(handle)?)
            }
            Step::Frame(range) => {
                let end = range.end;
                let frame = received.get(range).unwrap_or_default();
                (end, self.link.with(|hub| hub.handle_frame(now, frame))?)
            }
        };
        // The hub may have others to wake as well.
        wake(&self.link);
        waker.into_iter().for_each(Waker::wake);
        Ok(Some(done))
    }
}
