//! Clients that send the model of an ensemble whatever they like.

use std::time::Duration;

use docent_core::time::Instant;
use docent_core::wire::{Connect, ConnectReply, Connected, Encoder, OpCode, RequestHeader, frame};
use docent_testing::server::{ConnId, Ensemble, Node};

use super::tape::Tape;

/// The first byte sizes the pieces in which bytes arrive, which must not matter; the others say what
/// the clients do.
pub fn server(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let piece = 1 + usize::from(tape.byte());
    let whole = World::play(Tape(tape.0), usize::MAX);
    let pieces = World::play(tape, piece);
    assert_eq!(pieces.heard, whole.heard);
    assert_eq!(pieces.nodes(), whole.nodes());
    whole.members_agree();
    whole.the_log_leads_here();
}

/// A connection, and what is known of its session.
struct Client {
    conn: ConnId,
    session: Option<Connected>,
}

struct World {
    ensemble: Ensemble,
    now: Instant,
    piece: usize,
    clients: Vec<Client>,
    /// Whose turn it is.
    turn: usize,
    last: Vec<u8>,
    /// Everything that the clients received, in order.
    heard: Vec<Vec<u8>>,
}

impl World {
    fn play(mut tape: Tape<'_>, piece: usize) -> Self {
        let mut world = Self {
            ensemble: Ensemble::builder().members(MEMBERS).build(),
            now: Instant::ZERO,
            piece,
            clients: Vec::new(),
            turn: 0,
            last: Vec::new(),
            heard: Vec::new(),
        };
        while !tape.is_empty() {
            world.step(&mut tape);
            world.listen();
        }
        world
    }

    fn step(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 10 {
            0 => self.dial(tape.byte().into()),
            1 => {
                self.dial(tape.byte().into());
                self.greet(NOBODY);
            }
            2 => {
                let known = self.clients.iter().rev().find_map(|client| client.session);
                self.dial(tape.byte().into());
                self.greet(known.unwrap_or(NOBODY));
            }
            3 => self.turn = tape.byte().into(),
            4 => self.send(tape.bytes()),
            5 | 6 => self.request(i32::from(tape.byte() as i8), tape.bytes()),
            7 => (0..tape.byte() % 32).for_each(|_| self.send(&self.last.clone())),
            8 => self.wait(Duration::from_millis(u64::from(tape.byte()) * 50)),
            _ => self.hang_up(),
        }
    }

    fn client(&self) -> Option<&Client> {
        let turn = self.turn.checked_rem(self.clients.len())?;
        self.clients.get(turn)
    }

    fn dial(&mut self, member: usize) {
        self.turn = self.clients.len();
        let conn = self.ensemble.connect(member % MEMBERS);
        self.clients.extend(conn.map(|conn| Client {
            conn,
            session: None,
        }));
    }

    fn greet(&mut self, session: Connected) {
        let connect = Connect {
            last_zxid: 0,
            timeout_ms: session.timeout_ms,
            session: session.session,
            password: &session.password,
            read_only: false,
        };
        self.send(&framed(|out| connect.encode(out)));
    }

    fn request(&mut self, op: i32, body: &[u8]) {
        let header = RequestHeader {
            xid: 1,
            op: OpCode(op),
        };
        self.last = framed(|out| {
            header.encode(out);
            out.bytes(body);
        });
        self.send(&self.last.clone());
    }

    fn send(&mut self, bytes: &[u8]) {
        let Some(conn) = self.client().map(|client| client.conn) else {
            return;
        };
        for piece in bytes.chunks(self.piece) {
            self.ensemble.receive(conn, self.now, piece);
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.ensemble.poll_timeout().filter(|due| *due <= end) {
            self.ensemble.handle_timeout(due);
            let next = self.ensemble.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "time stands still");
        }
        self.now = end;
        self.ensemble.handle_timeout(end);
    }

    fn hang_up(&mut self) {
        if let Some(conn) = self.client().map(|client| client.conn) {
            self.ensemble.disconnect(conn);
            self.clients.retain(|client| client.conn != conn);
        }
    }

    /// Every client takes what it is sent.
    fn listen(&mut self) {
        for client in &mut self.clients {
            let output = self.ensemble.transmit(client.conn, usize::MAX);
            let payload = output.bytes.get(4..).unwrap_or_default();
            if client.session.is_none()
                && let Ok(ConnectReply::Accepted(connected)) = ConnectReply::decode(payload)
            {
                client.session = Some(connected);
            }
            if !output.bytes.is_empty() {
                self.heard.push(output.bytes);
            }
        }
        let open: Vec<_> = self.ensemble.connections().map(|(conn, ..)| conn).collect();
        self.clients.retain(|client| open.contains(&client.conn));
    }

    fn nodes(&self) -> Vec<(String, Node)> {
        let nodes = self.ensemble.nodes();
        nodes
            .map(|(path, node)| (path.to_owned(), node.clone()))
            .collect()
    }

    fn members_agree(&self) {
        for (path, node) in self.ensemble.nodes() {
            let same = |member| self.ensemble.node_at(member, path) == Some(node);
            assert!((0..MEMBERS).all(same), "{path}");
        }
    }

    fn the_log_leads_here(mut self) {
        let before = self.nodes();
        assert!(self.ensemble.rewind(self.ensemble.zxid()));
        assert_eq!(self.nodes(), before);
    }
}

const MEMBERS: usize = 3;

/// A client without a session.
const NOBODY: Connected = Connected {
    timeout_ms: 6_000,
    session: 0,
    password: [0; 16],
    read_only: None,
};

fn framed(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, usize::MAX, "", false, body).expect("there is room");
    out
}
