//! What a user may set about a client.

use docent_core::connect_string::BadConnectString;
use docent_core::session::{BadConfig, Config, Credentials};
use docent_core::wire::Credential;

/// The settings of a client.
#[derive(Clone, Copy)]
pub struct Settings<'d> {
    /// The servers: hosts separated by commas, each with an optional port (2181 otherwise) and IPv6
    /// addresses in brackets, then an optional path that all paths of the client lie under:
    /// `10.0.0.1:2181,zk2/plant`.
    pub servers: &'d str,
    /// About the session. `max_request` is bounded by the transmit buffers as well, and a read-only
    /// server that was accepted is kept for as long as its connection lasts: a board does not look
    /// for others meanwhile.
    pub config: Config,
    /// Identities to prove on every connection, ahead of everything else. They are secret.
    pub auths: &'d [Credential<'d>],
    /// A session to take up, such as the one from before a restart.
    pub resume: Option<Credentials>,
}

impl<'d> Settings<'d> {
    /// The defaults, for these servers.
    pub const fn new(servers: &'d str) -> Self {
        Self {
            servers,
            config: Config::DEFAULT,
            auths: &[],
            resume: None,
        }
    }

    pub(crate) fn check_auths(&self) -> Result<(), BadSettings> {
        let limit = self.config.max_request;
        match self.auths.iter().position(|auth| !auth.fits(limit)) {
            Some(place) => Err(BadSettings::Auth { place, limit }),
            None => Ok(()),
        }
    }
}

/// Settings that cannot be. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BadSettings {
    /// The connect string breaks its rules.
    #[error("the connect string is malformed: {0}")]
    Servers(#[from] BadConnectString),
    /// A setting is out of its range, or a transmit buffer is too small for any request.
    #[error("{0}")]
    Config(#[from] BadConfig),
    /// A credential without a scheme, or one that fits no request.
    #[error("credential {place} must have a scheme and fit a request of {limit} bytes")]
    Auth {
        /// Its place in the list, counted from 0.
        place: usize,
        /// The size that requests may have.
        limit: usize,
    },
    /// The receive buffer is too small for a handshake.
    #[error("the receive buffer has {size} bytes, but must have {MIN_RX}")]
    Receive {
        /// How many bytes it has.
        size: usize,
    },
    /// There is no room for any reply.
    #[error("there must be at least one call, and one byte of room for each")]
    Bodies,
}

/// A handshake takes 45 bytes; events come with their path.
pub(crate) const MIN_RX: usize = 64;
