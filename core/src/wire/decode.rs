//! Reading ZooKeeper's serialisation, in place.

use core::fmt;
use core::marker::PhantomData;

use thiserror::Error;

use crate::path::{BadPath, Path, strip_chroot};
use crate::wire::types::{Acl, Perms, Stat};

/// The rule of the protocol that received bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// None.
impl<'a, T: Record<'a>> Default for Items<'a, T> {
    fn default() -> Self {
        Self::new(&[])
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
    use crate::wire::encode::{Encoder, Full, Refused, Sink as _, SliceSink};

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
