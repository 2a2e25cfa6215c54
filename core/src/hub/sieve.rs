//! Lists of names that are longer than the room for them, looked through as they come in.
//!
//! The room of the call holds all that this takes:
//!
//! ```text
//!   kind and two lengths | own name or prefix | suffixes | best name so far | name that comes in
//! ```

use core::str;

use crate::wire::{Pick, ReplyHeader};

/// How far a list has been looked through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sieve {
    part: Part,
    /// Names that are still to come.
    names: u32,
    /// Whether the own name has come.
    found: bool,
    /// Whether the name that comes in begins as is wanted, as far as it has come.
    begins: bool,
    /// The rank of the best name so far, and its length.
    best: Option<(i32, usize)>,
    /// Whether everything that matters has fitted.
    fits: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// What precedes the list: so many bytes.
    Head(usize),
    /// A number of four bytes: how many are still to come, and what the others say.
    Count(u8, u32),
    Length(u8, u32),
    /// A name: how many of its bytes have come, and its length.
    Name(usize, usize),
    /// What follows the list.
    Tail,
}

/// An oversized frame that is looked through while it is skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sifting {
    pub(super) header: ReplyHeader,
    /// Bytes of its payload.
    pub(super) size: usize,
    /// Bytes of the frame that are still to come.
    pub(super) left: usize,
    pub(super) sieve: Sieve,
}

impl Sifting {
    pub(super) const fn new(header: ReplyHeader, size: usize) -> Self {
        const PREFIX: usize = 4;
        Self {
            header,
            size,
            left: size.saturating_add(PREFIX),
            sieve: Sieve::new(PREFIX + ReplyHeader::SIZE),
        }
    }
}

/// Leaves a note in the room of a call, of what its list is to be looked through for.
pub(super) fn note(room: &mut [u8], pick: Option<Pick<'_>>) {
    let (kind, own, suffixes) = match pick {
        None => (0, "", ""),
        Some(Pick::First(prefix)) => (1, prefix, ""),
        Some(Pick::Ahead { own, suffixes }) => (2, own, suffixes),
        Some(Pick::Front(suffixes)) => (3, "", suffixes),
    };
    let lengths = (u8::try_from(own.len()), u8::try_from(suffixes.len()));
    let (Ok(one), Ok(other)) = lengths else {
        return note(room, None);
    };
    let parts = [&[kind, one, other], own.as_bytes(), suffixes.as_bytes()];
    if !write(room, &parts)
        && let Some(kind) = room.first_mut()
    {
        *kind = 0;
    }
}

/// Whether the parts fit, one after the other.
fn write(room: &mut [u8], parts: &[&[u8]]) -> bool {
    let mut rest = room;
    for part in parts {
        let Some((place, after)) = rest.split_at_mut_checked(part.len()) else {
            return false;
        };
        place.copy_from_slice(part);
        rest = after;
    }
    true
}

/// The most bytes of the number of a sequential node, and of what tells its sign.
const NUMBER: usize = 12;

/// The room of a call that has a note.
struct Room<'r> {
    pick: Pick<'r>,
    best: &'r mut [u8],
    name: &'r mut [u8],
}

impl<'r> Room<'r> {
    fn new(room: &'r mut [u8]) -> Option<Self> {
        let (&mut [kind, own, suffixes], rest) = room.split_first_chunk_mut()?;
        let (own, rest) = rest.split_at_mut_checked(own.into())?;
        let (suffixes, rest) = rest.split_at_mut_checked(suffixes.into())?;
        let (own, suffixes) = (str::from_utf8(own).ok()?, str::from_utf8(suffixes).ok()?);
        let (best, name) = rest.split_at_mut_checked(rest.len() / 2)?;
        // Of a name that is too long, the end must do to tell whether it is a contender's.
        let tells = name.len() >= suffixes.len().saturating_add(NUMBER);
        let pick = match kind {
            1 => Pick::First(own),
            2 if tells => Pick::Ahead { own, suffixes },
            3 if tells => Pick::Front(suffixes),
            _ => return None,
        };
        Some(Self { pick, best, name })
    }
}

/// Whether the list of the call with this room can be looked through.
pub(super) fn is_noted(room: &mut [u8]) -> bool {
    Room::new(room).is_some()
}

impl Pick<'_> {
    /// Whether the byte at `at` is as in the name that is looked for.
    fn agrees(&self, at: usize, byte: u8) -> bool {
        match self {
            Self::First(own) | Self::Ahead { own, .. } => {
                own.as_bytes().get(at).is_none_or(|own| *own == byte)
            }
            Self::Front(_) => false,
        }
    }
}

impl Sieve {
    /// For a list after so many bytes.
    pub(super) const fn new(head: usize) -> Self {
        Self {
            part: Part::Head(head),
            names: 0,
            found: false,
            begins: true,
            best: None,
            fits: true,
        }
    }

    /// Looks through some more bytes.
    pub(super) fn feed(&mut self, room: &mut [u8], bytes: &[u8]) {
        if let Some(mut room) = Room::new(room) {
            bytes.iter().for_each(|byte| self.take(&mut room, *byte));
        }
    }

    fn take(&mut self, room: &mut Room<'_>, byte: u8) {
        let word = |so_far: u32| so_far << 8 | u32::from(byte);
        self.part = match self.part {
            Part::Head(1) => Part::Count(4, 0),
            Part::Head(left) => Part::Head(left.saturating_sub(1)),
            Part::Count(1, count) => {
                self.names = word(count);
                self.next()
            }
            Part::Count(left, count) => Part::Count(left - 1, word(count)),
            Part::Length(1, len) => match word(len) as usize {
                0 => self.end(room, 0),
                len => Part::Name(0, len),
            },
            Part::Length(left, len) => Part::Length(left - 1, word(len)),
            Part::Name(at, len) => {
                self.begins &= room.pick.agrees(at, byte);
                store(room.name, at, byte);
                match at.saturating_add(1) {
                    next if next == len => self.end(room, len),
                    next => Part::Name(next, len),
                }
            }
            Part::Tail => Part::Tail,
        };
    }

    const fn next(&self) -> Part {
        match self.names {
            0 => Part::Tail,
            _ => Part::Length(4, 0),
        }
    }

    /// A name of so many bytes is complete.
    fn end(&mut self, room: &mut Room<'_>, len: usize) -> Part {
        self.judge(room, len);
        self.begins = true;
        self.names = self.names.saturating_sub(1);
        self.next()
    }

    fn judge(&mut self, room: &mut Room<'_>, len: usize) {
        let kept = len.min(room.name.len());
        let name = text(room.name.get(..kept).unwrap_or_default());
        let Some(rank) = self.rank(room.pick, name, len) else {
            return;
        };
        if (self.best).is_some_and(|(best, _)| !room.pick.prefers(rank, best)) {
            return;
        }
        self.best = Some((rank, len));
        match (room.best.get_mut(..len), room.name.get(..len)) {
            (Some(best), Some(name)) => best.copy_from_slice(name),
            // It matters, but cannot be told.
            _ => self.fits = false,
        }
    }

    /// By what to compare a name of `len` bytes, of which `name` is the end, if it matters at all.
    fn rank(&mut self, pick: Pick<'_>, name: &str, len: usize) -> Option<i32> {
        match pick {
            Pick::First(prefix) => (self.begins && len >= prefix.len()).then_some(0),
            Pick::Ahead { own, .. } => {
                self.found |= self.begins && len == own.len();
                pick.rank(name)
            }
            Pick::Front(_) => pick.rank(name),
        }
    }

    /// Puts the names that matter into the room as a list of their own. Returns its length; `None` if
    /// the list was cut short, or something that matters was too long.
    pub(super) fn finish(&self, room: &mut [u8]) -> Option<usize> {
        if !matches!(self.part, Part::Tail) || !self.fits {
            return None;
        }
        let own_at = 3;
        let whole = Room::new(room)?;
        let best_at = match whole.pick {
            Pick::First(own) => own_at + own.len(),
            Pick::Ahead { own, suffixes } => own_at + own.len() + suffixes.len(),
            Pick::Front(suffixes) => own_at + suffixes.len(),
        };
        let own = match whole.pick {
            Pick::Ahead { own, .. } if self.found => Some((own_at, own.len())),
            Pick::Ahead { .. } => return list(room, [None, None]),
            Pick::First(_) | Pick::Front(_) => None,
        };
        let best = self.best.map(|(_, len)| (best_at, len));
        list(room, [own, best])
    }
}

/// Keeps the end of a name that is too long.
fn store(name: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = name.get_mut(at) {
        *place = byte;
    } else if let Some((_, rest)) = name.split_first()
        && let len = rest.len()
    {
        name.copy_within(1.., 0);
        if let Some(last) = name.get_mut(len) {
            *last = byte;
        }
    }
}

/// What of `bytes` is text, from the first whole character on.
fn text(bytes: &[u8]) -> &str {
    let starts = (0..4).filter_map(|start| bytes.get(start..));
    let mut texts = starts.filter_map(|bytes| str::from_utf8(bytes).ok());
    texts.next().unwrap_or_default()
}

/// Encodes a list of names that lie in `room` in this order, each ahead of where it is put. Returns
/// its length.
fn list(room: &mut [u8], names: [Option<(usize, usize)>; 2]) -> Option<usize> {
    const WORD: usize = 4;
    let [one, other] = names;
    let after_one = one.map_or(WORD, |(_, len)| 2 * WORD + len);
    let mut end = after_one;
    // The second first: the first may grow over where it lies.
    if let Some((at, len)) = other {
        end = put(room, after_one, at, len)?;
    }
    if let Some((at, len)) = one {
        put(room, WORD, at, len)?;
    }
    let count = names.iter().flatten().count() as u32;
    room.get_mut(..WORD)?.copy_from_slice(&count.to_be_bytes());
    Some(end)
}

/// Moves a name to `to`, behind its length. Returns where it ends.
fn put(room: &mut [u8], to: usize, from: usize, len: usize) -> Option<usize> {
    let start = to.checked_add(4)?;
    let end = start.checked_add(len)?;
    if end > room.len() {
        return None;
    }
    room.copy_within(from..from.checked_add(len)?, start);
    let length = u32::try_from(len).ok()?.to_be_bytes();
    room.get_mut(to..start)?.copy_from_slice(&length);
    Some(end)
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::path::contender;
    use crate::rng::Rng;
    use crate::wire::{GetChildNames, Request as _};
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    /// The bytes of a list, with something behind it.
    fn encoded(names: &[String]) -> Vec<u8> {
        let mut bytes = Vec::from((names.len() as u32).to_be_bytes());
        for name in names {
            bytes.extend((name.len() as u32).to_be_bytes());
            bytes.extend(name.as_bytes());
        }
        bytes.extend([7; 5]);
        bytes
    }

    /// What is picked of a list that comes in pieces.
    fn picked(pick: Pick<'_>, size: usize, list: &[u8], piece: usize) -> Option<Vec<String>> {
        let mut room = std::vec![0; size];
        note(&mut room, Some(pick));
        assert!(is_noted(&mut room), "room for the note");
        let mut sieve = Sieve::new(3);
        sieve.feed(&mut room, b"abc");
        list.chunks(piece)
            .for_each(|chunk| sieve.feed(&mut room, chunk));
        let len = sieve.finish(&mut room)?;
        let names = GetChildNames::decode(room.get(..len)?, "").unwrap();
        Some(names.iter().map(str::to_string).collect())
    }

    const OWN: &str = "_c_0f-lock-0000000005";
    const AHEAD: Pick<'_> = Pick::Ahead {
        own: OWN,
        suffixes: "lock-",
    };

    fn pick(names: &[&str]) -> Option<Vec<String>> {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        picked(AHEAD, 160, &encoded(&names), 7)
    }

    #[test]
    fn only_the_nearest_ahead_and_the_own_name_are_kept() {
        let kept = pick(&[
            "x-lock-0000000001",
            OWN,
            "y-lock-0000000004",
            "z-lock-0000000006",
        ]);
        assert_eq!(kept.unwrap(), [OWN, "y-lock-0000000004"]);
        assert_eq!(pick(&[OWN, "z-lock-0000000006"]).unwrap(), [OWN]);
        assert!(pick(&["y-lock-0000000004"]).unwrap().is_empty());
        assert!(pick(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_contender_that_cannot_be_kept_is_not_passed_over() {
        let long = "x".repeat(100);
        assert_eq!(pick(&[OWN, &long]).unwrap(), [OWN]);
        assert_eq!(
            pick(&[OWN, &(long.clone() + "-lock-0000000009")]).unwrap(),
            [OWN]
        );
        assert_eq!(pick(&[OWN, &(long + "-lock-0000000004")]), None);
        let wide = "é".repeat(50) + "-lock-0000000004";
        assert_eq!(pick(&[OWN, &wide]), None);
        assert_eq!(pick(&[OWN, &("x".to_string() + &wide)]), None);
    }

    #[test]
    fn a_list_that_is_cut_short_is_none() {
        let list = encoded(&[OWN.to_string(), "y-lock-0000000004".to_string()]);
        for end in 0..list.len() - 5 {
            assert_eq!(picked(AHEAD, 160, &list[..end], 3), None);
        }
        assert_eq!(picked(AHEAD, 160, &[0xff; 50], 3), None);
    }

    #[test]
    fn a_note_without_room_is_none() {
        for size in 0..OWN.len() + 8 {
            let mut room = std::vec![1; size];
            note(&mut room, Some(AHEAD));
            assert!(!is_noted(&mut room), "{size}");
        }
        let mut room = [1; 16];
        note(&mut room, None);
        assert!(!is_noted(&mut room));
    }

    fn name(rng: &mut Rng) -> String {
        let stem = ["lock-", "other-", "a/lock-", ""][rng.up_to(3) as usize];
        let near = rng.up_to(12) as i32;
        let number = [near, i32::MAX - near, i32::MIN + near][rng.up_to(2) as usize];
        match rng.up_to(5) {
            0 => OWN.to_string(),
            1 => "x".repeat(rng.up_to(40) as usize),
            _ => std::format!("_c_é-{stem}{number:010}"),
        }
    }

    /// The nearest contender ahead of the own one, if that is there.
    fn nearest(names: &[String]) -> Option<Option<&String>> {
        let mine = contender(OWN, "lock-")?;
        let distance = |name: &&String| Some(mine.wrapping_sub(contender(name, "lock-")?));
        let ahead = names
            .iter()
            .filter(|name| distance(name).is_some_and(|far| far > 0));
        names
            .iter()
            .any(|name| name == OWN)
            .then(|| ahead.min_by_key(|name| distance(name)))
    }

    #[test]
    fn what_is_kept_decides_as_the_whole_list_does() {
        let rng = &mut Rng::new(1);
        for _ in 0..5_000 {
            let names: Vec<_> = (0..rng.up_to(12)).map(|_| name(rng)).collect();
            let list = encoded(&names);
            let (size, piece) = (40 + rng.up_to(300) as usize, 1 + rng.up_to(50) as usize);
            let size = size.max(3 + OWN.len() + 5 + 2 * (5 + NUMBER));
            let kept = picked(AHEAD, size, &list, piece);
            assert!(kept.is_some() || size < 160);
            if let Some(kept) = kept {
                assert!(kept.len() <= 2);
                assert_eq!(nearest(&kept), nearest(&names), "{names:?}");
            }
            let front = Pick::Front("other-/lock-");
            let kept = picked(front, size, &list, piece);
            assert!(kept.is_some() || size < 160);
            if let Some(kept) = kept {
                let first = front.best(names.iter().map(String::as_str));
                assert_eq!(kept.first().map(String::as_str), first, "{names:?}");
            }
            let kept = picked(Pick::First("_c_é-lock-"), size, &list, piece);
            assert!(kept.is_some() || size < 160);
            if let Some(kept) = kept {
                let first = names.iter().find(|name| name.starts_with("_c_é-lock-"));
                assert_eq!(kept.first(), first, "{names:?}");
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm() {
        let rng = &mut Rng::new(2);
        for _ in 0..5_000 {
            let bytes: Vec<_> = (0..rng.up_to(200)).map(|_| rng.up_to(255) as u8).collect();
            let _ = picked(AHEAD, 70 + rng.up_to(200) as usize, &bytes, 9);
        }
    }
}
