//! A client without a connection: it calls the model.

use docent_core::error::Code;
use docent_core::time::Instant;
use docent_core::wire::{
    Connect, ConnectReply, Decoder, Encoder, EventKind, OpCode, Perms, ReplyHeader, RequestHeader,
    Stat, WatchEvent, frame, xid,
};
use docent_testing::decode::{Body, Entry};
use docent_testing::server::{Builder, ConnId, Ensemble};
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) const OPEN: Entry<'static> = Entry {
    perms: Perms::ALL,
    scheme: Some("world"),
    id: Some("anyone"),
};

pub(crate) struct World {
    pub(crate) ensemble: Ensemble,
    pub(crate) now: Instant,
}

/// A connection, and what has been received on it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) conn: ConnId,
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    pub(crate) timeout_ms: i32,
    pub(crate) read_only: Option<bool>,
    pub(crate) closed: bool,
    /// Kind, path and zxid of the header.
    pub(crate) events: VecDeque<(EventKind, String, i64)>,
    pub(crate) replies: VecDeque<(ReplyHeader, Vec<u8>)>,
    pub(crate) last_zxid: i64,
    bytes: Vec<u8>,
    xid: i32,
}

/// How a connection was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    Expired,
    Silent,
}

pub(crate) fn encoded(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, usize::MAX, "", false, body).unwrap();
    out
}

impl World {
    pub(crate) fn new(builder: Builder) -> Self {
        let (ensemble, now) = (builder.build(), Instant::ZERO);
        Self { ensemble, now }
    }

    pub(crate) fn standalone() -> Self {
        Self::new(Ensemble::builder())
    }

    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.ensemble.handle_timeout(self.now);
    }

    /// A client with a new session of 10 s.
    pub(crate) fn client(&mut self, member: usize) -> Client {
        self.connect(member, &new_session()).expect("a session")
    }

    pub(crate) fn connect(
        &mut self,
        member: usize,
        connect: &Connect<'_>,
    ) -> Result<Client, Refusal> {
        let mut client = self.dial(member);
        let bytes = encoded(|out| connect.encode(out));
        self.ensemble.receive(client.conn, self.now, &bytes);
        self.greeting(&mut client)?;
        Ok(client)
    }

    pub(crate) fn dial(&mut self, member: usize) -> Client {
        Client {
            conn: self.ensemble.connect(member).expect("a running member"),
            session: 0,
            password: Vec::new(),
            timeout_ms: 0,
            read_only: None,
            closed: false,
            events: VecDeque::new(),
            replies: VecDeque::new(),
            last_zxid: 0,
            bytes: Vec::new(),
            xid: 0,
        }
    }

    /// Reads the answer to the handshake.
    pub(crate) fn greeting(&mut self, client: &mut Client) -> Result<(), Refusal> {
        self.receive(client);
        let Some(payload) = next_frame(&mut client.bytes) else {
            let refusal = if client.closed {
                Refusal::Closed
            } else {
                Refusal::Silent
            };
            return Err(refusal);
        };
        match ConnectReply::decode(&payload).unwrap() {
            ConnectReply::Accepted(connected) => {
                client.session = connected.session;
                client.password = connected.password.to_vec();
                client.timeout_ms = connected.timeout_ms;
                client.read_only = connected.read_only;
                Ok(())
            }
            ConnectReply::Expired => {
                assert!(client.closed);
                Err(Refusal::Expired)
            }
            ConnectReply::Refused(code) => panic!("{code}"),
        }
    }

    /// Another connection for the session of `client`.
    pub(crate) fn reconnect(&mut self, member: usize, client: &Client) -> Result<Client, Refusal> {
        let connect = Connect {
            last_zxid: client.last_zxid,
            session: client.session,
            password: &client.password,
            ..new_session()
        };
        self.connect(member, &connect)
    }

    pub(crate) fn receive(&mut self, client: &mut Client) {
        if client.closed {
            return;
        }
        let output = self.ensemble.transmit(client.conn, usize::MAX);
        client.closed = output.closed;
        client.bytes.extend(output.bytes);
    }

    /// Takes in what the server has sent so far.
    pub(crate) fn poll(&mut self, client: &mut Client) {
        self.receive(client);
        while let Some(payload) = next_frame(&mut client.bytes) {
            let (header, body) = ReplyHeader::decode(&payload).unwrap();
            if header.xid == xid::NOTIFICATION {
                let event = WatchEvent::decode(body).unwrap();
                let kind = event.kind.unwrap();
                client
                    .events
                    .push_back((kind, event.path.to_owned(), header.zxid));
            } else {
                client.replies.push_back((header, body.to_vec()));
            }
        }
    }

    /// Sends a request; the reply may come later.
    pub(crate) fn send(&mut self, client: &mut Client, op: OpCode, body: &Body<'_>) -> i32 {
        client.xid += 1;
        let xid = client.xid;
        self.send_as(client, RequestHeader { xid, op }, body);
        xid
    }

    pub(crate) fn send_as(&mut self, client: &mut Client, header: RequestHeader, body: &Body<'_>) {
        let bytes = encoded(|out| {
            header.encode(out);
            body.encode(out);
        });
        self.ensemble.receive(client.conn, self.now, &bytes);
        self.poll(client);
    }

    /// Sends a request and takes its reply; `None` if there is none.
    pub(crate) fn try_call(
        &mut self,
        client: &mut Client,
        op: OpCode,
        body: &Body<'_>,
    ) -> Option<Result<Vec<u8>, Code>> {
        let xid = self.send(client, op, body);
        let (header, body) = client.replies.pop_front()?;
        assert_eq!(header.xid, xid);
        client.last_zxid = client.last_zxid.max(header.zxid);
        Some(match header.code() {
            None => Ok(body),
            Some(code) => Err(code),
        })
    }

    pub(crate) fn call(
        &mut self,
        client: &mut Client,
        op: OpCode,
        body: &Body<'_>,
    ) -> Result<Vec<u8>, Code> {
        self.try_call(client, op, body).expect("a reply")
    }

    pub(crate) fn create(
        &mut self,
        client: &mut Client,
        path: &str,
        flags: i32,
    ) -> Result<String, Code> {
        let reply = self.call(client, OpCode::CREATE, &create(path, flags))?;
        Ok(Decoder::new(&reply).string().unwrap().to_owned())
    }

    pub(crate) fn delete(&mut self, client: &mut Client, path: &str) -> Result<(), Code> {
        let body = Body::Expect { path, version: -1 };
        self.call(client, OpCode::DELETE, &body).map(|_| ())
    }

    pub(crate) fn set(&mut self, client: &mut Client, path: &str) -> Result<Stat, Code> {
        let reply = self.call(client, OpCode::SET_DATA, &set(path))?;
        Ok(Decoder::new(&reply).stat().unwrap())
    }

    pub(crate) fn exists(
        &mut self,
        client: &mut Client,
        path: &str,
        watch: bool,
    ) -> Result<Stat, Code> {
        let reply = self.call(client, OpCode::EXISTS, &Body::Read { path, watch })?;
        Ok(Decoder::new(&reply).stat().unwrap())
    }

    pub(crate) fn data(
        &mut self,
        client: &mut Client,
        path: &str,
        watch: bool,
    ) -> Result<Stat, Code> {
        let reply = self.call(client, OpCode::GET_DATA, &Body::Read { path, watch })?;
        let mut input = Decoder::new(&reply);
        input.buffer().unwrap();
        Ok(input.stat().unwrap())
    }

    pub(crate) fn children(
        &mut self,
        client: &mut Client,
        path: &str,
        watch: bool,
    ) -> Result<Vec<String>, Code> {
        let reply = self.call(client, OpCode::GET_CHILDREN, &Body::Read { path, watch })?;
        let mut input = Decoder::new(&reply);
        let mut names: Vec<_> = input.items::<&str>().unwrap().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) fn close(&mut self, client: &mut Client) {
        self.call(client, OpCode::CLOSE_SESSION, &Body::Empty)
            .unwrap();
        assert!(client.closed);
    }

    pub(crate) fn authenticate(&mut self, client: &mut Client, scheme: &str, data: &str) -> i32 {
        let header = RequestHeader {
            xid: xid::AUTH,
            op: OpCode::AUTH,
        };
        let data = Some(data.as_bytes());
        self.send_as(
            client,
            header,
            &Body::Auth {
                kind: 0,
                scheme,
                data,
            },
        );
        let (header, _) = client.replies.pop_front().unwrap();
        assert_eq!((header.xid, header.zxid), (xid::AUTH, 0));
        header.err
    }
}

impl Client {
    /// What was received and not looked at.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<(EventKind, String)> {
        self.events
            .drain(..)
            .map(|(kind, path, _)| (kind, path))
            .collect()
    }
}

pub(crate) fn new_session() -> Connect<'static> {
    Connect {
        last_zxid: 0,
        timeout_ms: 10_000,
        session: 0,
        password: &[0; 16],
        read_only: false,
    }
}

pub(crate) fn create(path: &str, flags: i32) -> Body<'_> {
    Body::Create {
        path,
        data: Some(b"data"),
        acl: vec![OPEN],
        flags,
        ttl: None,
    }
}

pub(crate) fn set(path: &str) -> Body<'_> {
    Body::SetData {
        path,
        data: Some(b"new"),
        version: -1,
    }
}

pub(crate) fn next_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let prefix = bytes.first_chunk()?;
    let end = 4 + usize::try_from(i32::from_be_bytes(*prefix)).unwrap();
    let payload = bytes.get(4..end)?.to_vec();
    bytes.drain(..end);
    Some(payload)
}
