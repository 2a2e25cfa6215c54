//! The session by scripted bytes and a hand-moved clock.

extern crate std;

mod ending;
mod handshake;
mod heartbeat;
mod hostile;
mod numbers;
mod reconnection;

use std::vec::Vec;

use super::*;
use crate::wire::{self, Encoder, EventKind, SliceSink};

/// A session's id.
const ID: i64 = 0x1000_0aaa_0001;
const PASSWORD: [u8; 16] = *b"0123456789abcdef";
/// The usual negotiated timeout in milliseconds: pings after 3 s, silence for 6 s, lease for 7 s.
const T: u64 = 9_000;
/// When scripts begin, by the transport's clock.
const START: Instant = Instant::from_micros(77_000_000);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Settings that leave little to chance.
const CONFIG: Config = Config {
    session_timeout: ms(T),
    backoff: Backoff {
        base: ms(1),
        cap: ms(1),
        stable: ms(10_000),
    },
    shuffle: false,
    ..Config::DEFAULT
};

fn new(config: Config) -> Scripted {
    Scripted {
        session: Session::new(config, 3, 5, START).unwrap(),
        now: START,
        sent: Vec::new(),
        actions: Vec::new(),
    }
}

/// A session that is connected.
fn connected(config: Config) -> Scripted {
    let mut script = new(config);
    script.connect();
    script
}

fn encode(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut room = [0; 512];
    let mut sink = SliceSink::new(&mut room);
    wire::frame(&mut sink, 512, "", false, body).unwrap();
    sink.as_bytes().to_vec()
}

/// A frame without its length.
fn payload(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    encode(body).split_off(4)
}

fn accepted(session: i64, timeout_ms: i32) -> Connected {
    Connected {
        timeout_ms,
        session,
        password: PASSWORD,
        read_only: Some(false),
    }
}

/// The answer to a session that is gone.
fn gone() -> Vec<u8> {
    payload(|out| {
        Connected {
            password: [0; 16],
            ..accepted(0, 0)
        }
        .encode(out)
    })
}

fn header(xid: i32, zxid: i64, err: i32) -> Vec<u8> {
    payload(|out| ReplyHeader { xid, zxid, err }.encode(out))
}

fn event(zxid: i64, path: &str) -> Vec<u8> {
    payload(|out| {
        let xid = xid::NOTIFICATION;
        ReplyHeader { xid, zxid, err: 0 }.encode(out);
        let kind = Some(EventKind::Created);
        let state = 3;
        WatchEvent { kind, state, path }.encode(out);
    })
}

struct Scripted {
    session: Session,
    now: Instant,
    /// Messages of the session, and when they went out.
    sent: Vec<(u64, Control)>,
    actions: Vec<(u64, Action)>,
}

impl Scripted {
    /// Milliseconds since the start.
    fn at(&self) -> u64 {
        u64::try_from(self.now.since(START).as_millis()).unwrap()
    }

    fn status(&self) -> Status {
        self.session.status()
    }

    fn state(&self) -> State {
        self.session.status().state
    }

    /// How long the lease holds from now.
    fn lease(&self) -> u64 {
        let lease = self.session.lease().unwrap();
        u64::try_from(lease.since(self.now).as_millis()).unwrap()
    }

    /// Does what a driver does between two events.
    fn flush(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.actions.push((self.at(), action));
        }
        while let Some(control) = self.session.next_control(true) {
            self.sent.push((self.at(), control));
            match control {
                Control::Restore { .. } => self.session.restore_sent(self.now, None, true),
                _ => self.session.control_sent(self.now, control),
            }
        }
    }

    /// Lets time go by, with a look at the clock at every deadline.
    fn advance(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while let Some(deadline) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            // A connection given up may be followed by an attempt without a pause, but not more.
            self.timeout();
            self.timeout();
            let next = self.session.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "stuck: {:?}",
                self.session
            );
        }
        self.now = end;
        self.flush();
    }

    /// Lets time go by while the process sleeps.
    fn jump(&mut self, millis: u64) {
        self.now = self.now + ms(millis);
    }

    fn timeout(&mut self) {
        self.session.handle_timeout(self.now);
        self.flush();
    }

    /// Waits for the next attempt, and says which server it is for.
    fn dial(&mut self) -> usize {
        loop {
            self.flush();
            if let Some((_, Action::Dial(host))) = self.actions.pop() {
                return host.get();
            }
            self.now = self.now.max(self.session.poll_timeout().unwrap());
            self.session.handle_timeout(self.now);
        }
    }

    /// Opens the next connection, and returns the bytes of the first message on it.
    fn open(&mut self) -> Vec<u8> {
        self.dial();
        self.session.handle_opened(self.now);
        assert_eq!(self.session.next_control(true), Some(Control::Connect));
        let bytes = encode(|out| self.session.connect_request().encode(out));
        self.flush();
        bytes
    }

    /// As [`open`](Self::open), but returns the fields: session, last zxid, timeout, read-only.
    fn open_fields(&mut self) -> (i64, i64, i32, bool) {
        self.open();
        let connect = self.session.connect_request();
        assert_eq!(connect.session == 0, connect.password == [0; 16]);
        (
            connect.session,
            connect.last_zxid,
            connect.timeout_ms,
            connect.read_only,
        )
    }

    fn answer(&mut self, reply: Connected) {
        self.frame(&payload(|out| reply.encode(out))).unwrap();
        self.flush();
    }

    fn connect(&mut self) {
        self.open();
        self.answer(accepted(ID, T as i32));
        assert!(self.state().is_connected());
    }

    /// A frame, handled as the hub does.
    fn frame(&mut self, frame: &[u8]) -> Result<(), ProtocolError> {
        let handled = self.session.handle_frame(self.now, frame);
        match handled {
            Ok(Inbound::Reply(header)) => self.session.handle_reply(self.now, &header),
            Ok(_) => {}
            Err(error) => {
                self.session.handle_broken(self.now);
                return Err(error);
            }
        }
        Ok(())
    }

    fn pong(&mut self) {
        self.frame(&header(xid::PING, 0, 0)).unwrap();
    }

    fn request(&mut self) {
        self.session.requests_sent(self.now, 1);
    }

    fn reply(&mut self, zxid: i64) {
        self.frame(&header(1, zxid, 0)).unwrap();
    }

    /// The connection is cut.
    fn cut(&mut self) {
        self.session.handle_lost(self.now);
        self.flush();
    }

    /// When pings went out.
    fn pings(&self) -> Vec<u64> {
        let pings = self.sent.iter().filter(|(_, sent)| *sent == Control::Ping);
        pings.map(|(at, _)| *at).collect()
    }

    /// When the connection was hung up, if it was.
    fn hung_up(&self) -> Option<u64> {
        let mut actions = self.actions.iter();
        actions.find_map(|(at, action)| (*action == Action::HangUp).then_some(*at))
    }
}
