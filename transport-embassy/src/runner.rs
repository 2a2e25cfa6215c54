//! The task that runs a client: dial, serve the connection, dial again.

use core::future::pending;

use docent_core::connect_string::ConnectString;
use docent_core::error::ProtocolError;
use docent_core::handle::{Handle, act};
use docent_core::hub::FixedTx;
use docent_core::recipes::reap;
use docent_core::session::{Action, End, HostIndex};
use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};

use crate::dial::Dial;
use crate::fmt::{Shown, log};
use crate::orders::{Order, Orders};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::shared::{Link, now};

/// Runs a client. Spawn [`run`](Self::run) as a task.
pub struct Runner<'d, D> {
    dial: D,
    line: &'d mut Line<'d>,
}

/// The servers, and both directions of a connection to one of them. It outlives the connection and the
/// futures that move bytes.
pub(crate) struct Line<'d> {
    link: Link<'d>,
    servers: ConnectString<'d>,
    orders: Orders<'d>,
    receiver: Receiver<'d>,
    sender: Sender<'d>,
}

/// Why a connection ended.
enum Lost {
    /// The hub wants it no more.
    HungUp,
    /// The server closed it, or the stack gave it up.
    Closed,
    Protocol(ProtocolError),
}

impl<'d, D: Dial> Runner<'d, D> {
    pub(crate) const fn new(dial: D, line: &'d mut Line<'d>) -> Self {
        Self { dial, line }
    }

    /// Runs the client until it is over.
    ///
    /// # Cancel safety
    /// Cancelling it drops the connection. It can be called again, and goes on with the session if
    /// that still lives; what was submitted meanwhile is sent then.
    pub async fn run(&mut self) -> End {
        // A run before this one may have been cancelled.
        self.line.end();
        let reap = reap(Handle::new(self.line.link));
        match select(self.serve(), reap).await {
            Either::First(end) => end,
            Either::Second(()) => pending().await,
        }
    }

    async fn serve(&mut self) -> End {
        loop {
            match self.line.orders.next(None).await {
                Order::Act(Action::Dial(host)) => self.connect(host).await,
                Order::Act(_) | Order::Send => {}
                Order::End(end) => return end,
            }
        }
    }

    /// Connects to a server, and serves the connection until it is lost.
    async fn connect(&mut self, host: HostIndex) {
        let Some(server) = self.line.servers.hosts().nth(host.get()) else {
            return;
        };
        match select(self.line.orders.hang_up(), self.dial.dial(server)).await {
            Either::First(()) => log!(debug, "no answer from server {} in time", host.get()),
            Either::Second(Ok(mut connection)) => self.line.serve(&mut connection).await,
            Either::Second(Err(error)) => {
                log!(
                    debug,
                    "cannot connect to server {}: {}",
                    host.get(),
                    Shown(&error)
                );
                self.line.end();
            }
        }
    }
}

impl<'d> Line<'d> {
    pub(crate) fn new(
        link: Link<'d>,
        servers: ConnectString<'d>,
        rx: &'d mut [u8],
        tx: FixedTx<'d>,
    ) -> Self {
        Self {
            link,
            servers,
            orders: Orders::new(link),
            receiver: Receiver::new(link, rx),
            sender: Sender::new(tx),
        }
    }

    async fn serve<C: Read + Write>(&mut self, connection: &mut C) {
        act(&self.link, |hub| hub.handle_opened(now()));
        loop {
            match self.exchange(connection).await {
                Ok(()) => continue,
                Err(Lost::HungUp) => {}
                Err(Lost::Closed) => log!(debug, "the connection is lost"),
                Err(Lost::Protocol(error)) => {
                    log!(warn, "the server broke the protocol: {}", error)
                }
            }
            return self.end();
        }
    }

    /// The connection is gone, if there was one.
    fn end(&mut self) {
        self.receiver.reset();
        self.sender.reset();
        act(&self.link, |hub| hub.handle_lost(now()));
    }

    /// Sends what there is to send, or else receives once.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep its arguments twice"
    )]
    fn exchange<C: Read + Write>(
        &mut self,
        connection: &mut C,
    ) -> impl Future<Output = Result<(), Lost>> {
        async move {
            let next = self.orders.next(Some(&mut self.sender.tx));
            let read = connection.read(self.receiver.room());
            let order = match select(next, read).await {
                Either::First(order) => order,
                Either::Second(Ok(count)) if count > 0 => {
                    return self.receiver.receive(count).map_err(Lost::Protocol);
                }
                Either::Second(_) => return Err(Lost::Closed),
            };
            match order {
                Order::Send => {
                    match select(self.orders.hang_up(), self.sender.send(connection)).await {
                        Either::First(()) => Err(Lost::HungUp),
                        Either::Second(Ok(true)) => Ok(()),
                        Either::Second(_) => Err(Lost::Closed),
                    }
                }
                Order::Act(Action::Probe(host)) => {
                    act(&self.link, |hub| hub.handle_probed(now(), host, false));
                    Ok(())
                }
                Order::Act(_) | Order::End(_) => Err(Lost::HungUp),
            }
        }
    }
}
