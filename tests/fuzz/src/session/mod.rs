//! A client on both storages, to which everything happens that can happen to a client: a user with
//! requests, a network that damages frames, a server that ends sessions, and time.

mod event;
mod network;
mod player;
mod spec;

use std::time::Duration;

use docent_core::hub::{Buffers, HeapAuths, Limits, Resources};
use docent_core::session::{Backoff, Config};
use docent_core::wire::Credential;

pub use event::{Damage, Event};
use player::Player;

use super::tape::Tape;

/// The most events that are played.
const MOST: usize = 400;

/// The first byte chooses the settings, and the others are the events.
pub fn session(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let settings = tape.byte();
    let mut events = Vec::new();
    while !tape.is_empty() && events.len() < MOST {
        events.push(Event::take(&mut tape));
    }
    play(settings, &events);
}

/// Plays `events` to a client on the heap and to the smallest one on a board. Each must keep its
/// word at every step, and in the end, once the network is mended, serve everyone.
pub fn play(settings: u8, events: &[Event]) {
    on_heap(settings, events);
    on_board(settings, events);
}

fn config(settings: u8) -> Config {
    Config {
        session_timeout: Duration::from_secs(6),
        operation_timeout: (settings & 2 != 0).then_some(Duration::from_secs(2)),
        backoff: Backoff {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(1),
            stable: Duration::from_secs(3),
        },
        renew: settings & 1 == 0,
        max_request: 256,
        ..Config::DEFAULT
    }
}

const fn chroot(settings: u8) -> &'static str {
    if settings & 4 == 0 { "" } else { "/a" }
}

fn on_heap(settings: u8, events: &[Event]) {
    let config = config(settings);
    let limits = Limits {
        calls: 4,
        unsent_bytes: 300,
        watches: 3,
        claims: 1,
    };
    let mut auths = HeapAuths::default();
    if settings & 8 != 0 {
        auths.push("digest", b"u:p");
    }
    let parts = limits.parts(&config, chroot(settings).into(), auths);
    run(
        Player::new(config, 1 << 16, (parts, limits.tx(&config))),
        events,
    );
}

fn on_board(settings: u8, events: &[Event]) {
    let (mut tx, mut spare, mut bodies) = ([0; ROOM], [0; ROOM], [0; ROOM]);
    let buffers = Buffers {
        tx: [&mut tx, &mut spare],
        bodies: &mut bodies,
    };
    let auths = [Credential {
        scheme: "digest",
        data: b"u:p",
    }];
    let auths = &auths[..usize::from(settings & 8 != 0)];
    let mut resources = Resources::<1, 1>::new();
    let parts = resources.parts(buffers, chroot(settings), auths);
    run(Player::new(config(settings), ROOM, parts), events);
}

/// Bytes of each buffer of the board.
const ROOM: usize = 64;

fn run<S: player::Memory>(mut player: Player<S>, events: &[Event]) {
    events.iter().for_each(|event| player.step(*event));
    player.finish();
}
