//! How servers are reached.

use core::fmt;

use docent_core::connect_string::HostPort;
use embedded_io_async::{Read, Write};

/// Opens connections, over whatever stack there is. [`Net`](crate::Net) does so by embassy-net.
#[allow(
    async_fn_in_trait,
    reason = "boards run their tasks on one executor; no future needs to be `Send`"
)]
pub trait Dial {
    /// A connection.
    ///
    /// # Cancel safety
    /// `read` must be cancel-safe: it is dropped whenever there is something to send. `flush` must
    /// see to it that what was written is sent, but should not wait for an acknowledgement: nothing
    /// is read meanwhile.
    type Connection<'a>: Read + Write
    where
        Self: 'a;
    /// Why there is no connection. It is logged.
    type Error: fmt::Debug;

    /// Opens a connection. It is dropped when it takes too long.
    ///
    /// # Errors
    /// As the stack says. The session will try again, also with other servers, after a pause.
    ///
    /// # Cancel safety
    /// It must be cancel-safe: dropping it ends the attempt, and it can be called again.
    async fn dial(&mut self, server: HostPort<'_>) -> Result<Self::Connection<'_>, Self::Error>;
}
