//! The primitives of ZooKeeper's serialisation: big-endian numbers and length-prefixed bytes.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use thiserror::Error;

use crate::path::{BadPath, Path, strip_chroot};
use crate::wire::types::{Acl, Perms, Stat};

/// The sink has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
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
        let end = self.staged.saturating_add(bytes.len());
        if let Some(slot) = self.stage.get_mut(self.staged..end) {
            slot.copy_from_slice(bytes);
            self.staged = end;
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

/// The rule of the protocol that received bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The frame ends before the record does.
    #[error("the record is cut short")]
    Truncated,
    /// A length or count below -1, which stands for null.
    #[error("a length is negative")]
    NegativeLength,
    /// Null where a string must be.
    #[error("a string is null")]
    NullString,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// More items are announced than the frame has bytes for.
    #[error("a list announces more items than the frame can hold")]
    Count,
    /// A path that the request cannot have led to, as it lies outside the chroot.
    #[error("a path lies outside the chroot")]
    Chroot,
    /// A path that no server can hold.
    #[error("bad path in a reply: {0}")]
    Path(BadPath),
    /// A session password that is not 16 bytes long.
    #[error("the session password has {0} bytes instead of 16")]
    Password(usize),
    /// A multi result of a type that cannot be read.
    #[error("unknown type {0} of a multi result")]
    ResultType(i32),
    /// A failed multi in which no operation failed.
    #[error("a failed multi names no failure")]
    NoCause,
    /// A frame length that is negative, below that of a reply header, or beyond belief.
    #[error("{0} is no frame length")]
    FrameLength(i32),
    /// The first bytes are TLS or plain text, such as HTTP.
    #[error("the peer does not speak ZooKeeper's protocol; is this a TLS or HTTP port?")]
    NotZooKeeper,
}

/// Reads fields from the front of a record.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            total: bytes.len(),
        }
    }

    /// Bytes read so far.
    #[inline]
    pub const fn position(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// Number of bytes left.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes left.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(chunk)
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn int(&mut self) -> Result<i32, Malformed> {
        self.chunk().map(|chunk| i32::from_be_bytes(*chunk))
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn long(&mut self) -> Result<i64, Malformed> {
        self.chunk().map(|chunk| i64::from_be_bytes(*chunk))
    }

    /// Reads one byte; anything but 0 is true.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        self.chunk().map(|[byte]| *byte != 0)
    }

    /// Reads a length; `None` for null.
    #[inline]
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| Malformed::NegativeLength),
        }
    }

    /// Reads a buffer; `None` for null.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] and [`Malformed::NegativeLength`].
    #[inline]
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(Some(bytes))
    }

    /// Reads a string; `None` for null.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer), and [`Malformed::NotUtf8`].
    #[inline]
    pub fn opt_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(bytes) = self.buffer()? else {
            return Ok(None);
        };
        core::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Malformed::NotUtf8)
    }

    /// Reads a string that must not be null.
    ///
    /// # Errors
    /// As [`opt_string`](Self::opt_string), and [`Malformed::NullString`].
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.opt_string()?.ok_or(Malformed::NullString)
    }

    /// Reads a server path, as seen from below `chroot`.
    ///
    /// # Errors
    /// As [`string`](Self::string), [`Malformed::Chroot`] and [`Malformed::Path`].
    pub fn path(&mut self, chroot: &str) -> Result<Path<'a>, Malformed> {
        let path = strip_chroot(self.string()?, chroot).ok_or(Malformed::Chroot)?;
        Path::new(path).map_err(Malformed::Path)
    }

    /// Reads the number of items that follow, each at least `min_item_size` bytes long; null counts
    /// as none.
    ///
    /// # Errors
    /// [`Malformed::Count`] if the frame cannot hold that many, [`Malformed::Truncated`] and
    /// [`Malformed::NegativeLength`].
    #[inline]
    pub fn count(&mut self, min_item_size: usize) -> Result<usize, Malformed> {
        let count = self.length()?.unwrap_or(0);
        match count.checked_mul(min_item_size) {
            Some(bytes) if bytes <= self.remaining() => Ok(count),
            _ => Err(Malformed::Count),
        }
    }

    /// Reads a [`Stat`].
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn stat(&mut self) -> Result<Stat, Malformed> {
        // One check of the length for all fields: the compiler drops those below.
        let mut fields = Decoder::new(self.chunk::<{ Stat::SIZE }>()?);
        Ok(Stat {
            czxid: fields.long()?,
            mzxid: fields.long()?,
            ctime: fields.long()?,
            mtime: fields.long()?,
            version: fields.int()?,
            cversion: fields.int()?,
            aversion: fields.int()?,
            ephemeral_owner: fields.long()?,
            data_length: fields.int()?,
            num_children: fields.int()?,
            pzxid: fields.long()?,
        })
    }

    /// Reads a list and checks all of it; the iterator then reads it again.
    ///
    /// # Errors
    /// As [`count`](Self::count), and those of the items.
    pub fn items<T: Record<'a>>(&mut self) -> Result<Items<'a, T>, Malformed> {
        let left = self.count(T::MIN_SIZE)?;
        let input = self.clone();
        for _ in 0..left {
            T::decode(self)?;
        }
        Ok(Items {
            input,
            left,
            item: PhantomData,
        })
    }
}

/// What a list can consist of.
pub trait Record<'a>: Sized {
    /// Bytes of the shortest encoding; at least 1.
    const MIN_SIZE: usize;

    /// Reads one item.
    ///
    /// # Errors
    /// [`Malformed`] names the broken rule.
    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed>;
}

impl<'a> Record<'a> for &'a str {
    const MIN_SIZE: usize = 4;

    #[inline]
    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        input.string()
    }
}

impl<'a> Record<'a> for Acl<'a> {
    const MIN_SIZE: usize = 12;

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        // Servers store what a client sent, null included.
        let perms = Perms::from_bits(input.int()?);
        let scheme = input.opt_string()?.unwrap_or_default();
        let id = input.opt_string()?.unwrap_or_default();
        Ok(Acl { perms, scheme, id })
    }
}

/// The items of a list, read one by one from the bytes of a reply.
pub struct Items<'a, T> {
    input: Decoder<'a>,
    left: usize,
    item: PhantomData<T>,
}

impl<'a, T: Record<'a>> Items<'a, T> {
    /// The list at the front of `body`, which has been checked.
    #[inline]
    pub(super) fn new(body: &'a [u8]) -> Self {
        let mut input = Decoder::new(body);
        let left = input.count(T::MIN_SIZE).unwrap_or(0);
        Self {
            input,
            left,
            item: PhantomData,
        }
    }
}

impl<'a, T: Record<'a>> Iterator for Items<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        T::decode(&mut self.input).ok()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: Record<'a>> ExactSizeIterator for Items<'a, T> {}

impl<T> Clone for Items<'_, T> {
    fn clone(&self) -> Self {
        Self {
            input: self.input.clone(),
            left: self.left,
            item: PhantomData,
        }
    }
}

impl<'a, T: Record<'a> + fmt::Debug> fmt::Debug for Items<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_not_trusted() {
        let read = |word: i32| {
            let mut bytes = [1; 12];
            bytes[..4].copy_from_slice(&word.to_be_bytes());
            (
                Decoder::new(&bytes).buffer().map(|_| ()),
                Decoder::new(&bytes).count(4),
            )
        };
        assert_eq!(read(-1), (Ok(()), Ok(0)));
        assert_eq!(
            read(-2),
            (
                Err(Malformed::NegativeLength),
                Err(Malformed::NegativeLength)
            )
        );
        assert_eq!(read(2), (Ok(()), Ok(2)));
        assert_eq!(read(3), (Ok(()), Err(Malformed::Count)));
        assert_eq!(read(9), (Err(Malformed::Truncated), Err(Malformed::Count)));
        assert_eq!(
            read(i32::MAX),
            (Err(Malformed::Truncated), Err(Malformed::Count))
        );
    }

    #[test]
    fn strings_are_checked() {
        let read = |bytes| Decoder::new(bytes).string();
        assert_eq!(read(b"\0\0\0\x02\xc3\xa9!"), Ok("é"));
        assert_eq!(read(b"\0\0\0\x01\xc3\xa9"), Err(Malformed::NotUtf8));
        assert_eq!(read(b"\xff\xff\xff\xff"), Err(Malformed::NullString));
        assert_eq!(read(b"\0\0\0"), Err(Malformed::Truncated));
    }

    #[test]
    fn the_true_size_is_told_without_writing_it() {
        let mut room = [0; 7];
        let mut sink = SliceSink::new(&mut room);
        let mut out = Encoder::new(&mut sink, 10, "", false, [0; 4]);
        out.int(7);
        assert_eq!(out.finish(), Err(Refused::Full));
        let mut out = Encoder::new(&mut sink, 10, "", false, [0; 4]);
        out.int(7);
        out.buffer(b"more");
        assert_eq!(
            out.finish(),
            Err(Refused::TooLarge {
                size: 12,
                limit: 10
            })
        );
        assert_eq!(sink.len(), 0);
    }

    #[test]
    fn nothing_is_written_past_the_limit() {
        let mut room = [0; 300];
        let mut sink = SliceSink::new(&mut room);
        let mut out = Encoder::new(&mut sink, 99, "", false, [0; 4]);
        out.bytes(&[1; 90]);
        out.bytes(&[1; 90]);
        out.int(7);
        assert_eq!(
            out.finish(),
            Err(Refused::TooLarge {
                size: 184,
                limit: 99
            })
        );
        assert!(sink.len() <= 99 + 4);
    }

    #[test]
    fn the_root_is_the_chroot() {
        let mut room = [0; 64];
        let mut sink = SliceSink::new(&mut room);
        let mut out = Encoder::new(&mut sink, 64, "/c", false, *b"pre:");
        out.path(Path::ROOT);
        out.path(Path::trusted("/a"));
        out.prefix(Path::ROOT);
        out.absolute_path(Path::ROOT);
        assert_eq!(out.finish(), Ok(26));
        let expected = b"pre:\0\0\0\x02/c\0\0\0\x04/c/a\0\0\0\x03/c/\0\0\0\x01/";
        assert_eq!(sink.as_bytes(), expected);
    }

    #[test]
    fn a_patch_stays_inside() {
        let mut room = [0; 6];
        let mut sink = SliceSink::new(&mut room);
        sink.put(&[1; 6]).unwrap();
        sink.patch(1, [2; 4]);
        sink.patch(3, [3; 4]);
        sink.patch(usize::MAX, [3; 4]);
        assert_eq!(sink.as_bytes(), [1, 2, 2, 2, 2, 1]);
        assert_eq!(sink.put(&[0]), Err(Full));
        sink.truncate(1);
        sink.truncate(2);
        assert_eq!(sink.as_bytes(), [1]);
    }
}
