//! Errors that say what failed, on which path, and what is known of it.

use std::fmt;
use std::time::Duration;

use docent_core::connect_string::BadConnectString;
use docent_core::path::BadPath;
use docent_core::session::{BadConfig, End};

pub use docent_core::error::Error as ErrorKind;

/// An operation that failed.
///
/// Its [`kind`](Self::kind) says what is known of it: whether it has run, has not, or may have.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Failure>);

#[derive(Clone, PartialEq, Eq)]
struct Failure {
    operation: &'static str,
    path: Option<Box<str>>,
    kind: ErrorKind,
}

impl Error {
    pub(crate) fn new(operation: &'static str, path: Option<&str>, kind: ErrorKind) -> Self {
        Self(Box::new(Failure {
            operation,
            path: path.map(Into::into),
            kind,
        }))
    }

    /// What is known of the operation.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was tried, such as `create`.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The path it was tried on, below the chroot.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// Whether the operation may have run although it failed.
    pub fn may_have_run(&self) -> bool {
        self.kind().may_have_run()
    }

    /// Whether the server said that the node does not exist.
    pub fn is_no_node(&self) -> bool {
        self.kind().is_no_node()
    }

    /// Whether the server said that the node exists already.
    pub fn is_node_exists(&self) -> bool {
        self.kind() == ErrorKind::Server(docent_core::error::Code::NodeExists)
    }

    /// Whether the server said that something has changed since the expected version.
    pub fn is_bad_version(&self) -> bool {
        self.kind() == ErrorKind::Server(docent_core::error::Code::BadVersion)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            operation,
            path,
            kind,
        } = &*self.0;
        match path {
            Some(path) => write!(f, "{operation} {}: {kind}", path.escape_debug()),
            None => write!(f, "{operation}: {kind}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}

impl From<BadPath> for Error {
    fn from(bad: BadPath) -> Self {
        Self::new("path", None, bad.into())
    }
}

/// For recipes, which name their path themselves.
impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new("recipe", None, kind)
    }
}

/// Settings that cannot be. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The connect string breaks its rules.
    #[error("the connect string {text:?} is malformed: {reason}")]
    ConnectString {
        /// The connect string.
        text: String,
        /// The rule it breaks, and where.
        reason: BadConnectString,
    },
    /// A setting is out of its range.
    #[error("{0}")]
    Config(#[from] BadConfig),
    /// A credential without a scheme, or one that fits no request.
    #[error(
        "the credential of scheme {scheme:?} has {size} bytes, but must have a scheme and fit a request of {limit} bytes"
    )]
    Auth {
        /// Its scheme.
        scheme: String,
        /// How many bytes it has.
        size: usize,
        /// The size that requests may have.
        limit: usize,
    },
    /// A client needs a tokio runtime to run its driver on.
    #[error("there is no tokio runtime here; call this from within one")]
    NoRuntime,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The settings cannot be.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// No server could be reached in time.
    #[error("no connection to {hosts} within {within:?}{}", cause(.last.as_deref()))]
    TimedOut {
        /// The connect string.
        hosts: String,
        /// How long was tried.
        within: Duration,
        /// How the last attempt failed.
        last: Option<String>,
    },
    /// The client is over.
    #[error("no connection: {0}")]
    Ended(End),
}

fn cause(last: Option<&str>) -> String {
    last.map(|last| format!("; the last attempt failed: {last}"))
        .unwrap_or_default()
}
