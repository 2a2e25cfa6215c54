//! Frames, found in a stream however it is cut into pieces.

use docent_core::wire::{FrameReader, Malformed, ReplyHeader, Step, frame_len};

use super::tape::Tape;

/// What a driver learns from a stream.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Frame(Vec<u8>),
    Oversized(ReplyHeader, usize),
    /// No frame ever begins here.
    Broken(Malformed),
    /// The stream ends with so many bytes of no use yet.
    Rest(usize),
}

/// The first byte bounds the frames, the second sizes the pieces, and the others are the stream.
pub fn frame(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let max = 16 + usize::from(tape.byte());
    let piece = 1 + usize::from(tape.byte());
    let expected = split(tape.0, max);
    for piece in [1, piece, usize::MAX] {
        assert_eq!(read(tape.0, piece, max), expected);
    }
}

/// What is in `stream`, seen as a whole.
fn split(mut stream: &[u8], max: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let end = loop {
        let Some((prefix, rest)) = stream.split_first_chunk() else {
            break Found::Rest(stream.len());
        };
        let len = match frame_len(*prefix) {
            Ok(len) => len,
            Err(why) => break Found::Broken(why),
        };
        if len <= max {
            let Some((frame, after)) = rest.split_at_checked(len) else {
                break Found::Rest(stream.len());
            };
            found.push(Found::Frame(frame.to_vec()));
            stream = after;
        } else {
            let Ok((header, _)) = ReplyHeader::decode(rest) else {
                break Found::Rest(stream.len());
            };
            found.push(Found::Oversized(header, len));
            stream = rest.get(len..).unwrap_or_default();
        }
    };
    found.push(end);
    found
}

/// Reads `stream` in pieces, as a driver with room for one frame.
fn read(stream: &[u8], piece: usize, max: usize) -> Vec<Found> {
    let (mut reader, mut received, mut found) = (FrameReader::new(), Vec::new(), Vec::new());
    let mut pieces = stream.chunks(piece.min(stream.len().max(1)));
    loop {
        match step(&mut reader, &mut received, max) {
            Some(Found::Broken(why)) => {
                found.push(Found::Broken(why));
                return found;
            }
            Some(news) => found.push(news),
            None => match pieces.next() {
                Some(piece) => received.extend_from_slice(piece),
                None => {
                    found.push(Found::Rest(received.len()));
                    return found;
                }
            },
        }
    }
}

/// Goes on to the next thing of note; `None` if that takes more bytes.
fn step(reader: &mut FrameReader, received: &mut Vec<u8>, max: usize) -> Option<Found> {
    loop {
        match reader.step(received, max) {
            Err(why) => return Some(Found::Broken(why)),
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > 0);
                assert!(received.len() < 4 + max.max(ReplyHeader::SIZE));
                return None;
            }
            Ok(Step::Frame(range)) => {
                let frame = received[range.clone()].to_vec();
                assert!((ReplyHeader::SIZE..=max).contains(&frame.len()));
                received.drain(..range.end);
                return Some(Found::Frame(frame));
            }
            Ok(Step::Oversized { header, len }) => {
                assert!(len > max);
                return Some(Found::Oversized(header, len));
            }
            Ok(Step::Skipping { n }) => {
                assert!(n > 0, "it would not get on");
                received.drain(..n);
            }
        }
    }
}
