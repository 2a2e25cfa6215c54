//! The null server: canned replies from one blocking thread per connection, one read and one write
//! for whatever has arrived. It must cost less than any client, or it would be what is measured.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::process;
use crate::wire::{DATA_LEN, Inbox, framed, int_at, op, set_xid};

/// Clients take the zxid of a reply only when it is positive.
const ZXID: i64 = 0x1_0000_0001;
const UNIMPLEMENTED: i32 = -6;
const STAT_LEN: usize = 68;

static SESSIONS: AtomicI64 = AtomicI64::new(1);

/// What a null server offers, and where it runs.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The longest session timeout that it grants.
    pub(crate) timeout_ms: i32,
    /// The core to stay on; any, if there is none.
    pub(crate) core: Option<usize>,
}

/// Prints its port, then serves until its standard input is closed: it never outlives its parent.
pub(crate) fn serve(terms: Terms) -> anyhow::Result<()> {
    terms.core.map_or(Ok(()), process::stay_on)?;
    process::raise_file_limit()?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(exit_after_parent);
    for stream in listener.incoming() {
        spawn_conversation(stream?, terms.timeout_ms)?;
    }
    Ok(())
}

fn exit_after_parent() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    std::process::exit(0);
}

fn spawn_conversation(stream: TcpStream, timeout_ms: i32) -> io::Result<()> {
    let small = thread::Builder::new().stack_size(128 * 1024);
    // A client that goes away is none of the server's business.
    small.spawn(move || drop(converse(stream, timeout_ms)))?;
    Ok(())
}

fn converse(mut stream: TcpStream, timeout_ms: i32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inbox = Inbox::new();
    let mut replies = Replies::new(timeout_ms);
    while !replies.closing {
        let read = stream.read(inbox.room())?;
        if read == 0 {
            break;
        }
        inbox.drain(read, |payload| replies.answer(payload));
        stream.write_all(&replies.bytes)?;
        replies.bytes.clear();
    }
    Ok(())
}

/// The replies to one batch of requests.
struct Replies {
    bytes: Vec<u8>,
    data: Vec<u8>,
    timeout_ms: i32,
    connected: bool,
    closing: bool,
}

impl Replies {
    fn new(timeout_ms: i32) -> Self {
        Self {
            bytes: Vec::new(),
            data: framed(&[&header(0, 0), data_and_stat().as_slice()].concat()),
            timeout_ms,
            connected: false,
            closing: false,
        }
    }

    fn answer(&mut self, payload: &[u8]) {
        let answered = match self.connected {
            true => self.answer_request(payload),
            false => self.answer_connect(payload),
        };
        self.closing |= answered.is_none();
    }

    fn answer_connect(&mut self, payload: &[u8]) -> Option<()> {
        let timeout_ms = int_at(payload, 12)?.min(self.timeout_ms);
        self.bytes.extend(framed(&connect_response(timeout_ms)));
        self.connected = true;
        Some(())
    }

    fn answer_request(&mut self, payload: &[u8]) -> Option<()> {
        let xid = int_at(payload, 0)?;
        let path = payload.get(8..)?;
        match int_at(payload, 4)? {
            op::GET_DATA => self.push_data(xid),
            op::PING | op::AUTH | op::DELETE => self.push(xid, 0, &[]),
            op::EXISTS => self.push(xid, 0, &[0; STAT_LEN]),
            op::CREATE => self.push(xid, 0, string(path)?),
            op::CREATE2 => self.push(xid, 0, &[string(path)?, &[0; STAT_LEN]].concat()),
            op::CLOSE_SESSION => self.push_last(xid, 0),
            _ => self.push_last(xid, UNIMPLEMENTED),
        }
        Some(())
    }

    fn push_data(&mut self, xid: i32) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.data);
        set_xid(&mut self.bytes[start..], xid);
    }

    fn push(&mut self, xid: i32, error: i32, body: &[u8]) {
        self.bytes
            .extend(framed(&[&header(xid, error), body].concat()));
    }

    fn push_last(&mut self, xid: i32, error: i32) {
        self.push(xid, error, &[]);
        self.closing = true;
    }
}

fn connect_response(timeout_ms: i32) -> Vec<u8> {
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let mut payload = vec![0; 4];
    payload.extend(timeout_ms.to_be_bytes());
    payload.extend(session.to_be_bytes());
    payload.extend(16_i32.to_be_bytes());
    payload.extend([7; 16]);
    payload.push(0);
    payload
}

fn header(xid: i32, error: i32) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&xid.to_be_bytes());
    header[4..12].copy_from_slice(&ZXID.to_be_bytes());
    header[12..].copy_from_slice(&error.to_be_bytes());
    header
}

fn data_and_stat() -> Vec<u8> {
    let mut body = framed(&[b'd'; DATA_LEN]);
    body.extend([0; STAT_LEN]);
    body
}

/// The string that `body` begins with, still with its length.
fn string(body: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(int_at(body, 0)?).ok()?;
    body.get(..4 + length)
}
