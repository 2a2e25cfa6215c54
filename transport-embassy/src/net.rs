//! Connections by embassy-net.

use docent_core::connect_string::HostPort;
use embassy_net::dns::{self, DnsQueryType};
use embassy_net::tcp::{self, TcpSocket};
use embassy_net::{IpAddress, Stack};
use embedded_io_async::{ErrorType, Read, Write};

use crate::dial::Dial;

/// TCP over an embassy-net stack, with names looked up by its DNS client.
///
/// Names are looked up for every attempt. Of several addresses another one is tried each time; the
/// stack keeps as many as smoltcp's `DNS_MAX_RESULT_COUNT` says, by default the first.
pub struct Net<'d> {
    stack: Stack<'d>,
    rx: &'d mut [u8],
    tx: &'d mut [u8],
    attempts: usize,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NetError {
    /// The name of the server was not found.
    #[error("its name was not found: {0:?}")]
    Name(dns::Error),
    /// The server could not be reached.
    #[error("{0}")]
    Connect(tcp::ConnectError),
}

impl<'d> Net<'d> {
    /// Dials over `stack`, with the buffers of the one socket that is open at a time. Half a kilobyte
    /// each will do.
    pub const fn new(stack: Stack<'d>, rx: &'d mut [u8], tx: &'d mut [u8]) -> Self {
        Self {
            stack,
            rx,
            tx,
            attempts: 0,
        }
    }

    async fn resolve(&mut self, name: &str) -> Result<IpAddress, NetError> {
        let mut found = Err(dns::Error::Failed);
        for kind in KINDS {
            found = self.stack.dns_query(name, *kind).await;
            if found.as_ref().is_ok_and(|found| !found.is_empty()) {
                break;
            }
        }
        let found = found.map_err(NetError::Name)?;
        self.attempts = self.attempts.wrapping_add(1);
        let place = self.attempts.checked_rem(found.len());
        let address = place.and_then(|place| found.get(place));
        address.copied().ok_or(NetError::Name(dns::Error::Failed))
    }
}

/// The kinds of addresses to look for. The stack reads literal ones itself.
const KINDS: &[DnsQueryType] = &[
    DnsQueryType::A,
    #[cfg(feature = "ipv6")]
    DnsQueryType::Aaaa,
];

impl Dial for Net<'_> {
    type Connection<'a>
        = Tcp<'a>
    where
        Self: 'a;
    type Error = NetError;

    async fn dial(&mut self, server: HostPort<'_>) -> Result<Tcp<'_>, NetError> {
        let address = self.resolve(server.host).await?;
        let mut socket = TcpSocket::new(self.stack, self.rx, self.tx);
        // Requests are small and batched by the runner; waiting for more only adds latency.
        socket.set_nagle_enabled(false);
        let connected = socket.connect((address, server.port)).await;
        connected.map_err(NetError::Connect)?;
        Ok(Tcp(socket))
    }
}

/// A TCP connection. What is written to it is sent by itself.
pub struct Tcp<'a>(TcpSocket<'a>);

impl ErrorType for Tcp<'_> {
    type Error = tcp::Error;
}

impl Read for Tcp<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, tcp::Error> {
        self.0.read(buf).await
    }
}

impl Write for Tcp<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, tcp::Error> {
        self.0.write(buf).await
    }

    /// Does nothing: the socket's own would wait for an acknowledgement.
    async fn flush(&mut self) -> Result<(), tcp::Error> {
        Ok(())
    }
}
