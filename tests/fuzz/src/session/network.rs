//! A server, and a way to it on which frames get damaged.

use std::collections::VecDeque;

use docent_core::time::Instant;
use docent_testing::server::{ConnId, Ensemble};

use super::Damage;

pub(super) struct Network {
    server: Ensemble,
    conn: Option<ConnId>,
    /// Frames on their way to the client, lengths included.
    incoming: VecDeque<Vec<u8>>,
    /// Bytes of the first one that have arrived.
    arrived: usize,
    /// Whether the server has closed the connection behind them.
    closed: bool,
    /// Whether all that arrives is what a server has sent.
    pub(super) honest: bool,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            server: Ensemble::default(),
            conn: None,
            incoming: VecDeque::new(),
            arrived: 0,
            closed: false,
            honest: true,
        }
    }

    pub(super) fn open(&mut self) {
        self.conn = self.server.connect(0);
    }

    /// The connection ends; what was under way is lost.
    pub(super) fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.server.disconnect(conn);
        }
        self.incoming.clear();
        self.arrived = 0;
        self.closed = false;
    }

    pub(super) fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Whether the client sees the end of the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.closed && self.incoming.is_empty()
    }

    pub(super) fn send(&mut self, now: Instant, bytes: &[u8]) {
        if let Some(conn) = self.conn {
            self.server.receive(conn, now, bytes);
            self.collect();
        }
    }

    pub(super) fn pass(&mut self, now: Instant) {
        self.server.handle_timeout(now);
        self.collect();
    }

    pub(super) fn expire(&mut self, session: i64) {
        self.server.expire(session);
        self.collect();
    }

    fn collect(&mut self) {
        let Some(conn) = self.conn else { return };
        let output = self.server.transmit(conn, usize::MAX);
        let mut bytes = &output.bytes[..];
        while let Some(length) = bytes.first_chunk() {
            let (frame, rest) = bytes.split_at(4 + u32::from_be_bytes(*length) as usize);
            self.incoming.push_back(frame.to_vec());
            bytes = rest;
        }
        self.closed |= output.closed;
    }

    /// Up to so many bytes arrive.
    pub(super) fn receive(&mut self, most: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < most
            && let Some(frame) = self.incoming.front()
        {
            let rest = &frame[self.arrived..];
            let piece = &rest[..rest.len().min(most - received.len())];
            received.extend_from_slice(piece);
            self.arrived += piece.len();
            if self.arrived == frame.len() {
                self.incoming.pop_front();
                self.arrived = 0;
            }
        }
        received
    }

    /// Damages one of the frames of which nothing has arrived.
    pub(super) fn spoil(&mut self, which: u8, damage: Damage, at: u8) {
        let begun = usize::from(self.arrived > 0);
        let count = self.incoming.len().saturating_sub(begun);
        let Some(which) = usize::from(which).checked_rem(count) else {
            return;
        };
        self.honest = false;
        let which = begun + which;
        let last = self.incoming.len() - 1;
        let frame = &mut self.incoming[which];
        let at = usize::from(at) % frame.len();
        match damage {
            Damage::Lost => drop(self.incoming.remove(which)),
            Damage::Twice => {
                let again = frame.clone();
                self.incoming.insert(which, again);
            }
            Damage::Late => self.incoming.swap(which, (which + 1).min(last)),
            Damage::Flipped(bits) => frame[at] ^= bits,
            Damage::Short => {
                frame.truncate(at.max(4));
                // It may be torn already.
                if let Some(length) = frame.len().checked_sub(4) {
                    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
                }
            }
            Damage::Torn => frame.truncate(at.max(1)),
        }
    }
}
