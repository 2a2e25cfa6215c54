//! The operations: one struct per request, one view per kind of reply.

use core::fmt;
use core::ops::Range;

use crate::path::{Path, strip_chroot};
use crate::wire::jute::{Decoder, Encoder, Items, Malformed, Record};
use crate::wire::types::{Acl, AddWatchMode, CreateMode, OpCode, Stat, WatchKind, WatcherType};
use crate::wire::{Idempotent, Request, Watchable};

/// The node with the configuration of the ensemble; it lies outside of any chroot.
const CONFIG: Path<'static> = Path::trusted("/zookeeper/config");

/// The number that stands for any version.
pub(super) const fn version(version: Option<i32>) -> i32 {
    match version {
        Some(version) => version,
        None => -1,
    }
}

/// Creates a node; the parent must exist and allow it.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// The node, or for sequential modes what comes before the number.
    pub path: Path<'a>,
    /// Its data.
    pub data: &'a [u8],
    /// How long it lives.
    pub mode: CreateMode,
    /// Who may do what with it; at least one entry.
    pub acl: &'a [Acl<'a>],
}

impl Request for Create<'_> {
    type Response<B: AsRef<[u8]>> = Created<B>;

    fn op(&self) -> OpCode {
        self.mode.op()
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        if self.mode.is_sequential() {
            out.prefix(self.path);
        } else {
            out.path(self.path);
        }
        out.buffer(self.data);
        out.acl(self.acl);
        out.int(self.mode.flags());
        if let Some(ttl) = self.mode.ttl() {
            out.long(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        }
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Created<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.path(chroot)?;
        let end = input.position();
        input.stat()?;
        Ok(Created {
            body,
            chroot: chroot.len(),
            end,
        })
    }
}

/// The reply to [`Create`].
#[derive(Clone, Copy)]
pub struct Created<B> {
    body: B,
    chroot: usize,
    end: usize,
}

impl<B: AsRef<[u8]>> Created<B> {
    /// The path of the new node, with the server's number if the mode is sequential.
    pub fn path(&self) -> Path<'_> {
        below(
            Decoder::new(self.body.as_ref())
                .string()
                .unwrap_or_default(),
            self.chroot,
        )
    }

    /// The new node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }
}

/// The record at `at`, which is known to be there.
#[inline]
fn stat_at(body: &impl AsRef<[u8]>, at: usize) -> Stat {
    let record = body.as_ref().get(at..).unwrap_or_default();
    Decoder::new(record).stat().unwrap_or_default()
}

/// A server path that is known to be valid and inside a chroot of `chroot` bytes, without that.
pub(super) fn below(path: &str, chroot: usize) -> Path<'_> {
    match path.get(chroot..) {
        None | Some("") => Path::ROOT,
        Some(path) => Path::trusted(path),
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Created<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created")
            .field("path", &self.path())
            .field("stat", &self.stat())
            .finish()
    }
}

/// Deletes a node that has no children.
#[derive(Clone, Copy, Debug)]
pub struct Delete<'a> {
    /// The node.
    pub path: Path<'a>,
    /// What [`Stat::version`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for Delete<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::DELETE
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Asks whether a node exists. Without it the reply is [`Code::NoNode`](crate::error::Code::NoNode).
#[derive(Clone, Copy, Debug)]
pub struct Exists<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for Exists<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::EXISTS
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}

impl Idempotent for Exists<'_> {}

impl Watchable for Exists<'_> {
    const WATCH: WatchKind = WatchKind::Data;
    const WATCH_ABSENT: Option<WatchKind> = Some(WatchKind::Exist);

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// Reads the data of a node.
#[derive(Clone, Copy, Debug)]
pub struct GetData<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetData<'_> {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_DATA
    }

    #[inline]
    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    #[inline]
    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}

impl Idempotent for GetData<'_> {}

impl Watchable for GetData<'_> {
    const WATCH: WatchKind = WatchKind::Data;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The data of a node.
#[derive(Clone, Copy)]
pub struct Data<B> {
    body: B,
    end: usize,
}

impl<B: AsRef<[u8]>> Data<B> {
    /// Bytes of the length in front of the data.
    const START: usize = 4;

    #[inline]
    fn decode(body: B) -> Result<Self, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.buffer()?;
        let end = input.position();
        // Only looked at when asked for: replies are moved more often than that.
        input.stat()?;
        Ok(Self { body, end })
    }

    /// The bytes; none if the data is null.
    #[inline]
    pub fn data(&self) -> &[u8] {
        self.body.as_ref().get(self.range()).unwrap_or_default()
    }

    /// Whether the node was written with null, which is not the same as no bytes.
    pub fn is_null(&self) -> bool {
        self.body.as_ref().first_chunk() == Some(&[0xff; 4])
    }

    /// The node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }

    /// Where in the reply's body the bytes lie.
    pub const fn range(&self) -> Range<usize> {
        Self::START..self.end
    }

    /// The reply's body, of which [`range`](Self::range) is the data.
    pub fn into_inner(self) -> B {
        self.body
    }
}

/// Leaves out the data, which may be secret.
impl<B: AsRef<[u8]>> fmt::Debug for Data<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("null", &self.is_null())
            .field("stat", &self.stat())
            .finish_non_exhaustive()
    }
}

/// Replaces the data of a node.
#[derive(Clone, Copy, Debug)]
pub struct SetData<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Its new data.
    pub data: &'a [u8],
    /// What [`Stat::version`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for SetData<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::SET_DATA
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.buffer(self.data);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}

/// Reads the access control list of a node.
#[derive(Clone, Copy, Debug)]
pub struct GetAcl<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetAcl<'_> {
    type Response<B: AsRef<[u8]>> = Acls<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_ACL
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Acls<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.items::<Acl<'_>>()?;
        let end = input.position();
        input.stat()?;
        Ok(Acls { body, end })
    }
}

impl Idempotent for GetAcl<'_> {}

/// The access control list of a node.
#[derive(Clone, Copy)]
pub struct Acls<B> {
    body: B,
    end: usize,
}

impl<B: AsRef<[u8]>> Acls<B> {
    /// The entries. Without the right to administer the node, hashes of passwords show as `x`.
    pub fn iter(&self) -> Items<'_, Acl<'_>> {
        Items::new(self.body.as_ref())
    }

    /// The node.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.body, self.end)
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Acls<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Replaces the access control list of a node.
#[derive(Clone, Copy, Debug)]
pub struct SetAcl<'a> {
    /// The node.
    pub path: Path<'a>,
    /// The new list; at least one entry.
    pub acl: &'a [Acl<'a>],
    /// What [`Stat::aversion`] must be; `None` for any.
    pub version: Option<i32>,
}

impl Request for SetAcl<'_> {
    type Response<B: AsRef<[u8]>> = Stat;

    fn op(&self) -> OpCode {
        OpCode::SET_ACL
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.acl(self.acl);
        out.int(version(self.version));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Stat, Malformed> {
        Decoder::new(body.as_ref()).stat()
    }
}

/// Lists the children of a node, together with its [`Stat`].
#[derive(Clone, Copy, Debug)]
pub struct GetChildren<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetChildren<'_> {
    type Response<B: AsRef<[u8]>> = Children<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_CHILDREN2
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Children<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        input.items::<&str>()?;
        let end = input.position();
        input.stat()?;
        Ok(Children {
            names: Names { body },
            end,
        })
    }
}

impl Idempotent for GetChildren<'_> {}

impl Watchable for GetChildren<'_> {
    const WATCH: WatchKind = WatchKind::Child;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The children of a node, and the node.
#[derive(Clone, Copy)]
pub struct Children<B> {
    names: Names<B>,
    end: usize,
}

impl<B: AsRef<[u8]>> Children<B> {
    /// The names, in no order. A hostile server may send any text.
    pub fn iter(&self) -> Items<'_, &str> {
        self.names.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The node whose children these are.
    #[inline]
    pub fn stat(&self) -> Stat {
        stat_at(&self.names.body, self.end)
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Children<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("names", &self.names)
            .field("stat", &self.stat())
            .finish()
    }
}

/// Lists the children of a node; its reply is the shortest that has them.
#[derive(Clone, Copy, Debug)]
pub struct GetChildNames<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for GetChildNames<'_> {
    type Response<B: AsRef<[u8]>> = Names<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_CHILDREN
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Names<B>, Malformed> {
        Decoder::new(body.as_ref()).items::<&str>()?;
        Ok(Names { body })
    }
}

impl Idempotent for GetChildNames<'_> {}

impl Watchable for GetChildNames<'_> {
    const WATCH: WatchKind = WatchKind::Child;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// The names of a node's children.
#[derive(Clone, Copy)]
pub struct Names<B> {
    body: B,
}

impl<B: AsRef<[u8]>> Names<B> {
    /// The names, in no order. A hostile server may send any text.
    pub fn iter(&self) -> Items<'_, &str> {
        Items::new(self.body.as_ref())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Names<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Makes the server catch up with the leader before it runs what is sent after this.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    /// Any path; the server only sends it back.
    pub path: Path<'a>,
}

impl Request for Sync<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::SYNC
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<(), Malformed> {
        Decoder::new(body.as_ref()).buffer().map(|_| ())
    }
}

impl Idempotent for Sync<'_> {}

/// Lists the ephemeral nodes of this session (3.6).
#[derive(Clone, Copy, Debug)]
pub struct GetEphemerals<'a> {
    /// What their paths start with, as text: `/a` finds `/ab`, too. The root finds all below the
    /// chroot.
    pub prefix: Path<'a>,
}

impl Request for GetEphemerals<'_> {
    type Response<B: AsRef<[u8]>> = Paths<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_EPHEMERALS
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.prefix);
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Paths<B>, Malformed> {
        let mut input = Decoder::new(body.as_ref());
        let (mut at, mut len) = (0, 0_usize);
        for _ in 0..input.count(<&str>::MIN_SIZE)? {
            let path = input.string()?;
            let Some(below) = strip_chroot(path, chroot) else {
                continue;
            };
            Path::new(below).map_err(Malformed::Path)?;
            at = input.position().saturating_sub(path.len());
            len = len.saturating_add(1);
        }
        Ok(Paths {
            body,
            chroot: at..at.saturating_add(chroot.len()),
            len,
        })
    }
}

impl Idempotent for GetEphemerals<'_> {}

/// Some paths, as seen from below the chroot.
#[derive(Clone)]
pub struct Paths<B> {
    body: B,
    /// Where the body has the text of the chroot, if `len` is not 0.
    chroot: Range<usize>,
    len: usize,
}

impl<B: AsRef<[u8]>> Paths<B> {
    /// The paths, in no order; those outside the chroot are left out.
    pub fn iter(&self) -> impl Iterator<Item = Path<'_>> {
        let chroot = self
            .body
            .as_ref()
            .get(self.chroot.clone())
            .unwrap_or_default();
        let chroot = core::str::from_utf8(chroot).unwrap_or_default();
        let paths = Items::<&str>::new(self.body.as_ref());
        paths
            .filter_map(move |path| strip_chroot(path, chroot).map(Path::trusted))
            .take(self.len)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Paths<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Counts all nodes below a node, itself left out (3.6).
#[derive(Clone, Copy, Debug)]
pub struct CountDescendants<'a> {
    /// The node.
    pub path: Path<'a>,
}

impl Request for CountDescendants<'_> {
    type Response<B: AsRef<[u8]>> = i32;

    fn op(&self) -> OpCode {
        OpCode::GET_ALL_CHILDREN_NUMBER
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<i32, Malformed> {
        Decoder::new(body.as_ref()).int()
    }
}

impl Idempotent for CountDescendants<'_> {}

/// Asks for the identities that the server knows this connection by (3.7).
#[derive(Clone, Copy, Debug)]
pub struct WhoAmI;

impl Request for WhoAmI {
    type Response<B: AsRef<[u8]>> = Identities<B>;

    fn op(&self) -> OpCode {
        OpCode::WHO_AM_I
    }

    fn encode(&self, _: &mut Encoder<'_>) {}

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Identities<B>, Malformed> {
        Decoder::new(body.as_ref()).items::<Identity<'_>>()?;
        Ok(Identities { body })
    }
}

impl Idempotent for WhoAmI {}

/// Somebody, as a server knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// How it was proven, as in [`Acl::scheme`].
    pub scheme: &'a str,
    /// The name; of `digest` without the hash.
    pub user: &'a str,
}

impl<'a> Record<'a> for Identity<'a> {
    const MIN_SIZE: usize = 8;

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            scheme: input.string()?,
            user: input.string()?,
        })
    }
}

/// The reply to [`WhoAmI`].
#[derive(Clone, Copy)]
pub struct Identities<B> {
    body: B,
}

impl<B: AsRef<[u8]>> Identities<B> {
    /// The identities; one is always of the scheme `ip`.
    pub fn iter(&self) -> Items<'_, Identity<'_>> {
        Items::new(self.body.as_ref())
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Identities<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Places a watch that goes on after it has fired (3.6). The node need not exist.
#[derive(Clone, Copy, Debug)]
pub struct AddWatch<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Whether it covers the nodes below.
    pub mode: AddWatchMode,
}

impl Request for AddWatch<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::ADD_WATCH
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.mode.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Removes watches of this connection from the server (3.5). Without any the reply is
/// [`Code::NoWatcher`](crate::error::Code::NoWatcher).
#[derive(Clone, Copy, Debug)]
pub struct RemoveWatches<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Which of its watches.
    pub kind: WatcherType,
}

impl Request for RemoveWatches<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::REMOVE_WATCHES
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.kind.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

/// Asks whether this connection has such a watch (3.5). Without any the reply is
/// [`Code::NoWatcher`](crate::error::Code::NoWatcher).
#[derive(Clone, Copy, Debug)]
pub struct CheckWatches<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Which of its watches.
    pub kind: WatcherType,
}

impl Request for CheckWatches<'_> {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::CHECK_WATCHES
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(self.path);
        out.int(self.kind.number());
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Idempotent for CheckWatches<'_> {}

/// Reads the configuration of the ensemble (3.5), whatever the chroot. It is text with a line
/// `server.<id>=..` per member, and last `version=` in hexadecimal; a standalone server's is empty.
#[derive(Clone, Copy, Debug)]
pub struct GetConfig;

impl Request for GetConfig {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_DATA
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.absolute_path(CONFIG);
        out.watch();
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}

impl Idempotent for GetConfig {}

/// Changes the members of the ensemble (3.5); the reply is the new configuration. Give `joining`
/// and `leaving`, or `members`.
#[derive(Clone, Copy, Debug)]
pub struct Reconfig<'a> {
    /// Members to add or change: `server.<id>=..`, separated by commas.
    pub joining: Option<&'a str>,
    /// Ids of members to remove, separated by commas.
    pub leaving: Option<&'a str>,
    /// All members from now on.
    pub members: Option<&'a str>,
    /// The version that the present configuration must have; `None` for any.
    pub from: Option<i64>,
}

impl Request for Reconfig<'_> {
    type Response<B: AsRef<[u8]>> = Data<B>;

    fn op(&self) -> OpCode {
        OpCode::RECONFIG
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.opt_string(self.joining);
        out.opt_string(self.leaving);
        out.opt_string(self.members);
        out.long(self.from.unwrap_or(-1));
    }

    fn decode<B: AsRef<[u8]>>(body: B, _: &str) -> Result<Data<B>, Malformed> {
        Data::decode(body)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::wire::frame;
    use core::time::Duration;

    fn body<R: Request>(request: R, chroot: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, 1000, chroot, true, |out| request.encode(out)).unwrap();
        out.split_off(4)
    }

    fn create(path: Path<'_>, mode: CreateMode) -> Create<'_> {
        Create {
            path,
            data: b"",
            mode,
            acl: &[],
        }
    }

    #[test]
    fn a_number_goes_below_the_chroot() {
        let path = |mode| body(create(Path::ROOT, mode), "/c")[4..7].to_vec();
        assert_eq!(path(CreateMode::EphemeralSequential), b"/c/");
        assert_eq!(path(CreateMode::Ephemeral), b"/c\0");
    }

    #[test]
    fn a_time_to_live_is_in_milliseconds() {
        let mode = CreateMode::PersistentTtl(Duration::from_secs(3));
        assert_eq!(create(Path::ROOT, mode).op(), OpCode::CREATE_TTL);
        assert!(body(create(Path::ROOT, mode), "").ends_with(&3000_i64.to_be_bytes()));
    }

    #[test]
    fn the_configuration_is_outside_the_chroot() {
        assert_eq!(body(GetConfig, "/c"), b"\0\0\0\x11/zookeeper/config\x01");
    }

    #[test]
    fn ephemerals_lose_the_chroot() {
        let all = body(GetEphemerals { prefix: Path::ROOT }, "/app");
        assert_eq!(all, b"\0\0\0\x04/app");
        let list = b"\0\0\0\x03\0\0\0\x06/apple\0\0\0\x06/app/x\0\0\0\x04/app";
        let paths = GetEphemerals::decode(list, "/app").unwrap();
        assert!(paths.iter().map(Path::as_str).eq(["/x", "/"]));
        assert_eq!(paths.len(), 2);
        assert!(GetEphemerals::decode(list, "/b").unwrap().is_empty());
        let hostile = GetEphemerals::decode(b"\0\0\0\x01\0\0\0\x04\0\0/x", "/b").unwrap();
        assert_eq!((hostile.len(), hostile.iter().count()), (0, 0));
        assert_eq!(GetEphemerals::decode(list, "").unwrap().iter().count(), 3);
    }

    #[test]
    fn null_data_is_not_empty_data() {
        let decode = |length: [u8; 4]| GetData::decode([&length[..], &[0; 68]].concat(), "");
        let null = decode([0xff; 4]).unwrap();
        assert!(null.is_null() && null.data().is_empty());
        let empty = decode([0; 4]).unwrap();
        assert!(!empty.is_null() && empty.data().is_empty());
        assert!(decode([0, 0, 0, 1]).is_err());
    }

    #[test]
    fn hostile_names_are_still_text() {
        let list = b"\0\0\0\x02\0\0\0\x02..\0\0\0\x03a/b";
        assert!(
            GetChildNames::decode(list, "")
                .unwrap()
                .iter()
                .eq(["..", "a/b"])
        );
        let broken = b"\0\0\0\x01\0\0\0\x01\xff";
        assert_eq!(
            GetChildNames::decode(broken, "").unwrap_err(),
            Malformed::NotUtf8
        );
        let huge = b"\x7f\xff\xff\xff\0\0\0\0";
        assert_eq!(
            GetChildNames::decode(huge, "").unwrap_err(),
            Malformed::Count
        );
    }
}
