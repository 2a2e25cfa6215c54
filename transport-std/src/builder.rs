//! Settings of a client, and its start.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use docent_core::connect_string::ConnectString;
use docent_core::hub::{HeapAuths, Hub, Limits};
use docent_core::session::{Backoff, Config, Credentials, Session};
use docent_core::time::Instant;
use docent_core::wire::Credential;
use tokio::runtime::Handle as Runtime;
use tokio::time::Instant as Time;
use tracing::{Instrument as _, info_span};

use crate::client::Client;
use crate::connect::{Host, Resolve, SystemResolver};
use crate::driver::{Driver, drive};
use crate::error::{BuildError, ConnectError};
use crate::shared::{Link, Shared};

/// Settings of a client. Nothing is sent before [`connect`](Self::connect) or
/// [`start`](Self::start), which check them all.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect` or `start`"]
pub struct Builder {
    connect_string: String,
    config: Config,
    limits: Limits,
    max_reply: usize,
    auths: Vec<(String, Vec<u8>)>,
    resume: Option<Credentials>,
    resolver: Arc<dyn Resolve>,
    patience: Option<Duration>,
}

/// Leaves out what is secret.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("connect_string", &self.connect_string)
            .field("config", &self.config)
            .field("limits", &self.limits)
            .field("auths", &self.auths.len())
            .finish_non_exhaustive()
    }
}

/// 16 MiB. Servers bound what they take, but not what they answer.
const MAX_REPLY: usize = 16 << 20;

impl Builder {
    /// A client of the servers in `connect_string`: hosts separated by commas, each with an optional
    /// port (2181 otherwise) and IPv6 addresses in brackets, then an optional path that all paths of
    /// the client lie under: `zk1:2181,zk2,[::1]:2183/app`.
    pub fn new(connect_string: impl Into<String>) -> Self {
        Self {
            connect_string: connect_string.into(),
            config: Config::DEFAULT,
            limits: Limits::DEFAULT,
            max_reply: MAX_REPLY,
            auths: Vec::new(),
            resume: None,
            resolver: Arc::new(SystemResolver),
            patience: None,
        }
    }

    /// The session timeout to ask for; ten seconds otherwise. Servers clamp it, by default to 2 to
    /// 20 of their ticks.
    pub const fn session_timeout(mut self, timeout: Duration) -> Self {
        self.config.session_timeout = timeout;
        self
    }

    /// How long one attempt to connect may take; five seconds otherwise, and never more than a third
    /// of the session timeout.
    pub const fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.config.connection_timeout = timeout;
        self
    }

    /// How long requests may be in flight without any of them being answered before the connection
    /// is replaced; thirty seconds otherwise. Those requests end as
    /// [`ConnectionLost`](crate::ErrorKind::ConnectionLost). `None` waits for ever.
    pub const fn operation_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.operation_timeout = timeout;
        self
    }

    /// How long closing may take before the connection is cut; one second otherwise.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// How much earlier than the session timeout [`Guard::valid_until`](crate::Guard::valid_until)
    /// ends: two seconds otherwise, or a third of the timeout if that is less. It should be a tick of
    /// the servers at least.
    pub const fn lease_margin(mut self, margin: Duration) -> Self {
        self.config.lease_margin = Some(margin);
        self
    }

    /// The pauses between attempts to connect.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// Accepts a server that has lost its quorum and serves reads only, while there is no other.
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.config.read_only = read_only;
        self
    }

    /// Whether a new session follows one that is lost, as it does otherwise. Without it the client
    /// ends with its session.
    pub const fn renew(mut self, renew: bool) -> Self {
        self.config.renew = renew;
        self
    }

    /// Tries the servers in the order of the connect string, not shuffled.
    pub const fn in_order(mut self) -> Self {
        self.config.shuffle = false;
        self
    }

    /// How far the client's tables may grow.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The largest request to send, in bytes; 1,048,575 otherwise, which is what servers accept
    /// unless their `jute.maxbuffer` is set.
    pub const fn max_request(mut self, bytes: usize) -> Self {
        self.config.max_request = bytes;
        self
    }

    /// The largest reply to keep, in bytes; 16 MiB otherwise. A larger one is skipped, and its call
    /// fails as [`ReplyTooLarge`](crate::ErrorKind::ReplyTooLarge).
    pub const fn max_reply(mut self, bytes: usize) -> Self {
        self.max_reply = bytes;
        self
    }

    /// Proves an identity ahead of everything else on every connection, such as
    /// `auth("digest", "user:password")`. The data is a secret and never printed.
    pub fn auth(mut self, scheme: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        self.auths.push((scheme.into(), data.into()));
        self
    }

    /// Takes up an existing session instead of asking for a new one.
    pub const fn resume(mut self, credentials: Credentials) -> Self {
        self.resume = Some(credentials);
        self
    }

    /// Finds addresses by other means than the system's.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// How long [`connect`](Self::connect) waits; as long as the session timeout otherwise.
    pub const fn connect_within(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Starts the client and waits for its session.
    ///
    /// # Errors
    /// [`ConnectError::Build`] before anything is sent; [`ConnectError::TimedOut`], with the last
    /// failure, if no server is reached in time; [`ConnectError::Ended`] if a server refuses the
    /// credentials.
    ///
    /// # Cancel safety
    /// Cancelling it closes the client.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let within = self.patience.unwrap_or(self.config.session_timeout);
        let hosts = self.connect_string.clone();
        let client = self.start()?;
        match tokio::time::timeout(within, client.connected()).await {
            Ok(Ok(_)) => Ok(client),
            Ok(Err(end)) => Err(ConnectError::Ended(end)),
            Err(_) => Err(ConnectError::TimedOut {
                hosts,
                within,
                last: client.last_failure(),
            }),
        }
    }

    /// Starts the client without waiting. Calls made meanwhile wait for a connection.
    ///
    /// # Errors
    /// [`BuildError`], before anything is sent.
    pub fn start(self) -> Result<Client, BuildError> {
        let runtime = Runtime::try_current().map_err(|_| BuildError::NoRuntime)?;
        let parsed = ConnectString::parse(&self.connect_string).map_err(|reason| {
            BuildError::ConnectString {
                text: self.connect_string.clone(),
                reason,
            }
        })?;
        let hosts: Vec<Host> = parsed.hosts().map(Host::from).collect();
        let chroot: Arc<str> = parsed.chroot().into();
        let auths = self.checked_auths()?;
        let mut session = Session::new(self.config, hosts.len(), random(), Instant::ZERO)?;
        if let Some(credentials) = self.resume {
            session.resume(credentials);
        }
        let parts = self.limits.parts(&self.config, Arc::clone(&chroot), auths);
        let shared = Arc::new(Shared::new(
            Hub::new(session, parts, random()),
            chroot,
            Time::now(),
        ));
        let client = Client::new(Link::of_user(Arc::clone(&shared)));
        let tx = self.limits.tx(&self.config);
        let span = info_span!("docent", servers = %self.connect_string);
        let driver = Driver::new(shared, hosts, self.resolver, self.max_reply, tx);
        runtime.spawn(drive(driver).instrument(span));
        Ok(client)
    }

    fn checked_auths(&self) -> Result<HeapAuths, BuildError> {
        let mut auths = HeapAuths::default();
        for (scheme, data) in &self.auths {
            check_auth(scheme, data, self.config.max_request)?;
            auths.push(scheme, data);
        }
        Ok(auths)
    }
}

/// Checks a credential before it is kept.
pub(crate) fn check_auth(scheme: &str, data: &[u8], limit: usize) -> Result<(), BuildError> {
    if (Credential { scheme, data }).fits(limit) {
        return Ok(());
    }
    Err(BuildError::Auth {
        scheme: scheme.to_owned(),
        size: data.len(),
        limit,
    })
}

/// A number unlike that of other clients, for jitter and names; not a secret.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
