//! What servers say that is wrong: what none ever says, and answers that look as if they were right.

use std::mem;

use super::rng::Rng;

/// Of so many answers about one is wrong.
const ODDS: u64 = 3;

/// Where the fields of a reply are, behind the length of its frame.
const XID: usize = 4;
const ZXID: usize = 8;
const ERR: usize = 16;
const BODY: usize = 20;

/// The same of the reply to a handshake.
const VERSION: usize = 4;
const TIMEOUT: usize = 8;
const SESSION: usize = 12;
const PASSWORD: usize = 20;
const READ_ONLY: usize = 40;

/// Lengths and counts that are none, or are of nothing that follows.
const LENGTHS: [i32; 10] = [i32::MIN, -2, -1, 0, 1, 15, 16, 17, 1 << 20, i32::MAX];
/// Xids of nothing that was asked, and of what servers say unasked.
const XIDS: [i32; 10] = [i32::MIN, -9, -8, -4, -3, -2, -1, 0, 1 << 30, i32::MAX];
/// Errors of this session, of this request, and of none. Those by which a server ends a client for
/// good are left out: it has a right to.
const ERRORS: [i32; 9] = [i32::MIN, -9999, -118, -112, -101, -4, -1, 5, i32::MAX];

/// What no server sends, at the end of a frame.
pub(super) fn garbage(rng: &mut Rng) -> Vec<u8> {
    match rng.below(7) {
        0 => rng.next().to_be_bytes().to_vec(),
        1 => b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        // An answer to nothing that was asked.
        2 => frame(1_000_000, 0, &[]),
        3 => frame([0, -3, -7, i32::MIN][rng.index(4)], 0, &[]),
        // An event that is none.
        4 => frame(-1, 0, &[0; 3]),
        5 => frame(-1, 0, &event(1, 3, &[0xff; 8])),
        // A length that is none, or is too short for any answer.
        _ => [-1, i32::MIN, i32::MAX, 0, 15][rng.index(5)]
            .to_be_bytes()
            .to_vec(),
    }
}

/// Gets some of `bytes` wrong, which are whole frames; the first `greets` if it answers a handshake.
/// What is to come too late is kept in `late`.
pub(super) fn twist(bytes: &[u8], greets: bool, late: &mut Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let mut told = Vec::new();
    let (mut rest, mut greets) = (bytes, greets);
    while let Some((frame, after)) = split(rest) {
        let before = mem::take(late);
        told.extend(match rng.once_in(ODDS) {
            false => frame.to_vec(),
            true if greets => greeting(frame.to_vec(), rng),
            true => reply(frame.to_vec(), late, rng),
        });
        told.extend(before);
        (rest, greets) = (after, false);
    }
    told.extend(rest);
    told
}

/// The first of some frames.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = i32::from_be_bytes(*bytes.first_chunk()?);
    bytes.split_at_checked(4 + usize::try_from(len).ok()?)
}

/// A wrong answer to a handshake. No timeout is made longer: a session of a month would last one.
fn greeting(mut frame: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    match rng.below(9) {
        0 => put(&mut frame, 0, LENGTHS[rng.index(LENGTHS.len())]),
        1 => put(&mut frame, VERSION, 5),
        2 => put(&mut frame, TIMEOUT, [i32::MIN, -1, 0, 1, 100][rng.index(5)]),
        3 => put(&mut frame, SESSION + 4, rng.next() as i32),
        4 => frame[SESSION..PASSWORD].fill(0),
        5 => put(&mut frame, PASSWORD, LENGTHS[rng.index(LENGTHS.len())]),
        6 => frame[PASSWORD + 4..].fill(0),
        7 => frame[READ_ONLY..].fill(1),
        _ => cut(&mut frame, rng),
    }
    frame
}

/// A wrong answer to anything else, or a wrong event.
fn reply(mut frame: Vec<u8>, late: &mut Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    match rng.below(16) {
        0 => put(&mut frame, 0, LENGTHS[rng.index(LENGTHS.len())]),
        1 => put(&mut frame, XID, XIDS[rng.index(XIDS.len())]),
        2 => {
            let xid = get(&frame, XID);
            put(&mut frame, XID, xid.wrapping_add([-1, 1][rng.index(2)]));
        }
        3 => {
            let zxid = [i64::MIN, -1, 0, i64::MAX, rng.next().cast_signed()][rng.index(5)];
            frame[ZXID..ERR].copy_from_slice(&zxid.to_be_bytes());
        }
        4 => put(&mut frame, ERR, ERRORS[rng.index(ERRORS.len())]),
        5 => {
            // A failure that is taken for a success may have no body, or one of another kind.
            put(&mut frame, ERR, 0);
            frame.truncate(BODY);
            frame.extend(vec![0; rng.index(100)]);
            measure(&mut frame);
        }
        6 | 7 => spoil(&mut frame, rng),
        8 => cut(&mut frame, rng),
        9 => {
            frame.truncate(rng.index(frame.len()));
        }
        10 => frame.extend_from_within(..),
        11 => *late = mem::take(&mut frame),
        12 => frame.clear(),
        13 => {
            frame.extend(vec![rng.next() as u8; 1 + rng.index(100)]);
            measure(&mut frame);
        }
        14 => frame = list(get(&frame, XID), rng),
        _ => frame = [unasked(rng), frame].concat(),
    }
    frame
}

/// Gets a length, a count or a part of a text in the body wrong.
fn spoil(frame: &mut [u8], rng: &mut Rng) {
    let body = frame.len() - BODY;
    if body < 4 {
        return;
    }
    let at = BODY + rng.index(body - 3);
    match rng.below(3) {
        // Where a record begins, this is one.
        0 => put(frame, BODY, LENGTHS[rng.index(LENGTHS.len())]),
        1 => put(frame, at, LENGTHS[rng.index(LENGTHS.len())]),
        _ => frame[at..at + 4].fill([0xff, 0xc3, b'/', 0][rng.index(4)]),
    }
}

/// Leaves out the end, and is right about the length of what is left.
fn cut(frame: &mut Vec<u8>, rng: &mut Rng) {
    frame.truncate(4 + rng.index(frame.len() - 4));
    measure(frame);
}

/// Far more names than anybody has room for.
fn list(xid: i32, rng: &mut Rng) -> Vec<u8> {
    let names: [&[u8]; 6] = [
        b"a",
        b"_c_x",
        b"lock-\xc3\xa90000000001",
        b"_c_0123456789abcdef-lock-2147483648",
        b"../\0",
        b"\xff",
    ];
    let count = 1 + rng.index(1000);
    let mut body = (count as i32).to_be_bytes().to_vec();
    for _ in 0..count {
        let name = names[rng.index(names.len())];
        body.extend((name.len() as i32).to_be_bytes());
        body.extend(name);
    }
    frame(xid, 0, &body)
}

/// What nobody has asked for.
fn unasked(rng: &mut Rng) -> Vec<u8> {
    let kind = [-1, 1, 2, 3, 4, 99][rng.index(6)];
    let state = [3, 0, 77][rng.index(3)];
    let long = [b'x'; 5000];
    let paths: [&[u8]; 7] = [b"/", b"/r0", b"/app", b"/apple", b"", b"/\xff", &long];
    match rng.below(3) {
        0 => frame([-2, -4, -8][rng.index(3)], 0, &[]),
        1 => frame(-2, 0, &[]).repeat(100),
        _ => frame(-1, 0, &event(kind, state, paths[rng.index(paths.len())])),
    }
}

fn event(kind: i32, state: i32, path: &[u8]) -> Vec<u8> {
    let words = [kind, state, path.len() as i32].map(i32::to_be_bytes);
    [words.as_flattened(), path].concat()
}

fn frame(xid: i32, err: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; BODY];
    put(&mut frame, XID, xid);
    put(&mut frame, ERR, err);
    frame.extend(body);
    measure(&mut frame);
    frame
}

fn get(frame: &[u8], at: usize) -> i32 {
    frame[at..]
        .first_chunk()
        .map_or(0, |word| i32::from_be_bytes(*word))
}

fn put(frame: &mut [u8], at: usize, word: i32) {
    frame[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

/// Puts the length before a frame.
fn measure(frame: &mut [u8]) {
    put(frame, 0, frame.len() as i32 - 4);
}
