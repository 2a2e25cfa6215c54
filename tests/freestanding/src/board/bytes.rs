//! Bytes on their way from the server.

use docent_core::wire::{Encoder, Full, Sink, frame};

const ROOM: usize = 1024;

pub(super) struct Bytes {
    room: [u8; ROOM],
    len: usize,
}

impl Bytes {
    pub(super) const fn new() -> Self {
        Self {
            room: [0; ROOM],
            len: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// Appends a frame, if there is room for it.
    pub(super) fn send(&mut self, body: impl FnOnce(&mut Encoder<'_>)) {
        // A frame that is missing shows as a client that waits for ever.
        let _ = frame(self, ROOM, "", false, body);
    }

    pub(super) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len);
        self.room.rotate_left(count);
        self.len -= count;
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }
}

impl Sink for Bytes {
    fn len(&self) -> usize {
        self.len
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let free = self.room.get_mut(self.len..).ok_or(Full)?;
        free.get_mut(..bytes.len())
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    fn patch(&mut self, at: usize, word: [u8; 4]) {
        let place = self.room.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = word;
        }
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
