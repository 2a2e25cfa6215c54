//! Records and enumerations that several operations share.

use core::fmt;
use core::ops::BitOr;
use core::time::Duration;

use thiserror::Error;

use crate::wire::encode::Encoder;

/// The number of an operation, as it stands in a request header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpCode(pub i32);

#[expect(missing_docs, reason = "the names say it")]
impl OpCode {
    pub const CREATE: Self = Self(1);
    pub const DELETE: Self = Self(2);
    pub const EXISTS: Self = Self(3);
    pub const GET_DATA: Self = Self(4);
    pub const SET_DATA: Self = Self(5);
    pub const GET_ACL: Self = Self(6);
    pub const SET_ACL: Self = Self(7);
    pub const GET_CHILDREN: Self = Self(8);
    pub const SYNC: Self = Self(9);
    pub const PING: Self = Self(11);
    pub const GET_CHILDREN2: Self = Self(12);
    /// Only ever sent within a multi: alone it can keep servers from starting again.
    pub const CHECK: Self = Self(13);
    pub const MULTI: Self = Self(14);
    pub const CREATE2: Self = Self(15);
    pub const RECONFIG: Self = Self(16);
    pub const CHECK_WATCHES: Self = Self(17);
    pub const REMOVE_WATCHES: Self = Self(18);
    pub const CREATE_CONTAINER: Self = Self(19);
    pub const CREATE_TTL: Self = Self(21);
    pub const MULTI_READ: Self = Self(22);
    pub const AUTH: Self = Self(100);
    pub const SET_WATCHES: Self = Self(101);
    pub const SASL: Self = Self(102);
    pub const GET_EPHEMERALS: Self = Self(103);
    pub const GET_ALL_CHILDREN_NUMBER: Self = Self(104);
    pub const SET_WATCHES2: Self = Self(105);
    pub const ADD_WATCH: Self = Self(106);
    pub const WHO_AM_I: Self = Self(107);
    pub const CLOSE_SESSION: Self = Self(-11);
    /// The type of a failed result within a multi.
    pub const ERROR: Self = Self(-1);
}

/// How long a node lives, and whether the server numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CreateMode {
    /// Lives until it is deleted.
    #[default]
    Persistent,
    /// Persistent, with a number appended to its name.
    PersistentSequential,
    /// Lives as long as the session; can have no children.
    Ephemeral,
    /// Ephemeral, with a number appended to its name.
    EphemeralSequential,
    /// Deleted by the server some time after its last child (3.5.1).
    Container,
    /// Deleted by the server after it has had no children and no change for so long (3.5.3, where
    /// the server has `extendedTypesEnabled`).
    PersistentTtl(Ttl),
    /// As [`PersistentTtl`](Self::PersistentTtl), with a number appended to its name.
    PersistentSequentialTtl(Ttl),
}

impl CreateMode {
    /// Whether the server appends a number to the name.
    pub const fn is_sequential(self) -> bool {
        use CreateMode::{EphemeralSequential, PersistentSequential, PersistentSequentialTtl};
        matches!(
            self,
            PersistentSequential | EphemeralSequential | PersistentSequentialTtl(_)
        )
    }

    /// Whether the node goes with the session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// The time to live, of modes that have one.
    pub const fn ttl(self) -> Option<Ttl> {
        match self {
            Self::PersistentTtl(ttl) | Self::PersistentSequentialTtl(ttl) => Some(ttl),
            _ => None,
        }
    }

    /// The operation that creates such a node and answers with its [`Stat`].
    pub const fn op(self) -> OpCode {
        match self {
            Self::Container => OpCode::CREATE_CONTAINER,
            Self::PersistentTtl(_) | Self::PersistentSequentialTtl(_) => OpCode::CREATE_TTL,
            _ => OpCode::CREATE2,
        }
    }

    /// The number in the `flags` field.
    pub const fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::PersistentTtl(_) => 5,
            Self::PersistentSequentialTtl(_) => 6,
        }
    }
}

/// How long a node lives without children or changes: 1 ms to 34.8 years, which is what servers take.
// Without alignment, as every create carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ttl([u8; 5]);

impl Ttl {
    /// The longest.
    pub const MAX: Self = Self([0xff; 5]);

    /// So many whole milliseconds.
    ///
    /// # Errors
    /// [`BadTtl`] if that is none, or more than [`MAX`](Self::MAX).
    pub const fn new(ttl: Duration) -> Result<Self, BadTtl> {
        let millis = ttl.as_millis();
        if millis == 0 || millis > Self::MAX.millis() as u128 {
            return Err(BadTtl);
        }
        let [.., a, b, c, d, e] = millis.to_be_bytes();
        Ok(Self([a, b, c, d, e]))
    }

    /// As it goes on the wire.
    pub(crate) const fn millis(self) -> i64 {
        let [a, b, c, d, e] = self.0;
        i64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis().cast_unsigned())
    }
}

/// A time to live that servers refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("a time to live is at least 1 ms and at most 34.8 years")]
pub struct BadTtl;

/// What an identity may do with a node: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Perms(i32);

impl Perms {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Get data and list children.
    pub const READ: Self = Self(1);
    /// Set data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the access control list.
    pub const ADMIN: Self = Self(16);
    /// All of the above.
    pub const ALL: Self = Self(31);

    /// The set with these bits; unknown ones are kept.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits)
    }

    /// The bits, as they are sent.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// An entry of an access control list: who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Acl<'a> {
    /// What is allowed.
    pub perms: Perms,
    /// How the identity was proven: `world`, `auth`, `digest`, `ip`, `sasl`, `x509`.
    pub scheme: &'a str,
    /// The identity; its form depends on the scheme.
    pub id: &'a str,
}

impl Acl<'static> {
    /// Everyone may do everything.
    pub const OPEN: &'static [Self] = &[Self::world(Perms::ALL)];
    /// Everyone may read.
    pub const READ_ALL: &'static [Self] = &[Self::world(Perms::READ)];
    /// The identities that this connection has proven may do everything.
    pub const CREATOR_ALL: &'static [Self] = &[Acl {
        perms: Perms::ALL,
        scheme: "auth",
        id: "",
    }];

    /// What everyone may do.
    pub const fn world(perms: Perms) -> Self {
        Acl {
            perms,
            scheme: "world",
            id: "anyone",
        }
    }
}

/// Why servers would refuse an access control list. Indices count entries from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BadAcl {
    /// A list without entries.
    #[error("the access control list is empty")]
    Empty,
    /// An entry without a scheme.
    #[error("entry {index} of the access control list has no scheme")]
    EmptyScheme {
        /// The entry.
        index: usize,
    },
    /// A `digest` identity that is not `user:hash`.
    #[error("entry {index} of the access control list: a digest identity has exactly one colon")]
    DigestId {
        /// The entry.
        index: usize,
    },
    /// A `world` identity other than `anyone`.
    #[error("entry {index} of the access control list: the only identity of world is anyone")]
    WorldId {
        /// The entry.
        index: usize,
    },
}

/// Finds mistakes that servers answer with an invalid-ACL error.
///
/// # Errors
/// [`BadAcl`] names the first one.
pub fn check_acl(acl: &[Acl<'_>]) -> Result<(), BadAcl> {
    if acl.is_empty() {
        return Err(BadAcl::Empty);
    }
    acl.iter()
        .enumerate()
        .try_for_each(|(index, entry)| match (entry.scheme, entry.id) {
            ("", _) => Err(BadAcl::EmptyScheme { index }),
            ("digest", id) if id.matches(':').count() != 1 => Err(BadAcl::DigestId { index }),
            ("world", id) if id != "anyone" => Err(BadAcl::WorldId { index }),
            _ => Ok(()),
        })
}

/// What the server knows about a node besides its data. Sent as 68 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stat {
    /// Transaction that created the node.
    pub czxid: i64,
    /// Transaction that last set its data; at first that of the creation.
    pub mzxid: i64,
    /// When it was created: milliseconds since 1970 by the leader's clock.
    pub ctime: i64,
    /// When its data was last set: milliseconds since 1970 by the leader's clock.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// Changes of its list of children. This is not the sequence counter.
    pub cversion: i32,
    /// Changes of its access control list.
    pub aversion: i32,
    /// The session that an ephemeral node belongs to; 0 for all others.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// Transaction that last created or deleted a direct child.
    pub pzxid: i64,
}

impl Stat {
    /// Bytes of an encoded record.
    pub const SIZE: usize = 68;

    /// Appends the record, as servers do.
    pub fn encode(&self, out: &mut Encoder<'_>) {
        out.long(self.czxid);
        out.long(self.mzxid);
        out.long(self.ctime);
        out.long(self.mtime);
        out.int(self.version);
        out.int(self.cversion);
        out.int(self.aversion);
        out.long(self.ephemeral_owner);
        out.int(self.data_length);
        out.int(self.num_children);
        out.long(self.pzxid);
    }
}

/// The list that a watch stands in. Standard watches fire once, the last two until removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WatchKind {
    /// On the data of a node that existed.
    Data,
    /// On the creation of a node that did not exist.
    Exist,
    /// On the list of children.
    Child,
    /// On all of the above of one node (3.6).
    Persistent,
    /// On a node and all below it, lists of children excepted (3.6).
    Recursive,
}

impl WatchKind {
    /// All kinds, in the order in which they are sent after a reconnect.
    pub const ALL: [Self; 5] = [
        Self::Data,
        Self::Exist,
        Self::Child,
        Self::Persistent,
        Self::Recursive,
    ];

    /// Whether such a watch goes on after it has fired.
    pub const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent | Self::Recursive)
    }
}

/// What happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EventKind {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was set, though perhaps to what it was.
    DataChanged,
    /// A direct child was created or deleted.
    ChildrenChanged,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Created,
        Self::Deleted,
        Self::DataChanged,
        Self::ChildrenChanged,
    ];

    /// The number in an event; see [`from_number`](Self::from_number).
    pub const fn number(self) -> i32 {
        match self {
            Self::Created => 1,
            Self::Deleted => 2,
            Self::DataChanged => 3,
            Self::ChildrenChanged => 4,
        }
    }

    /// The kind with this number; `None` for those that servers do not send.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Created),
            2 => Some(Self::Deleted),
            3 => Some(Self::DataChanged),
            4 => Some(Self::ChildrenChanged),
            _ => None,
        }
    }
}

/// A set of [`EventKind`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Events(u8);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = EventKind::ALL
            .into_iter()
            .filter(|kind| self.contains(*kind));
        f.debug_set().entries(kinds).finish()
    }
}

impl Events {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self(0b1111);

    /// The set of one kind.
    pub const fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::Created => Self(1),
            EventKind::Deleted => Self(2),
            EventKind::DataChanged => Self(4),
            EventKind::ChildrenChanged => Self(8),
        }
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    /// Whether no kind is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<EventKind> for Events {
    fn from(kind: EventKind) -> Self {
        Self::of(kind)
    }
}

impl BitOr for Events {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The reach of a watch that does not end with its first event (3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AddWatchMode {
    /// One node: its life, data and children.
    Persistent,
    /// A node and all below it: their lives and data.
    Recursive,
}

impl AddWatchMode {
    /// The number in the request.
    pub const fn number(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Recursive => 1,
        }
    }

    /// The list that the watch stands in.
    pub const fn kind(self) -> WatchKind {
        match self {
            Self::Persistent => WatchKind::Persistent,
            Self::Recursive => WatchKind::Recursive,
        }
    }
}

/// Which of the server's watches on a path to check or remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatcherType {
    /// Those on the list of children.
    Children,
    /// Those on data and existence.
    Data,
    /// All, persistent ones included.
    Any,
    /// The persistent one (3.9).
    Persistent,
    /// The recursive one (3.9).
    Recursive,
}

impl WatcherType {
    /// The number in the request.
    pub const fn number(self) -> i32 {
        match self {
            Self::Children => 1,
            Self::Data => 2,
            Self::Any => 3,
            Self::Persistent => 4,
            Self::Recursive => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_acls_are_found() {
        let check = |scheme, id| {
            let entry = Acl {
                perms: Perms::READ,
                scheme,
                id,
            };
            check_acl(&[Acl::OPEN[0], entry])
        };
        let index = 1;
        assert_eq!(check_acl(&[]), Err(BadAcl::Empty));
        assert_eq!(check("", "x"), Err(BadAcl::EmptyScheme { index }));
        assert_eq!(check("digest", "user"), Err(BadAcl::DigestId { index }));
        assert_eq!(check("digest", "a:b:c"), Err(BadAcl::DigestId { index }));
        assert_eq!(check("world", "me"), Err(BadAcl::WorldId { index }));
        assert_eq!(check("digest", "user:hash="), Ok(()));
        assert_eq!(check_acl(Acl::CREATOR_ALL), Ok(()));
        assert_eq!(check_acl(Acl::READ_ALL), Ok(()));
    }

    #[test]
    fn times_to_live_have_bounds() {
        let check = |ttl| Ttl::new(ttl).map(Ttl::duration);
        for ttl in [
            Duration::from_millis(1),
            Duration::from_secs(86_400),
            Ttl::MAX.duration(),
        ] {
            assert_eq!(check(ttl), Ok(ttl));
        }
        let too_long = Ttl::MAX.duration() + Duration::from_millis(1);
        for ttl in [
            Duration::ZERO,
            Duration::from_micros(999),
            too_long,
            Duration::MAX,
        ] {
            assert_eq!(check(ttl), Err(BadTtl));
        }
    }

    #[test]
    fn sets_of_events() {
        let some = Events::of(EventKind::Created) | EventKind::Deleted.into();
        assert!(some.contains(EventKind::Deleted) && !some.contains(EventKind::DataChanged));
        for number in 1..=4 {
            let kind = EventKind::from_number(number).unwrap();
            assert_eq!(kind.number(), number);
            assert!(Events::ALL.contains(kind) && !Events::NONE.contains(kind));
        }
        assert_eq!(EventKind::from_number(5), None);
    }
}
