//! Writing ZooKeeper's serialisation: big-endian numbers and length-prefixed bytes.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use thiserror::Error;

use crate::path::Path;
use crate::wire::types::Acl;

/// The sink has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("no room left for the encoded bytes")]
pub struct Full;

/// Where encoded bytes go: a growing vector, or a slice of fixed size.
pub trait Sink {
    /// Bytes written so far.
    fn len(&self) -> usize;

    /// Whether nothing has been written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`Full`] if there is no room; the sink may then hold a part of them.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;

    /// Overwrites the four bytes that were written at `at`; does nothing if there are none.
    fn patch(&mut self, at: usize, word: [u8; 4]);

    /// Forgets everything from `len` on.
    fn truncate(&mut self, len: usize);
}

#[cfg(feature = "alloc")]
impl Sink for Vec<u8> {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.try_reserve(bytes.len()).map_err(|_| Full)?;
        self.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn patch(&mut self, at: usize, word: [u8; 4]) {
        overwrite(self, at, word);
    }

    fn truncate(&mut self, len: usize) {
        self.truncate(len);
    }
}

/// A [`Sink`] over borrowed bytes.
#[derive(Debug)]
pub struct SliceSink<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> SliceSink<'a> {
    /// An empty sink that can take as many bytes as `room` has.
    pub const fn new(room: &'a mut [u8]) -> Self {
        Self { room, len: 0 }
    }

    /// How many bytes it can take in all.
    pub const fn room(&self) -> usize {
        self.room.len()
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }
}

impl Sink for SliceSink<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(bytes.len()).ok_or(Full)?;
        self.room
            .get_mut(self.len..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    #[inline]
    fn patch(&mut self, at: usize, word: [u8; 4]) {
        overwrite(self.room, at, word);
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

#[inline]
fn overwrite(bytes: &mut [u8], at: usize, word: [u8; 4]) {
    if let Some(slot) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *slot = word;
    }
}

/// Why a request was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refused {
    /// The sink has no room for it now.
    #[error("no room left for the request")]
    Full,
    /// It is longer than a frame may be; a server would close the connection without a word.
    #[error("the request has {size} bytes, of {limit} allowed")]
    TooLarge {
        /// Bytes of the whole payload.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// Bytes gathered before the sink is called, which is virtual; enough for most reads.
const STAGE: usize = 64;

/// Writes the fields of one frame.
///
/// No method fails. Once the frame's limit is passed, or the sink is full, the rest is only counted;
/// [`frame`](crate::wire::frame()) reports it.
pub struct Encoder<'a> {
    sink: &'a mut dyn Sink,
    chroot: &'a str,
    watch: bool,
    full: bool,
    limit: usize,
    size: usize,
    stage: [u8; STAGE],
    staged: usize,
}

impl<'a> Encoder<'a> {
    /// The first bytes are `prefix`, which does not count.
    #[inline]
    pub(super) fn new(
        sink: &'a mut dyn Sink,
        limit: usize,
        chroot: &'a str,
        watch: bool,
        prefix: [u8; 4],
    ) -> Self {
        let stage = [0; STAGE];
        let mut out = Self {
            sink,
            chroot,
            watch,
            full: false,
            limit,
            size: 0,
            stage,
            staged: 0,
        };
        out.fixed(prefix);
        out.size = 0;
        out
    }

    /// The number of bytes, if all of them were taken.
    #[inline]
    pub(super) fn finish(&mut self) -> Result<usize, Refused> {
        self.flush();
        let Self {
            size, limit, full, ..
        } = *self;
        match () {
            () if size > limit => Err(Refused::TooLarge { size, limit }),
            () if full => Err(Refused::Full),
            () => Ok(size),
        }
    }

    fn flush(&mut self) {
        let staged = self.stage.get(..self.staged).unwrap_or_default();
        self.staged = 0;
        if self.size <= self.limit && !self.full {
            self.full = self.sink.put(staged).is_err();
        }
    }

    /// As [`bytes`](Self::bytes), where the length is known at compile time and small.
    #[inline]
    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(slot) = self
            .stage
            .get_mut(self.staged..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            *slot = bytes;
            self.staged = self.staged.saturating_add(N);
            self.size = self.size.saturating_add(N);
        } else {
            self.bytes(&bytes);
        }
    }

    /// Appends `bytes` as they are, without a length.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let free = self.stage.get_mut(self.staged..).unwrap_or_default();
        if let Some(slot) = free.get_mut(..bytes.len()) {
            slot.copy_from_slice(bytes);
            self.staged = self.staged.saturating_add(bytes.len());
            self.size = self.size.saturating_add(bytes.len());
        } else {
            self.unstaged(bytes);
        }
    }

    fn unstaged(&mut self, bytes: &[u8]) {
        self.flush();
        self.size = self.size.saturating_add(bytes.len());
        if self.size <= self.limit && !self.full {
            self.full = self.sink.put(bytes).is_err();
        }
    }

    /// Appends a 32-bit number.
    #[inline]
    pub fn int(&mut self, value: i32) {
        self.fixed(value.to_be_bytes());
    }

    /// Appends a 64-bit number.
    #[inline]
    pub fn long(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    /// Appends one byte, 0 or 1.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.fixed([u8::from(value)]);
    }

    /// Appends the number of items that follow.
    #[inline]
    pub fn count(&mut self, items: usize) {
        // A number that does not fit belongs to a frame that is over any limit.
        self.int(i32::try_from(items).unwrap_or(i32::MAX));
    }

    /// Appends a length and the bytes.
    #[inline]
    pub fn buffer(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes(bytes);
    }

    /// Appends the null buffer or the null string, which is not the empty one.
    #[inline]
    pub fn null_buffer(&mut self) {
        self.int(-1);
    }

    /// Appends a string.
    #[inline]
    pub fn string(&mut self, text: &str) {
        self.buffer(text.as_bytes());
    }

    /// Appends a string, or null.
    pub fn opt_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.null_buffer(),
        }
    }

    /// Appends a path below the chroot; the root stands for the chroot itself.
    #[inline]
    pub fn path(&mut self, path: Path<'_>) {
        if path.is_root() && !self.chroot.is_empty() {
            self.string(self.chroot);
        } else {
            self.prefix(path);
        }
    }

    /// Appends a path for a sequential create: below the chroot even if it is the root, since the
    /// server appends a number.
    #[inline]
    pub fn prefix(&mut self, path: Path<'_>) {
        let path = path.as_str().as_bytes();
        self.count(self.chroot.len().saturating_add(path.len()));
        if !self.chroot.is_empty() {
            self.bytes(self.chroot.as_bytes());
        }
        self.bytes(path);
    }

    /// Appends a path of the server's, whatever the chroot.
    pub fn absolute_path(&mut self, path: Path<'_>) {
        self.string(path.as_str());
    }

    /// Appends whether the read leaves a watch.
    #[inline]
    pub fn watch(&mut self) {
        self.boolean(self.watch);
    }

    /// Appends an access control list.
    pub fn acl(&mut self, acl: &[Acl<'_>]) {
        self.count(acl.len());
        for entry in acl {
            self.int(entry.perms.bits());
            self.string(entry.scheme);
            self.string(entry.id);
        }
    }
}
