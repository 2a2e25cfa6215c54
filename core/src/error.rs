//! What can go wrong.

use crate::path::BadPath;
use crate::session::End;
use crate::wire::{BadAcl, Malformed, Refused};

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// An error that a server answered with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum Code {
            $(
                #[doc = concat!("Code ", stringify!($number), ": ", $text, ".")]
                #[error($text)]
                $name,
            )*
            /// A number that this version does not know.
            #[error("the server answered with the unknown error {0}")]
            Other(i32),
        }

        impl From<i32> for Code {
            #[inline(never)]
            fn from(number: i32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    _ => Self::Other(number),
                }
            }
        }

        impl Code {
            /// The number in the reply header.
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Other(number) => number,
                }
            }
        }
    };
}

codes! {
    SystemError = -1, "the server failed";
    RuntimeInconsistency = -2, "the operation was not tried, as another one of its multi failed";
    DataInconsistency = -3, "the server found its data inconsistent";
    ConnectionLoss = -4, "the server lost a connection";
    MarshallingError = -5, "the server could not read or process the request";
    Unimplemented = -6, "the server does not know the operation or has it switched off";
    OperationTimeout = -7, "the operation took too long";
    BadArguments = -8, "the server refuses an argument, such as the path or the mode";
    UnknownSession = -12, "the server does not know the session";
    NewConfigNoQuorum = -13, "the new members have not caught up enough to form a quorum";
    ReconfigInProgress = -14, "another reconfiguration is under way";
    ApiError = -100, "the server refuses the request";
    NoNode = -101, "the node, or the parent of the node to create, does not exist";
    NoAuth = -102, "this client may not do that to the node";
    BadVersion = -103, "the version is not the expected one, so something has changed";
    NoChildrenForEphemerals = -108, "an ephemeral node cannot have children";
    NodeExists = -110, "the node exists already";
    NotEmpty = -111, "the node has children";
    SessionExpired = -112, "the session has expired";
    InvalidCallback = -113, "the callback is invalid";
    InvalidAcl = -114, "the server refuses the access control list";
    AuthFailed = -115, "the server refuses the credentials";
    SessionMoved = -118, "the session has moved to another server";
    NotReadOnly = -119, "the server is read-only at present";
    EphemeralOnLocalSession = -120, "a local session cannot own ephemeral nodes";
    NoWatcher = -121, "there is no such watch";
    RequestTimeout = -122, "the request took too long";
    ReconfigDisabled = -123, "the server has reconfiguration switched off";
    SessionClosedRequireSaslAuth = -124, "the server demands authentication and closes the session";
    QuotaExceeded = -125, "the quota of the subtree is used up";
    ThrottledOp = -127, "the server is overloaded and did not run the operation";
}

impl Code {
    /// Whether the operation may have run although the server answered with this code.
    ///
    /// Servers answer with `MarshallingError` whatever goes wrong inside them, also after a write;
    /// of a number that this version does not know nothing is known.
    pub const fn may_have_run(self) -> bool {
        matches!(
            self,
            Self::MarshallingError
                | Self::SystemError
                | Self::DataInconsistency
                | Self::ConnectionLoss
                | Self::OperationTimeout
                | Self::RequestTimeout
                | Self::Other(_)
        )
    }
}

/// How an operation failed, and so what is known of it.
///
/// | error | did it run? |
/// |---|---|
/// | [`Server`](Self::Server) | no: the server refused it, save for the few codes that [leave it open](Code::may_have_run) |
/// | [`ConnectionLost`](Self::ConnectionLost) | it may have or not |
/// | [`ReplyTooLarge`](Self::ReplyTooLarge), [`Malformed`](Self::Malformed) | yes, but its result is lost |
/// | all others | no: it was never sent |
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// A server refused the operation.
    #[error("{0}")]
    Server(Code),
    /// The request was sent, and the connection was lost before the answer came.
    #[error(
        "the connection was lost before the answer came; the operation may or may not have run"
    )]
    ConnectionLost,
    /// The request was never sent and never will be.
    #[error("not sent: {0}")]
    NotSent(End),
    /// A bounded table or buffer is full.
    #[error(
        "not sent: a table or buffer of the client is full; wait for calls in flight, or raise the limits"
    )]
    Full,
    /// The request is larger than a frame may be.
    #[error("not sent: the request has {size} bytes, and the limit is {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server did what it was asked to, but there was no room for its answer.
    #[error("the answer has {size} bytes, too many to keep; the operation has run")]
    ReplyTooLarge {
        /// The size of the answer in bytes.
        size: usize,
    },
    /// The server's answer breaks the protocol. Its connection is replaced.
    #[error(
        "the server's answer is malformed ({0}); the operation has run, and the connection is replaced"
    )]
    Malformed(Malformed),
    /// A path breaks the rules for paths.
    #[error("not sent: {0}")]
    Path(BadPath),
    /// An access control list breaks the rules.
    #[error("not sent: {0}")]
    Acl(BadAcl),
    /// A check outside of a transaction: many servers never answer it, and some that have logged one
    /// cannot start again.
    #[error("not sent: a check must be part of a transaction")]
    CheckAlone,
    /// A recipe would wait for what its caller holds itself, or for what there will never be.
    #[error(
        "refused: it might wait for ever, for what it holds itself or for more than there is; release what is held first, or ask for less"
    )]
    Deadlock,
    /// What is done in the background has ended before its time: its task panicked, or its runtime is
    /// gone.
    #[error(
        "stopped: the task that did this in the background has panicked, or its runtime is gone"
    )]
    Stopped,
    /// A path with its prefix or suffix is longer than a path of this client can be.
    #[error("not sent: the path is longer than the client has room for")]
    PathTooLong,
}

impl Error {
    /// Whether the operation may have run although it failed.
    pub const fn may_have_run(self) -> bool {
        matches!(
            self,
            Self::ConnectionLost | Self::ReplyTooLarge { .. } | Self::Malformed(_)
        ) || matches!(self, Self::Server(code) if code.may_have_run())
    }

    /// Whether the server said that the node, or the parent of a node to be created, does not exist.
    pub const fn is_no_node(self) -> bool {
        matches!(self, Self::Server(Code::NoNode))
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::TooLarge { size, limit } => Self::TooLarge { size, limit },
        }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<BadPath> for Error {
    fn from(bad: BadPath) -> Self {
        Self::Path(bad)
    }
}

impl From<BadAcl> for Error {
    fn from(bad: BadAcl) -> Self {
        Self::Acl(bad)
    }
}

/// How a server broke the protocol. The connection is replaced; the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProtocolError {
    /// Bytes that are no record.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Something came before the handshake was sent.
    #[error("the server spoke before it was asked; is this a ZooKeeper port?")]
    Early,
    /// A frame too large to keep is an event, so that it is not known what it said.
    #[error("an event is too large to keep")]
    LargeEvent,
    /// An answer to nothing that was asked, or out of order.
    #[error("an answer has xid {0}, which is not due")]
    UnexpectedXid(i32),
    /// A new session was asked for, and the server says that it is over.
    #[error("the server refuses to open a session")]
    NoSession,
    /// The handshake was answered by an error.
    #[error("the handshake was refused: {0}")]
    HandshakeRefused(Code),
    /// The watches of the session could not be set again.
    #[error("the session's watches were refused: {0}")]
    RestoreRefused(Code),
}
