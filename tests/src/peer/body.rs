//! The records that scripts read and write.

use std::io;
use std::time::{Duration, Instant};

use super::invalid;

pub(super) const PING_XID: i32 = -2;
const EVENT_XID: i32 = -1;
const SYNC_CONNECTED: i32 = 3;

/// Numbers of operations, as in a request's header.
pub mod op {
    /// Creates a node; the reply has its path.
    pub const CREATE: i32 = 1;
    /// Deletes a node.
    pub const DELETE: i32 = 2;
    /// Looks for a node; the reply has its stat.
    pub const EXISTS: i32 = 3;
    /// Reads a node; the reply has its data and stat.
    pub const GET_DATA: i32 = 4;
    /// Writes a node; the reply has its stat.
    pub const SET_DATA: i32 = 5;
    /// Lists a node's children; the reply has their names.
    pub const GET_CHILDREN: i32 = 8;
    /// Waits for the server to catch up; the reply has the path.
    pub const SYNC: i32 = 9;
    /// Keeps the session alive.
    pub const PING: i32 = 11;
    /// Lists a node's children; the reply has their names and the node's stat.
    pub const GET_CHILDREN2: i32 = 12;
    /// Several operations at once.
    pub const MULTI: i32 = 14;
    /// Creates a node; the reply has its path and stat.
    pub const CREATE2: i32 = 15;
    /// Adds a credential to the connection.
    pub const AUTH: i32 = 100;
    /// Sets the watches of an earlier connection again.
    pub const SET_WATCHES: i32 = 101;
    /// The same, with persistent watches.
    pub const SET_WATCHES2: i32 = 105;
    /// Adds a persistent watch.
    pub const ADD_WATCH: i32 = 106;
    /// Ends the session.
    pub const CLOSE: i32 = -11;
}

/// A client's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The highest transaction id that the client has seen.
    pub last_zxid: i64,
    /// The session timeout that it wants, in milliseconds.
    pub timeout_ms: i32,
    /// The session that it wants to resume; 0 for a new one.
    pub session: i64,
    /// The session's password.
    pub password: Vec<u8>,
    /// Whether a read-only server will do; old clients do not say.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    pub(super) fn parse(mut frame: &[u8]) -> Option<Self> {
        let rest = &mut frame;
        let _version = int(rest)?;
        Some(Self {
            last_zxid: long(rest)?,
            timeout_ms: int(rest)?,
            session: long(rest)?,
            password: buffer(rest)?.to_vec(),
            read_only: rest.first().map(|byte| *byte != 0),
        })
    }
}

/// What a server says when it accepts a session. The fields may be set to nonsense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The session's id.
    pub session: i64,
    /// The timeout granted, in milliseconds.
    pub timeout_ms: i32,
    /// The session's password; 16 bytes in good answers.
    pub password: Vec<u8>,
    /// Whether the server is read-only; old servers do not say.
    pub read_only: Option<bool>,
}

impl Grant {
    /// A good answer, with a password made of the session's id.
    ///
    /// Timeouts beyond 24 days are cut to that.
    pub fn new(session: i64, timeout: Duration) -> Self {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let password = session.to_be_bytes().repeat(2);
        Self {
            session,
            timeout_ms,
            password,
            read_only: Some(false),
        }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The client's number for it.
    pub xid: i32,
    /// The operation; see [`op`].
    pub op: i32,
    /// What follows the header.
    pub body: Vec<u8>,
    /// When it had been read.
    pub at: Instant,
    /// The [index](super::Connection::index) of its connection.
    pub connection: usize,
}

impl Request {
    pub(super) fn parse(mut frame: Vec<u8>, connection: usize) -> io::Result<Self> {
        let mut rest = frame.as_slice();
        let header = int(&mut rest).zip(int(&mut rest));
        let (xid, op) = header.ok_or_else(|| invalid("request header", &frame))?;
        let body = frame.split_off(8);
        Ok(Self {
            xid,
            op,
            body,
            at: Instant::now(),
            connection,
        })
    }

    /// The string with which the body of most operations starts.
    ///
    /// `None` if it starts otherwise, as far as can be seen.
    pub fn path(&self) -> Option<&str> {
        let path = buffer(&mut self.body.as_slice())?;
        str::from_utf8(path)
            .ok()
            .filter(|path| path.starts_with('/'))
    }
}

/// Builds the body of a reply, or anything else made of ZooKeeper's primitive types.
///
/// ```
/// use docent_testing::peer::Body;
///
/// let children = Body::new().int(2).string("a").string("b").stat(7, 0).done();
/// assert_eq!(children.len(), 4 + 5 + 5 + 68);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// An empty body.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends an int. A vector starts with the count of its items.
    #[must_use]
    pub fn int(self, value: i32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a long.
    #[must_use]
    pub fn long(self, value: i64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a boolean.
    #[must_use]
    pub fn boolean(self, value: bool) -> Self {
        self.raw(&[u8::from(value)])
    }

    /// Appends a string.
    #[must_use]
    pub fn string(self, value: &str) -> Self {
        self.buffer(value.as_bytes())
    }

    /// Appends a buffer with its length.
    #[must_use]
    pub fn buffer(self, value: &[u8]) -> Self {
        let length = i32::try_from(value.len()).expect("a buffer is below 2 GiB");
        self.int(length).raw(value)
    }

    /// Appends the stat of a node that was created, and last changed, by `zxid`.
    #[must_use]
    pub fn stat(self, zxid: i64, ephemeral_owner: i64) -> Self {
        let times = self.long(zxid).long(zxid).long(0).long(0);
        times
            .int(0)
            .int(0)
            .int(0)
            .long(ephemeral_owner)
            .int(0)
            .int(0)
            .long(zxid)
    }

    /// Appends bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The bytes.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

pub(super) fn header(xid: i32, zxid: i64, code: i32) -> Vec<u8> {
    Body::new().int(xid).long(zxid).int(code).done()
}

pub(super) fn event(kind: i32, path: &str) -> Vec<u8> {
    let header = Body::new().raw(&header(EVENT_XID, -1, 0));
    header.int(kind).int(SYNC_CONNECTED).string(path).done()
}

pub(super) fn connect_response(grant: &Grant) -> Vec<u8> {
    let fixed = Body::new().int(0).int(grant.timeout_ms).long(grant.session);
    let body = fixed.buffer(&grant.password);
    grant.read_only.into_iter().fold(body, Body::boolean).done()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(take(rest, 8)?.try_into().ok()?))
}

fn buffer<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match int(rest)? {
        -1 => Some(&[]),
        length => take(rest, usize::try_from(length).ok()?),
    }
}
