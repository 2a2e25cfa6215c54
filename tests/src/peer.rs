//! Hostile and faulty servers, and faulty networks in front of good ones.
//!
//! A [`Peer`] accepts connections and runs a script for each, which sends any bytes it likes, at any
//! pace, and ends the connection in any way. What clients sent is in its [`Record`]. A [`Proxy`]
//! sits between a client and a real server and cuts, holds or delays what they say. A [`BlackHole`]
//! lets no connection come about, and [`Refusing`] denies it at once.
//!
//! ```
//! use docent_testing::peer::{Peer, op};
//! use std::time::Duration;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let peer = Peer::start(|mut client| async move {
//!     client.welcome(0x1234, Duration::from_secs(4)).await?;
//!     let request = client.expect(op::EXISTS).await?;
//!     client.err(&request, -101).await?;
//!     client.rst();
//!     Ok(())
//! })
//! .await;
//! println!("connect to {}", peer.addr());
//! # });
//! ```
//!
//! Nothing here uses the encoders of Docent, so that a mistake in them is not made twice.
//!
//! Methods named without `async` act at once. Tasks end with the value that started them.

mod body;
mod dead;
mod proxy;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time;

pub use body::{Body, ConnectRequest, Grant, Request, op};
pub use dead::{BlackHole, Refusing};
pub use proxy::{Cut, Flow, Proxy};

use body::{PING_XID, connect_response, event, header};

/// How long [`Peer::until`] waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between attempts to accept a connection when that fails, as for want of file descriptors.
const RETRY: Duration = Duration::from_millis(10);
/// Longer frames are taken for a client's mistake.
const MAX_FRAME: usize = 64 << 20;

/// A server on a loopback port that does what a script says.
///
/// Dropping it ends all scripts and connections.
#[derive(Debug)]
pub struct Peer {
    addr: SocketAddr,
    record: Arc<watch::Sender<Record>>,
    _acceptor: Task,
}

impl Peer {
    /// Starts to listen, and runs `script` for each connection accepted.
    ///
    /// An error returned by the script goes to the record, as clients that leave are often what a
    /// test wants. A panic does, too, and makes [`finish`](Self::finish) fail.
    ///
    /// # Panics
    /// If no loopback port can be had, and outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing.
    pub async fn start<S, F>(script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (listener, addr) = listen().await;
        let record = Arc::new(watch::Sender::default());
        let acceptor = tokio::spawn(accept(listener, script, record.clone()));
        Self {
            addr,
            record,
            _acceptor: Task(acceptor),
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What has happened so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Waits for the record to be as `wanted`, and returns it.
    ///
    /// # Panics
    /// If it is not so after 30 s.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn until(&self, wanted: impl FnMut(&Record) -> bool) -> Record {
        let mut record = self.record.subscribe();
        let reached = time::timeout(PATIENCE, record.wait_for(wanted)).await;
        match reached {
            Ok(record) => record.expect("the sender is borrowed").clone(),
            Err(_) => panic!(
                "the wanted did not happen in {PATIENCE:?}: {:#?}",
                self.record()
            ),
        }
    }

    /// Ends all scripts and returns the record.
    ///
    /// # Panics
    /// If a script panicked, as by a failed assertion.
    pub fn finish(self) -> Record {
        let record = self.record();
        assert!(
            record.panics.is_empty(),
            "scripts panicked: {:#?}",
            record.panics
        );
        record
    }
}

/// What clients did to a [`Peer`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Record {
    /// All connections in the order in which they were accepted.
    pub connections: Vec<Conversation>,
    /// The messages of scripts that panicked.
    pub panics: Vec<String>,
}

impl Record {
    /// All requests on all connections, pings left out.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        let all = self
            .connections
            .iter()
            .flat_map(|connection| &connection.requests);
        all.filter(|request| request.op != op::PING)
    }

    fn at(&mut self, index: usize) -> &mut Conversation {
        &mut self.connections[index]
    }
}

/// One connection of a [`Peer`], as seen by its script.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conversation {
    /// When it was accepted.
    pub accepted: Instant,
    /// The number of bytes that the script read.
    pub received: usize,
    /// The client's first frame, if the script read it as what it should be.
    pub connect: Option<ConnectRequest>,
    /// Requests that the script read, with pings.
    pub requests: Vec<Request>,
    /// How the client ended it, and when that was noticed.
    pub ended: Option<(Ended, Instant)>,
    /// The error with which the script ended.
    pub error: Option<String>,
}

impl Conversation {
    fn new() -> Self {
        let accepted = Instant::now();
        Self {
            accepted,
            received: 0,
            connect: None,
            requests: vec![],
            ended: None,
            error: None,
        }
    }

    /// When pings were read.
    pub fn pings(&self) -> impl Iterator<Item = Instant> {
        self.requests
            .iter()
            .filter(|request| request.op == op::PING)
            .map(|request| request.at)
    }
}

/// How a client ended its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By FIN.
    Closed,
    /// By RST, or otherwise abruptly.
    Reset,
}

/// A connection in the hands of a script.
///
/// Dropping it closes it: by FIN, or by RST if there is something left to read. Use
/// [`fin`](Self::fin) and [`rst`](Self::rst) where that matters.
///
/// # Cancel safety
/// A method that reads can be cancelled and called again. One that was just writing, if only the answer
/// to a ping, may have sent a part of it, after which the client cannot make sense of what follows.
#[derive(Debug)]
pub struct Connection {
    /// The transaction id of the next reply; [`ok`](Self::ok) and [`err`](Self::err) step it.
    pub zxid: i64,
    index: usize,
    stream: TcpStream,
    input: Vec<u8>,
    waiting: VecDeque<Request>,
    answers_pings: bool,
    record: Arc<watch::Sender<Record>>,
}

impl Connection {
    fn new(stream: TcpStream, record: Arc<watch::Sender<Record>>) -> Self {
        let mut index = 0;
        record.send_modify(|record| {
            index = record.connections.len();
            record.connections.push(Conversation::new());
        });
        let (input, waiting) = Default::default();
        Self {
            zxid: 1,
            index,
            stream,
            input,
            waiting,
            answers_pings: true,
            record,
        }
    }

    /// How many connections were accepted before this one.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Whether pings are answered while the script waits for something else; they are at first.
    ///
    /// If not, [`request`](Self::request) returns them.
    pub const fn answer_pings(&mut self, on: bool) {
        self.answers_pings = on;
    }

    /// Reads the connect request and accepts the session.
    ///
    /// # Errors
    /// Those of reading; see [`frame`](Self::frame).
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn welcome(&mut self, session: i64, timeout: Duration) -> io::Result<ConnectRequest> {
        let request = self.connect_request().await?;
        self.accept(&Grant::new(session, timeout)).await?;
        Ok(request)
    }

    /// Reads the connect request, which must be the client's first frame.
    ///
    /// # Errors
    /// Those of [`frame`](Self::frame), and of kind `InvalidData` for a frame of another form.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn connect_request(&mut self) -> io::Result<ConnectRequest> {
        let frame = self.frame().await?;
        let request =
            ConnectRequest::parse(&frame).ok_or_else(|| invalid("connect request", &frame))?;
        self.note(|it| it.connect = Some(request.clone()));
        Ok(request)
    }

    /// Answers the connect request.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn accept(&mut self, grant: &Grant) -> io::Result<()> {
        self.send_frame(&connect_response(grant)).await
    }

    /// Answers the connect request as servers do when the session is gone.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn expired(&mut self) -> io::Result<()> {
        self.accept(&Grant {
            password: vec![0; 16],
            ..Grant::new(0, Duration::ZERO)
        })
        .await
    }

    /// Answers the connect request by a bare reply header with an error code.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn refuse(&mut self, code: i32) -> io::Result<()> {
        self.send_frame(&header(0, 0, code)).await
    }

    /// Reads the next request.
    ///
    /// # Errors
    /// Those of [`frame`](Self::frame), and of kind `InvalidData` for a frame without a header.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn request(&mut self) -> io::Result<Request> {
        while self.waiting.is_empty() {
            let frame = self.frame().await?;
            self.take(frame).await?;
        }
        Ok(self.waiting.pop_front().expect("just filled"))
    }

    /// Reads the next request, which must be of operation `op`.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    ///
    /// # Panics
    /// If it is another operation; [`Peer::finish`] tells.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn expect(&mut self, op: i32) -> io::Result<Request> {
        let request = self.request().await?;
        assert_eq!(request.op, op, "unexpected {request:?}");
        Ok(request)
    }

    /// Waits for a time, reading on: pings are answered, requests kept for later.
    ///
    /// # Errors
    /// Those of [`request`](Self::request).
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn idle(&mut self, time: Duration) -> io::Result<()> {
        let end = time::Instant::now() + time;
        while let Ok(frame) = time::timeout_at(end, self.frame()).await {
            let frame = frame?;
            self.take(frame).await?;
        }
        Ok(())
    }

    /// Reads whatever comes until the client ends the connection. Answers pings if told to.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn ended(&mut self) -> Ended {
        while let Ok(frame) = self.frame().await {
            if self.take(frame).await.is_err() {
                break;
            }
        }
        self.drain().await
    }

    /// Answers a request with success.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn ok(&mut self, request: &Request, body: &[u8]) -> io::Result<()> {
        let zxid = self.next_zxid();
        self.reply(request.xid, zxid, 0, body).await
    }

    /// Answers a request with an error code.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn err(&mut self, request: &Request, code: i32) -> io::Result<()> {
        let zxid = self.next_zxid();
        self.reply(request.xid, zxid, code, &[]).await
    }

    /// Sends a reply with any header.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn reply(&mut self, xid: i32, zxid: i64, code: i32, body: &[u8]) -> io::Result<()> {
        let mut frame = header(xid, zxid, code);
        frame.extend(body);
        self.send_frame(&frame).await
    }

    /// Sends a watch event in state "connected"; `kind` 1 is created, 2 deleted, 3 data, 4 children.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn event(&mut self, kind: i32, path: &str) -> io::Result<()> {
        self.send_frame(&event(kind, path)).await
    }

    /// Sends these bytes after their length.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn send_frame(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send(&framed(payload)).await
    }

    /// Sends these bytes and no others.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends these bytes in pieces of `size`, with a pause after each. Does not read meanwhile.
    ///
    /// # Errors
    /// If the client is gone.
    ///
    /// # Cancel safety
    /// As for [all methods](Connection#cancel-safety).
    pub async fn drip(&mut self, bytes: &[u8], size: usize, pause: Duration) -> io::Result<()> {
        for piece in bytes.chunks(size.max(1)) {
            self.send(piece).await?;
            time::sleep(pause).await;
        }
        Ok(())
    }

    /// Reads a frame, be it what it may, and returns it without its length.
    ///
    /// # Errors
    /// Of kind `UnexpectedEof` if the client closed the connection, the socket's if it reset it, and
    /// `InvalidData` for a length below zero or over 64 MiB.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn frame(&mut self) -> io::Result<Vec<u8>> {
        self.fill(4).await?;
        let length: [u8; 4] = self.input[..4].try_into().expect("four bytes");
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(invalid("frame length", &self.input[..4]));
        }
        self.fill(4 + length).await?;
        self.input.drain(..4);
        Ok(self.input.drain(..length).collect())
    }

    /// Reads exactly `count` bytes and no more, so that the client's next ones are left unread.
    ///
    /// # Errors
    /// Of kind `UnexpectedEof` if the client closed the connection, the socket's if it reset it.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.fill(count).await?;
        Ok(self.input.drain(..count).collect())
    }

    /// Does nothing any more, for ever: no reading, no writing, no closing.
    ///
    /// # Cancel safety
    /// Cancelling it closes the connection.
    pub async fn stall(self) -> ! {
        pending::<()>().await;
        unreachable!("pending futures do not end")
    }

    /// Closes the sending direction (FIN), then reads until the client ends its own.
    ///
    /// # Cancel safety
    /// As for [`stall`](Self::stall).
    pub async fn fin(mut self) -> Ended {
        let _ = self.stream.shutdown().await; // it fails if the client was quicker
        self.drain().await
    }

    /// Resets the connection (RST). What is not yet on its way to the client is lost.
    pub fn rst(self) {
        reset(self.stream);
    }

    async fn fill(&mut self, count: usize) -> io::Result<()> {
        while let Some(missing) = count
            .checked_sub(self.input.len())
            .filter(|missing| *missing > 0)
        {
            let limit = u64::try_from(missing).unwrap_or(u64::MAX);
            let read = (&mut self.stream)
                .take(limit)
                .read_buf(&mut self.input)
                .await;
            self.note_read(&read);
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> Ended {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.stream.read(&mut buffer).await;
            self.note_read(&read);
            match read {
                Ok(0) => return Ended::Closed,
                Ok(_) => {}
                Err(_) => return Ended::Reset,
            }
        }
    }

    async fn take(&mut self, frame: Vec<u8>) -> io::Result<()> {
        let request = Request::parse(frame, self.index)?;
        self.note(|it| it.requests.push(request.clone()));
        if self.answers_pings && request.op == op::PING {
            return self.reply(PING_XID, self.zxid, 0, &[]).await;
        }
        self.waiting.push_back(request);
        Ok(())
    }

    fn next_zxid(&mut self) -> i64 {
        let zxid = self.zxid;
        self.zxid = zxid.wrapping_add(1);
        zxid
    }

    fn note_read(&self, read: &io::Result<usize>) {
        let ended = match read {
            Ok(0) => Ended::Closed,
            Ok(count) => return self.note(|it| it.received += count),
            Err(_) => Ended::Reset,
        };
        let now = Instant::now();
        self.note(|it| it.ended = it.ended.or(Some((ended, now))));
    }

    fn note(&self, change: impl FnOnce(&mut Conversation)) {
        self.record
            .send_modify(|record| change(record.at(self.index)));
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a loopback port is free");
    let addr = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, addr)
}

async fn accept<S, F>(listener: TcpListener, script: S, record: Arc<watch::Sender<Record>>)
where
    S: Fn(Connection) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut scripts = JoinSet::new(); // ended with this task
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let _ = stream.set_nodelay(true);
                let connection = Connection::new(stream, record.clone());
                scripts.spawn(run(connection.index, script(connection), record.clone()));
            }
            Some(Err(error)) = scripts.join_next() => note_panic(&record, error),
            else => time::sleep(RETRY).await,
        }
    }
}

async fn run(
    index: usize,
    script: impl Future<Output = io::Result<()>>,
    record: Arc<watch::Sender<Record>>,
) {
    if let Err(error) = script.await {
        record.send_modify(|record| record.at(index).error = Some(error.to_string()));
    }
}

fn note_panic(record: &watch::Sender<Record>, error: JoinError) {
    record.send_modify(|record| record.panics.push(error.to_string()));
}

fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger(); // it fails if the connection is already gone
    drop(stream);
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is below 4 GiB");
    [&length.to_be_bytes(), payload].concat()
}

fn invalid(what: &str, bytes: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no {what}: {bytes:?}"))
}
