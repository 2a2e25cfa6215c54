//! Addresses at which nobody answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time;

/// A loopback address that swallows connection attempts: they neither succeed nor fail.
///
/// It is a listener whose queue is full, to which Linux gives no answer.
#[derive(Debug)]
pub struct BlackHole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens it.
    ///
    /// # Panics
    /// If no loopback port can be had, or this system answers even so, and outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing.
    pub async fn open() -> Self {
        let (socket, addr) = bind();
        let listener = socket.listen(0).expect("a bound socket can listen");
        let queue = fill(addr).await;
        Self {
            addr,
            _listener: listener,
            _queue: queue,
        }
    }

    /// Where it is.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// A loopback address that refuses connections, and is nobody else's as long as this lives.
#[derive(Debug)]
pub struct Refusing {
    addr: SocketAddr,
    _socket: TcpSocket,
}

impl Refusing {
    /// Reserves the address.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub fn open() -> Self {
        let (socket, addr) = bind();
        Self {
            addr,
            _socket: socket,
        }
    }

    /// Where it is.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

fn bind() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket can be had");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a loopback port is free");
    let addr = socket.local_addr().expect("a bound socket has an address");
    (socket, addr)
}

async fn fill(addr: SocketAddr) -> Vec<TcpStream> {
    let mut queue = Vec::new();
    while queue.len() < 64 {
        match time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
            Ok(stream) => queue.push(stream.expect("a listener accepts or is silent")),
            Err(_) => return queue,
        }
    }
    panic!("the queue of {addr} does not fill up");
}
