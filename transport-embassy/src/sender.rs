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

    /// Sends everything, unless the connection takes no more.
    ///
    /// # Errors
    /// As the connection says. It is lost.
    pub(crate) async fn send<W: Write>(&mut self, connection: &mut W) -> Result<bool, W::Error> {
        let mut sent = 0;
        while let Some(rest @ [_, ..]) = self.tx.bytes().get(sent..) {
            match connection.write(rest).await? {
                0 => return Ok(false),
                count => sent = sent.saturating_add(count),
            }
        }
        self.tx.clear();
        connection.flush().await?;
        Ok(true)
    }
}
