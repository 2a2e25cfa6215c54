//! The same random requests to the model and to a real server: they have to answer the same.
//!
//! Runs where real servers are enabled, see [`docent_testing::real`]. Two clients take turns. After
//! each request the other client asks for a ping, to get the events that it was sent. The
//! environment variable `DOCENT_REQUESTS` says how many requests each server gets at least.

use std::collections::BTreeMap;
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use docent_core::wire::{Connect, ConnectReply, Decoder, Malformed, OpCode, Perms, RequestHeader};
use docent_testing::decode::{Body, Entry};
use docent_testing::real;
use docent_testing::server::{Ensemble, Release, digest};
use serde_json::Value;

use crate::client::{Client, OPEN, World, encoded, new_session, next_frame};
use crate::replay::{plain, reply};

const PATHS: [&str; 12] = [
    "/", "/a", "/b", "/a/b", "/a/c", "/a/b/c", "/a/b/c/d", "/b/x", "/e", "/none/x", "", "/a/",
];

/// How many requests one seed makes, to a server of its own.
const SCRIPT: u64 = 2000;

/// How many requests are made unless told.
const REQUESTS: u64 = 3 * SCRIPT;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())].clone()
    }
}

/// One session, on both servers.
struct Pair {
    real: TcpStream,
    received: Vec<u8>,
    real_session: (i64, Vec<u8>),
    model: Client,
    asked: BTreeMap<i64, OpCode>,
    xid: i32,
    zxid: i64,
}

struct Match {
    world: World,
    server: real::Ensemble,
    log: Vec<String>,
    /// Whether ephemerals have just been deleted.
    in_any_order: bool,
}

impl Match {
    fn connect(&mut self, old: Option<&Pair>) -> Pair {
        let connect = |(session, password): (i64, &[u8])| {
            let last_zxid = old.map_or(0, |old| old.zxid);
            encoded(|out| {
                Connect {
                    last_zxid,
                    session,
                    password,
                    ..new_session()
                }
                .encode(out)
            })
        };
        let new = (0, &[0; 16][..]);
        let its = old.map_or(new, |old| (old.real_session.0, &old.real_session.1));
        let mut real = TcpStream::connect(self.server.connect_string()).unwrap();
        real.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        real.write_all(&connect(its)).unwrap();
        let ours = old.map_or(new, |old| (old.model.session, &old.model.password));
        let mut model = self.world.dial(0);
        self.world
            .ensemble
            .receive(model.conn, self.world.now, &connect(ours));
        self.world.greeting(&mut model).unwrap();
        let mut pair = Pair {
            real,
            received: Vec::new(),
            real_session: (0, Vec::new()),
            model,
            asked: BTreeMap::new(),
            xid: 0,
            zxid: old.map_or(0, |old| old.zxid),
        };
        let answer = ConnectReply::decode(&pair.real_frame().unwrap()).unwrap();
        let ConnectReply::Accepted(connected) = answer else {
            panic!("{answer:?}")
        };
        pair.real_session = (connected.session, connected.password.to_vec());
        assert_eq!(connected.timeout_ms, pair.model.timeout_ms);
        pair
    }

    /// Whether the connection is still open after the request.
    fn ask(&mut self, pair: &mut Pair, op: OpCode, body: &Body<'_>) -> bool {
        let body = encoded(|out| body.encode(out)).split_off(4);
        self.ask_raw(pair, op, &body)
    }

    fn ask_raw(&mut self, pair: &mut Pair, op: OpCode, body: &[u8]) -> bool {
        pair.xid += 1;
        let xid = match op {
            OpCode::PING => -2,
            OpCode::AUTH => -4,
            _ => pair.xid,
        };
        if op != OpCode::PING {
            self.in_any_order = op == OpCode::CLOSE_SESSION;
            let body = body.escape_ascii();
            self.log.push(format!("{xid} {op:?} {body}"));
        }
        pair.asked.insert(xid.into(), op);
        let bytes = encoded(|out| {
            RequestHeader { xid, op }.encode(out);
            out.bytes(body);
        });
        pair.real.write_all(&bytes).unwrap();
        self.world
            .ensemble
            .receive(pair.model.conn, self.world.now, &bytes);
        self.world.receive(&mut pair.model);
        let mut ours = pair.model.take_bytes();
        let (mut model, mut real) = (Vec::new(), Vec::new());
        loop {
            let frame = pair.real_frame();
            let open = frame.is_some();
            real.extend(frame.map(|frame| pair.fields(&frame)));
            if !open || real.last().is_some_and(|fields| fields["xid"] == xid) {
                break;
            }
        }
        while let Some(frame) = next_frame(&mut ours) {
            model.push(pair.fields(&frame));
        }
        if self.in_any_order {
            model.sort_by_key(ToString::to_string);
            real.sort_by_key(ToString::to_string);
        }
        assert_eq!(model, real, "{}", self.log.join("\n"));
        let zxids = real.iter().filter_map(|fields| fields["zxid"].as_i64());
        pair.zxid = zxids.fold(pair.zxid, i64::max);
        if pair.model.closed {
            assert_eq!(pair.real_frame(), None);
        }
        !pair.model.closed
    }
}

impl Pair {
    fn fields(&mut self, frame: &[u8]) -> Value {
        // Both servers are asked the same.
        plain(reply(&mut self.asked.clone(), frame), true)
    }

    /// `None` if the server has closed the connection.
    fn real_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = next_frame(&mut self.received) {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.real.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.received.extend(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn acl(dice: &mut Dice) -> Vec<Entry<'static>> {
    let entry = |perms, scheme, id| Entry {
        perms,
        scheme: Some(scheme),
        id,
    };
    match dice.roll(16) {
        0 => vec![entry(Perms::READ, "world", Some("anyone"))],
        1 => vec![entry(Perms::ALL, "auth", Some(""))],
        2 => vec![
            entry(Perms::READ | Perms::ADMIN, "ip", Some("127.0.0.0/8")),
            OPEN,
        ],
        3 => vec![entry(Perms::READ, "ip", Some("10.1.2.3"))],
        4 => vec![
            entry(Perms::ALL, "digest", Some("bob:x")),
            entry(Perms::READ, "world", Some("anyone")),
        ],
        5 => vec![],
        6 => vec![entry(Perms::ALL, "digest", Some("nobody"))],
        7 => vec![entry(Perms::from_bits(0x60), "world", Some("anyone"))],
        8 => vec![OPEN, OPEN],
        _ => vec![OPEN],
    }
}

fn write(dice: &mut Dice, in_multi: bool) -> (OpCode, Body<'static>) {
    let path = dice.pick(&PATHS);
    let version = dice.pick(&[-1, -1, -1, 0, 1, 2, -2]);
    let data = dice.pick(&[Some(&b"data"[..]), Some(b""), None]);
    match dice.roll(10) {
        0..=4 => {
            let op = dice.pick(&[OpCode::CREATE, OpCode::CREATE2, OpCode::CREATE_TTL]);
            // A container could be deleted at any time.
            let flags = match op {
                OpCode::CREATE_TTL => dice.pick(&[5, 6]),
                _ => dice.pick(&[0, 0, 1, 2, 3, if in_multi { 0 } else { 9 }]),
            };
            let ttl =
                (op == OpCode::CREATE_TTL).then(|| dice.pick(&[1 << 30, 1 << 30, 0, 1 << 40]));
            (
                op,
                Body::Create {
                    path,
                    data,
                    acl: acl(dice),
                    flags,
                    ttl,
                },
            )
        }
        5 => (OpCode::DELETE, Body::Expect { path, version }),
        6 if in_multi => (OpCode::CHECK, Body::Expect { path, version }),
        6 => (
            OpCode::SET_ACL,
            Body::SetAcl {
                path,
                acl: acl(dice),
                version,
            },
        ),
        7 => (OpCode::DELETE, Body::Expect { path, version: -1 }),
        _ => (
            OpCode::SET_DATA,
            Body::SetData {
                path,
                data,
                version,
            },
        ),
    }
}

fn request(dice: &mut Dice, zxid: i64) -> (OpCode, Body<'static>) {
    let path = dice.pick(&PATHS);
    let watch = dice.roll(2) == 0;
    let reads = [
        OpCode::EXISTS,
        OpCode::GET_DATA,
        OpCode::GET_CHILDREN,
        OpCode::GET_CHILDREN2,
    ];
    match dice.roll(100) {
        0..40 => write(dice, false),
        40..55 => {
            let ops = (0..dice.roll(6)).map(|_| write(dice, true)).collect();
            (OpCode::MULTI, Body::Multi(ops))
        }
        55..78 => (dice.pick(&reads), Body::Read { path, watch }),
        78..80 => {
            let read = |dice: &mut Dice| {
                let path = dice.pick(&PATHS);
                (
                    dice.pick(&[OpCode::GET_DATA, OpCode::GET_CHILDREN]),
                    Body::Read { path, watch },
                )
            };
            let ops = (0..dice.roll(5)).map(|_| read(dice)).collect();
            (OpCode::MULTI_READ, Body::Multi(ops))
        }
        80..83 => {
            let op = dice.pick(&[
                OpCode::GET_ACL,
                OpCode::SYNC,
                OpCode::GET_ALL_CHILDREN_NUMBER,
            ]);
            (op, Body::Path { path })
        }
        83 => (
            OpCode::GET_EPHEMERALS,
            Body::GetEphemerals {
                prefix: dice.pick(&[None, Some(path)]),
            },
        ),
        84 => (OpCode::WHO_AM_I, Body::Empty),
        85..90 => (
            OpCode::ADD_WATCH,
            Body::Watch {
                path,
                number: dice.pick(&[0, 0, 1, 1, 2]),
            },
        ),
        90..94 => {
            let op = dice.pick(&[OpCode::CHECK_WATCHES, OpCode::REMOVE_WATCHES]);
            (
                op,
                Body::Watch {
                    path,
                    number: dice.pick(&[1, 2, 3, 4, 5, 6]),
                },
            )
        }
        94..97 => {
            let mut list = || (0..dice.roll(4)).map(|_| dice.pick(&PATHS)).collect();
            let lists: Vec<Vec<_>> = (0..5).map(|_| list()).collect();
            let zxid = dice.pick(&[0, zxid - 5, zxid]);
            (OpCode::SET_WATCHES2, Body::SetWatches { zxid, lists })
        }
        97 => {
            let data = dice.pick(&[Some(&b"alice:secret"[..]), Some(b"nocolon")]);
            (
                OpCode::AUTH,
                Body::Auth {
                    kind: 0,
                    scheme: "digest",
                    data,
                },
            )
        }
        98 => (
            dice.pick(&[OpCode(99), OpCode(20), OpCode::CHECK]),
            Body::Empty,
        ),
        _ => (OpCode::CLOSE_SESSION, Body::Empty),
    }
}

/// Makes a request that no client sends, but that is not of the kinds that the model does not read
/// as Java does.
fn spoil(dice: &mut Dice, op: OpCode, body: &mut Vec<u8>) {
    // Nodes with other times to live could be deleted at any time.
    if body.is_empty() || [OpCode::CREATE_TTL, OpCode::MULTI].contains(&op) {
        return;
    }
    let sound = body.clone();
    let at = dice.roll(body.len());
    match dice.roll(4) {
        0 => body.truncate(at),
        1 => body[at] = dice.pick(&[0, 1, 2, 0x7f, 0xff]),
        2 => body[at / 4 * 4..]
            .iter_mut()
            .take(4)
            .for_each(|byte| *byte = 0xff),
        _ => body.extend([0; 9]),
    }
    match Body::decode(op, &mut Decoder::new(body)) {
        Ok(_) | Err(Malformed::Truncated | Malformed::Count) => {}
        Err(_) => *body = sound,
    }
}

fn play(version: real::Version, release: Release, seed: u64) {
    // Debian has mended that in its 3.8.0.
    let builder = Ensemble::builder().release(release).filter_events(true);
    let mut game = Match {
        world: World::new(builder.superuser(digest("super:super-secret"))),
        server: real::Ensemble::standalone(version),
        log: Vec::new(),
        in_any_order: false,
    };
    let mut dice = Dice(seed);
    let mut pairs = [game.connect(None), game.connect(None)];
    for _ in 0..SCRIPT {
        let [pair, other] = &mut pairs;
        let (op, body) = request(&mut dice, pair.zxid);
        // Before 3.8.5 it breaks the server.
        let op = if op == OpCode::CHECK && release == Release::V3_8 {
            OpCode(98)
        } else {
            op
        };
        let mut body = encoded(|out| body.encode(out)).split_off(4);
        if dice.roll(10) == 0 {
            spoil(&mut dice, op, &mut body);
        }
        let open = game.ask_raw(pair, op, &body);
        if !open || dice.roll(50) == 0 {
            let old = (op != OpCode::CLOSE_SESSION).then_some(&*pair);
            game.world.ensemble.disconnect(pair.model.conn);
            *pair = game.connect(old);
        }
        assert!(game.ask(other, OpCode::PING, &Body::Empty));
        if dice.roll(3) == 0 {
            pairs.reverse();
        }
    }
}

fn seeds() -> u64 {
    let requests = env::var("DOCENT_REQUESTS").map_or(REQUESTS, |requests| {
        let number = requests.parse();
        number.unwrap_or_else(|_| panic!("DOCENT_REQUESTS is {requests:?}, which is no number"))
    });
    requests.div_ceil(SCRIPT).max(1)
}

#[test]
fn real_servers_answer_the_same() {
    for version in real::lanes() {
        let release = match version {
            real::Version::V3_8 => Release::V3_8,
            _ => Release::V3_9,
        };
        for seed in 1..=seeds() {
            println!("ZooKeeper {version}, seed {seed}");
            play(version, release, seed);
        }
    }
}
