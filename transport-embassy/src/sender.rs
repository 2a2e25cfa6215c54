//! Bytes on their way to a server.

use docent_core::hub::{FixedTx, Tx as _};
use embedded_io_async::Write;

/// The half of the transmit memory that is being written. It outlives the futures that write, so
/// that cancelling one loses nothing but the connection.
pub(crate) struct Sender<'d> {
    pub(crate) tx: FixedTx<'d>,
}

impl<'d> Sender<'d> {
    pub(crate) const fn new(tx: FixedTx<'d>) -> Self {
        Self { tx }
    }

    /// Before another connection.
    pub(crate) fn reset(&mut self) {
        self.tx.clear();
    }

    /// Sends everything.
    ///
    /// # Errors
    /// As the connection says. It is lost.
    pub(crate) async fn send<W: Write>(&mut self, connection: &mut W) -> Result<(), W::Error> {
        connection.write_all(self.tx.bytes()).await?;
        self.tx.clear();
        connection.flush().await
    }
}
