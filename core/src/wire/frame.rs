//! Frames, their headers, and what is sent outside of the queue of requests.

use core::fmt;
use core::ops::Range;

use crate::error::Code;
use crate::path::Path;
use crate::wire::decode::{Decoder, Malformed};
use crate::wire::encode::{Encoder, Refused, Sink};
use crate::wire::types::{EventKind, OpCode, WatchKind};

/// Transaction-like numbers with which requests and replies are paired.
pub mod xid {
    /// Of an event.
    pub const NOTIFICATION: i32 = -1;
    /// Of a ping and its reply.
    pub const PING: i32 = -2;
    /// Of an `auth` packet and its reply.
    pub const AUTH: i32 = -4;
    /// Of a request to restore watches and its reply.
    pub const SET_WATCHES: i32 = -8;
}

/// Bytes of the length that precedes each payload.
const PREFIX: usize = 4;

/// Encodes one frame: the length of the payload, then what `body` writes.
///
/// `limit` bounds the payload, in bytes. `chroot` is empty for none, `watch` is what
/// [`Encoder::watch`] writes.
///
/// # Errors
/// [`Refused`] if the frame is over the limit or the sink cannot take it; the sink is then as it
/// was.
pub fn frame(
    sink: &mut dyn Sink,
    limit: usize,
    chroot: &str,
    watch: bool,
    body: impl FnOnce(&mut Encoder<'_>),
) -> Result<(), Refused> {
    let start = sink.len();
    let outcome = try_frame(sink, limit, chroot, watch, body);
    match outcome {
        Ok(word) => sink.patch(start, word),
        Err(_) => sink.truncate(start),
    }
    outcome.map(|_| ())
}

#[inline]
fn try_frame(
    sink: &mut dyn Sink,
    limit: usize,
    chroot: &str,
    watch: bool,
    body: impl FnOnce(&mut Encoder<'_>),
) -> Result<[u8; PREFIX], Refused> {
    let limit = limit.min(i32::MAX as usize);
    let mut out = Encoder::new(sink, limit, chroot, watch, [0; PREFIX]);
    body(&mut out);
    let size = out.finish()?;
    u32::try_from(size)
        .map(u32::to_be_bytes)
        .map_err(|_| Refused::TooLarge { size, limit })
}

/// The opening frame of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The last transaction seen in this session; 0 for a new one.
    pub last_zxid: i64,
    /// The wanted session timeout in milliseconds.
    pub timeout_ms: i32,
    /// The session to go on with; 0 for a new one.
    pub session: i64,
    /// The session's password; 16 zeros for a new one.
    pub password: &'a [u8],
    /// Whether a read-only server will do.
    pub read_only: bool,
}

impl Connect<'_> {
    /// Appends the record.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(0);
        out.long(self.last_zxid);
        out.int(self.timeout_ms);
        out.long(self.session);
        out.buffer(self.password);
        out.boolean(self.read_only);
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("last_zxid", &self.last_zxid)
            .field("timeout_ms", &self.timeout_ms)
            .field("session", &self.session)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The answer of a server that accepts the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    /// The session timeout that holds from now on, in milliseconds.
    pub timeout_ms: i32,
    /// The session.
    pub session: i64,
    /// What proves the ownership of the session when it moves to another connection.
    pub password: [u8; 16],
    /// Whether the server is read-only at present; servers before 3.4 do not say.
    pub read_only: Option<bool>,
}

impl Connected {
    /// Appends the record, as servers do.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(0);
        out.int(self.timeout_ms);
        out.long(self.session);
        out.buffer(&self.password);
        if let Some(read_only) = self.read_only {
            out.boolean(read_only);
        }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("timeout_ms", &self.timeout_ms)
            .field("session", &self.session)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The answer to [`Connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectReply {
    /// The session is new or goes on.
    Accepted(Connected),
    /// The session is gone, or the password was wrong.
    Expired,
    /// The server answered with an error instead.
    Refused(Code),
}

impl ConnectReply {
    /// Reads the payload of the first frame that a server sends.
    ///
    /// # Errors
    /// [`Malformed`] names the broken rule.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        if payload.len() == ReplyHeader::SIZE {
            let (header, _) = ReplyHeader::decode(payload)?;
            return header.code().map(Self::Refused).ok_or(Malformed::Truncated);
        }
        let mut input = Decoder::new(payload);
        let (_version, timeout_ms, session) = (input.int()?, input.int()?, input.long()?);
        // A dead session's password does not matter, so it cannot hide the expiry.
        if timeout_ms <= 0 || session == 0 {
            return Ok(Self::Expired);
        }
        let password = password(input.buffer()?)?;
        let read_only = input.boolean().ok();
        Ok(Self::Accepted(Connected {
            timeout_ms,
            session,
            password,
            read_only,
        }))
    }
}

fn password(bytes: Option<&[u8]>) -> Result<[u8; 16], Malformed> {
    bytes.map_or(Ok([0; 16]), |bytes| {
        bytes
            .try_into()
            .map_err(|_| Malformed::Password(bytes.len()))
    })
}

/// What precedes the body of each request but [`Connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The number that the reply will carry.
    pub xid: i32,
    /// The operation.
    pub op: OpCode,
}

impl RequestHeader {
    /// Bytes of the encoded header.
    pub const SIZE: usize = 8;

    /// Appends the header.
    #[inline]
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(self.xid);
        out.int(self.op.0);
    }

    /// Splits the payload of a frame into header and body, as servers do.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn decode(payload: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut input = Decoder::new(payload);
        let header = Self {
            xid: input.int()?,
            op: OpCode(input.int()?),
        };
        Ok((header, input.rest()))
    }
}

/// What precedes the body of each reply but the answer to [`Connect`], and of each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The number of the request, or one of [`xid`].
    pub xid: i32,
    /// The last transaction that the server had applied; 0 or less in some replies.
    pub zxid: i64,
    /// 0, or an error; see [`code`](Self::code). There is a body only with 0.
    pub err: i32,
}

impl ReplyHeader {
    /// Bytes of the encoded header.
    pub const SIZE: usize = 16;

    /// The error; `None` for success.
    #[inline]
    pub fn code(&self) -> Option<Code> {
        (self.err != 0).then(|| Code::from(self.err))
    }

    /// Appends the header, as servers do.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(self.xid);
        out.long(self.zxid);
        out.int(self.err);
    }

    /// Splits the payload of a frame into header and body.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn decode(payload: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut input = Decoder::new(payload);
        let header = Self {
            xid: input.int()?,
            zxid: input.long()?,
            err: input.int()?,
        };
        Ok((header, input.rest()))
    }
}

/// Something happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchEvent<'a> {
    /// What happened; `None` for a kind that this version does not know.
    pub kind: Option<EventKind>,
    /// The state of the session; servers only send 3, connected.
    pub state: i32,
    /// The path, chroot included. It need not be valid.
    pub path: &'a str,
}

impl<'a> WatchEvent<'a> {
    /// Appends the record, as servers do.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(self.kind.map_or(-1, EventKind::number));
        out.int(self.state);
        out.string(self.path);
    }

    /// Reads the body of a notification.
    ///
    /// # Errors
    /// [`Malformed`] names the broken rule.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(body);
        Ok(Self {
            kind: EventKind::from_number(input.int()?),
            state: input.int()?,
            path: input.string()?,
        })
    }
}

/// A proof of identity, sent on every connection as an `auth` packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Such as `digest`.
    pub scheme: &'a str,
    /// The secret; `user:password` for `digest`.
    pub data: &'a [u8],
}

impl Credential<'_> {
    /// Whether it has a scheme, and fits a request of `limit` bytes.
    pub const fn fits(&self, limit: usize) -> bool {
        // Two headers and two lengths come with it.
        let size = self.scheme.len().saturating_add(self.data.len());
        !self.scheme.is_empty() && size.saturating_add(20) <= limit
    }

    /// Appends the body of an `auth` packet.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.int(0);
        out.string(self.scheme);
        out.buffer(self.data);
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// Appends the body of a request that restores watches after a reconnect.
///
/// `zxid` is the last transaction seen before the connection was made. `each` shows the paths of
/// one list to a visitor; it is called twice per list and must show the same ones. With `persistent`, there are
/// five lists and the operation is [`OpCode::SET_WATCHES2`] (3.6), else three and
/// [`OpCode::SET_WATCHES`].
pub fn set_watches(
    out: &mut Encoder<'_>,
    zxid: i64,
    persistent: bool,
    mut each: impl FnMut(WatchKind, &mut dyn FnMut(Path<'_>)),
) {
    out.long(zxid);
    let lists = WatchKind::ALL
        .into_iter()
        .filter(|kind| persistent || !kind.is_persistent());
    for kind in lists {
        let mut count = 0_usize;
        each(kind, &mut |_| count = count.saturating_add(1));
        out.count(count);
        each(kind, &mut |path| out.path(path));
    }
}

/// The longest frame that is skipped rather than taken for a sign of a broken peer: 256 MiB.
const LONGEST: i32 = 1 << 28;

/// Checks the four bytes in front of a frame; gives the length of the payload.
///
/// # Errors
/// [`Malformed::NotZooKeeper`] for the beginning of a TLS record or of plain text.
/// [`Malformed::FrameLength`] for other lengths that no server sends: those below 16, the size of a
/// reply header, and those above 256 MiB.
#[inline]
pub fn frame_len(prefix: [u8; 4]) -> Result<usize, Malformed> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(size) if size >= ReplyHeader::SIZE && length <= LONGEST => Ok(size),
        _ if is_foreign(prefix) => Err(Malformed::NotZooKeeper),
        _ => Err(Malformed::FrameLength(length)),
    }
}

/// TLS records begin with a type of 20 to 23 and the major version 3.
fn is_foreign(prefix: [u8; 4]) -> bool {
    matches!(prefix, [20..=23, 3, ..]) || prefix.iter().all(u8::is_ascii_graphic)
}

/// What to do with the bytes received so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Receive some more.
    NeedMore {
        /// How many further bytes it takes at least to make progress.
        at_least: usize,
    },
    /// There is a whole frame. Drop all bytes up to the end of the range when done.
    Frame(Range<usize>),
    /// Drop the first bytes; they belong to a frame that was too long.
    Skipping {
        /// How many bytes to drop.
        n: usize,
    },
    /// A frame that is too long has begun. Drop nothing; the next steps are
    /// [`Skipping`](Self::Skipping) it.
    Oversized {
        /// Its header, by which the request can be told that fails.
        header: ReplyHeader,
        /// Bytes of its payload.
        len: usize,
    },
}

/// Finds frames in a stream of bytes. The bytes stay with the caller, who keeps those that were
/// received and not yet dropped in one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameReader {
    /// Bytes of an oversized frame that are still to be dropped.
    skip: usize,
}

impl FrameReader {
    /// At the start of a connection.
    pub const fn new() -> Self {
        Self { skip: 0 }
    }

    /// Looks at the front of `received`. Payloads of more than `max` bytes are not waited for but
    /// skipped; to learn their header takes room for 20 bytes.
    ///
    /// # Errors
    /// As [`frame_len`]. The connection is of no use any more.
    #[inline]
    pub fn step(&mut self, received: &[u8], max: usize) -> Result<Step, Malformed> {
        if self.skip > 0 {
            return Ok(self.drain(received.len()));
        }
        let Some((prefix, payload)) = received.split_first_chunk() else {
            return Ok(need(PREFIX, received.len()));
        };
        match frame_len(*prefix)? {
            len if len > max => self.oversized(payload, len),
            len if len > payload.len() => Ok(need(len, payload.len())),
            len => Ok(Step::Frame(PREFIX..len.saturating_add(PREFIX))),
        }
    }

    fn drain(&mut self, received: usize) -> Step {
        match received.min(self.skip) {
            0 => Step::NeedMore { at_least: 1 },
            n => {
                self.skip = self.skip.saturating_sub(n);
                Step::Skipping { n }
            }
        }
    }

    fn oversized(&mut self, payload: &[u8], len: usize) -> Result<Step, Malformed> {
        if payload.len() < ReplyHeader::SIZE {
            return Ok(need(ReplyHeader::SIZE, payload.len()));
        }
        let (header, _) = ReplyHeader::decode(payload)?;
        self.skip = len.saturating_add(PREFIX);
        Ok(Step::Oversized { header, len })
    }
}

const fn need(size: usize, received: usize) -> Step {
    Step::NeedMore {
        at_least: size.saturating_sub(received),
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    fn hello(timeout_ms: i32, session: i64, rest: &[u8]) -> heapless::Vec<u8, 64> {
        let parts = [
            &[0; 4][..],
            &timeout_ms.to_be_bytes(),
            &session.to_be_bytes(),
            rest,
        ];
        parts.iter().flat_map(|part| part.iter().copied()).collect()
    }

    #[test]
    fn handshakes_have_many_forms() {
        let decode = |timeout, session, rest| ConnectReply::decode(&hello(timeout, session, rest));
        let password = b"\0\0\0\x100123456789abcdef\x01";
        let Ok(ConnectReply::Accepted(connected)) = decode(6000, 7, password) else {
            panic!()
        };
        assert_eq!((connected.timeout_ms, connected.session), (6000, 7));
        assert_eq!(
            (&connected.password, connected.read_only),
            (b"0123456789abcdef", Some(true))
        );
        let Ok(ConnectReply::Accepted(old)) = decode(6000, 7, &password[..20]) else {
            panic!()
        };
        assert_eq!(old.read_only, None);
        assert_eq!(decode(0, 7, password), Ok(ConnectReply::Expired));
        assert_eq!(decode(-1, 7, b"\0\0\0\0"), Ok(ConnectReply::Expired));
        assert_eq!(decode(6000, 0, password), Ok(ConnectReply::Expired));
        assert_eq!(decode(6000, 7, b"\0\0\0\0"), Err(Malformed::Password(0)));
        assert_eq!(decode(6000, 7, &password[..19]), Err(Malformed::Truncated));
        let Ok(ConnectReply::Accepted(null)) = decode(1, 7, &[0xff; 4]) else {
            panic!()
        };
        assert_eq!(null.password, [0; 16]);
    }

    #[test]
    fn a_bare_header_is_a_refusal() {
        let header = |err: i32| [&[0; 12][..], &err.to_be_bytes()].concat();
        let refused = ConnectReply::Refused(Code::SessionClosedRequireSaslAuth);
        assert_eq!(ConnectReply::decode(&header(-124)), Ok(refused));
        assert_eq!(ConnectReply::decode(&header(0)), Err(Malformed::Truncated));
    }

    #[test]
    fn lengths_are_judged_at_once() {
        let judge = |length: i32| frame_len(length.to_be_bytes());
        assert_eq!(judge(16), Ok(16));
        assert_eq!(judge(LONGEST), Ok(1 << 28));
        for length in [15, 0, -1, i32::MIN, i32::MAX, LONGEST + 1] {
            assert_eq!(judge(length), Err(Malformed::FrameLength(length)));
        }
        for foreign in [*b"HTTP", *b"SSH-", [0x15, 3, 3, 0], [0x16, 3, 1, 2]] {
            assert_eq!(frame_len(foreign), Err(Malformed::NotZooKeeper));
        }
    }

    #[test]
    fn long_frames_are_skipped() {
        let mut reader = FrameReader::new();
        let mut bytes = [0; 40];
        bytes[3] = 30;
        bytes[7] = 9;
        assert_eq!(
            reader.step(&bytes[..19], 29),
            Ok(Step::NeedMore { at_least: 1 })
        );
        let header = ReplyHeader {
            xid: 9,
            zxid: 0,
            err: 0,
        };
        assert_eq!(
            reader.step(&bytes[..20], 29),
            Ok(Step::Oversized { header, len: 30 })
        );
        assert_eq!(reader.step(&bytes[..20], 29), Ok(Step::Skipping { n: 20 }));
        assert_eq!(reader.step(&[], 29), Ok(Step::NeedMore { at_least: 1 }));
        assert_eq!(reader.step(&bytes[..18], 29), Ok(Step::Skipping { n: 14 }));
        assert_eq!(reader, FrameReader::new());
        assert_eq!(reader.step(&bytes, 30), Ok(Step::Frame(4..34)));
    }

    #[test]
    fn secrets_stay_out_of_logs() {
        let secret = Credential {
            scheme: "digest",
            data: b"bob:pw",
        };
        assert_eq!(
            format!("{secret:?}"),
            r#"Credential { scheme: "digest", .. }"#
        );
        let connect = Connect {
            last_zxid: 1,
            timeout_ms: 2,
            session: 3,
            password: &[77; 16],
            read_only: false,
        };
        assert!(!format!("{connect:?}").contains("77"));
    }
}
