//! What tests with scripted servers have in common.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "no test file uses all of it, and none exports it"
)]

use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use docent::{Backoff, Builder};
use docent_testing::peer::{Body, Connection, Grant, Request, op};
use tokio::{task, time};

pub const SESSION: i64 = 0x5e55_0000_0000_0001;
/// So long that within [`PATIENCE`] nobody pings and nothing is given up for silence: what a test waits
/// for comes of what was received, or does not come.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// The data of every node of [`Honest`].
pub const GOOD: &[u8] = b"good";

const QUICK: Backoff = Backoff {
    base: Duration::from_millis(1),
    cap: Duration::from_millis(4),
    stable: Duration::from_secs(10),
};

/// A client that asks for [`TIMEOUT`] and hardly pauses between attempts.
pub fn builder(servers: impl ToString) -> Builder {
    docent::builder(&servers.to_string())
        .session_timeout(TIMEOUT)
        .backoff(QUICK)
        .connect_within(PATIENCE)
}

pub fn many(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

/// No test asserts that something is quick, but none may hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
pub fn within<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let place = Location::caller();
    let future = time::timeout(PATIENCE, future.into_future());
    async move {
        let done = future.await;
        done.unwrap_or_else(|_| panic!("{place}: this has not happened in {PATIENCE:?}"))
    }
}

/// Waits for a future while the clock stands still, so that it does not end by any time limit.
pub async fn without_time<F: IntoFuture>(future: F) -> F::Output {
    let (done, is_done) = mpsc::channel();
    time::pause();
    // While this runs a clock that was stopped does not go on by itself.
    let halt = task::spawn_blocking(move || is_done.recv_timeout(PATIENCE).is_ok());
    let output = future.await;
    let _ = done.send(());
    assert!(halt.await.unwrap(), "it took a time limit");
    time::resume();
    output
}

/// The future's result, if it has one without waiting.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A server's good answers, with just enough memory for a lock.
#[derive(Debug, Default)]
pub struct Honest {
    nodes: Vec<String>,
}

impl Honest {
    /// Welcomes the client, be it with a new session or with [`SESSION`], and serves it to its end.
    pub async fn serve(client: &mut Connection) -> io::Result<()> {
        client.welcome(SESSION, TIMEOUT).await?;
        Self::default().answer_all(client).await
    }

    /// Answers all requests until the client ends the connection.
    pub async fn answer_all(&mut self, client: &mut Connection) -> io::Result<()> {
        loop {
            let request = client.request().await?;
            self.answer(client, &request).await?;
        }
    }

    pub async fn answer(&mut self, client: &mut Connection, request: &Request) -> io::Result<()> {
        let zxid = client.zxid;
        let path = request.path().unwrap_or_default();
        let body = match request.op {
            op::GET_DATA => good(zxid),
            op::EXISTS | op::SET_DATA => Body::new().stat(zxid, 0).done(),
            op::CREATE2 => {
                let path = self.create(path, request);
                Body::new().string(&path).stat(zxid, SESSION).done()
            }
            op::GET_CHILDREN => self.names(path).done(),
            op::GET_CHILDREN2 => self.names(path).stat(zxid, 0).done(),
            op::SYNC => Body::new().string(path).done(),
            op::ADD_WATCH => Body::new().int(0).done(),
            op::DELETE => {
                self.nodes.retain(|node| node != path);
                vec![]
            }
            op::AUTH | op::SET_WATCHES | op::SET_WATCHES2 => {
                return client.reply(request.xid, 0, 0, &[]).await;
            }
            _ => vec![],
        };
        client.ok(request, &body).await
    }

    pub fn create(&mut self, path: &str, request: &Request) -> String {
        let sequential = request.body.last().is_some_and(|flags| flags & 2 != 0);
        let count = self.nodes.len();
        let path = if sequential {
            format!("{path}{count:010}")
        } else {
            path.to_owned()
        };
        self.nodes.push(path.clone());
        path
    }

    fn names(&self, parent: &str) -> Body {
        let parent = format!("{parent}/");
        let names = self
            .nodes
            .iter()
            .filter_map(|node| node.strip_prefix(&parent));
        let names: Vec<_> = names.filter(|name| !name.contains('/')).collect();
        let count = i32::try_from(names.len()).unwrap();
        names.into_iter().fold(Body::new().int(count), Body::string)
    }
}

/// The body of a good answer to "get".
pub fn good(zxid: i64) -> Vec<u8> {
    Body::new().buffer(GOOD).stat(zxid, 0).done()
}

/// A whole frame with its length.
pub fn frame(xid: i32, zxid: i64, err: i32, body: &[u8]) -> Vec<u8> {
    let header = Body::new().int(xid).long(zxid).int(err);
    Body::new().buffer(&header.raw(body).done()).done()
}

/// What a server answers that has lost its quorum.
pub fn read_only(session: i64) -> Grant {
    Grant {
        read_only: Some(true),
        ..Grant::new(session, TIMEOUT)
    }
}
