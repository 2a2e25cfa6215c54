//! The floor: one task with a tokio socket, which sends frames that were encoded beforehand and
//! only splits the replies. No client on tokio can do with less.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::ensure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::reads::{Batch, Reader, Samples};
use crate::wire::{GET_LEN, Inbox, connect_request, get_request, set_xid};

const TIMEOUT_MS: i32 = 30_000;

/// A connection after its handshake.
pub(crate) struct Raw {
    stream: TcpStream,
    inbox: Inbox,
    outbox: Vec<u8>,
    xid: i32,
}

impl Raw {
    /// Connects and opens a session.
    pub(crate) async fn connect(address: &str, window: usize) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&connect_request(TIMEOUT_MS)).await?;
        let outbox = get_request().repeat(window);
        let mut raw = Self {
            stream,
            inbox: Inbox::new(),
            outbox,
            xid: 0,
        };
        raw.receive().await?;
        Ok(raw)
    }

    async fn send(&mut self, requests: usize) -> anyhow::Result<()> {
        let frames = &mut self.outbox[..requests * GET_LEN];
        for frame in frames.chunks_exact_mut(GET_LEN) {
            self.xid = self.xid.checked_add(1).unwrap_or(1);
            set_xid(frame, self.xid);
        }
        Ok(self.stream.write_all(frames).await?)
    }

    async fn receive(&mut self) -> anyhow::Result<usize> {
        let read = self.stream.read(self.inbox.room()).await?;
        ensure!(read > 0, "the null server closed the connection");
        Ok(self.inbox.drain(read, |_| ()))
    }
}

impl Reader for Raw {
    async fn read(&mut self, batch: Batch) -> anyhow::Result<Samples> {
        let mut timer = Timer::new(batch);
        let mut left = batch.operations;
        let mut outstanding = 0;
        while left > 0 || outstanding > 0 {
            let requests = left.min((batch.window - outstanding) as u64) as usize;
            if requests > 0 {
                timer.sent(requests);
                self.send(requests).await?;
            }
            left -= requests as u64;
            let replies = self.receive().await?;
            timer.received(replies);
            outstanding = outstanding + requests - replies;
        }
        Ok(timer.samples)
    }
}

/// Takes the latency of every so many-th request; replies come in the order of the requests.
struct Timer {
    every: u64,
    sent: u64,
    received: u64,
    waiting: VecDeque<Instant>,
    samples: Samples,
}

impl Timer {
    fn new(batch: Batch) -> Self {
        Self {
            every: batch.sample_every,
            sent: 0,
            received: 0,
            waiting: VecDeque::with_capacity(batch.window),
            samples: Samples::with_capacity(batch.samples()),
        }
    }

    fn sent(&mut self, requests: usize) {
        let due = self.due(self.sent, requests);
        self.sent += requests as u64;
        if due > 0 {
            let now = Instant::now();
            self.waiting.extend(std::iter::repeat_n(now, due));
        }
    }

    fn received(&mut self, replies: usize) {
        let due = self.due(self.received, replies);
        self.received += replies as u64;
        if due > 0 {
            let now = Instant::now();
            self.samples.extend(
                self.waiting
                    .drain(..due)
                    .map(|sent| (now - sent).as_nanos() as u64),
            );
        }
    }

    /// How many of the `more` operations after the first `done` have their latency taken.
    fn due(&self, done: u64, more: usize) -> usize {
        ((done + more as u64).div_ceil(self.every) - done.div_ceil(self.every)) as usize
    }
}
