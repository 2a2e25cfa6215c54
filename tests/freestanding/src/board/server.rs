//! A server with room for a few nodes, that knows what a lock needs.

use core::str;

use docent_core::error::Code;
use docent_core::hub::BoardPath;
use docent_core::path::{Path, PathBuf as _};
use docent_core::wire::{
    Acl, Connected, Decoder, Encoder, EventKind, Malformed, OpCode, ReplyHeader, RequestHeader,
    Stat, WatchEvent, WatchKind, xid,
};

use super::bytes::Bytes;

/// The session timeout that every client is given.
const TIMEOUT_MS: i32 = 9_000;
const LINES: usize = 2;
/// Flags of a create.
const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;

pub(crate) struct Server {
    nodes: [Option<Node>; 8],
    watches: [Option<Watch>; 8],
    lines: [Line; LINES],
    zxid: i64,
}

struct Node {
    path: BoardPath,
    stat: Stat,
}

struct Watch {
    line: usize,
    path: BoardPath,
    kind: WatchKind,
}

struct Line {
    open: bool,
    out: Bytes,
}

/// What follows the header of a good reply.
enum Answer {
    Nothing,
    Stat(Stat),
    Created(BoardPath, Stat),
    Names(BoardPath),
    Ephemerals(i64, BoardPath),
    Path(BoardPath),
}

impl Server {
    pub(super) const fn new() -> Self {
        Self {
            nodes: [const { None }; 8],
            watches: [const { None }; 8],
            lines: [const {
                Line {
                    open: false,
                    out: Bytes::new(),
                }
            }; LINES],
            zxid: 0,
        }
    }

    /// How many ephemerals there are.
    pub(super) fn ephemerals(&self) -> usize {
        let owned = |node: &&Node| node.stat.ephemeral_owner != 0;
        self.nodes.iter().flatten().filter(owned).count()
    }

    /// How many watches are set.
    pub(super) fn watches(&self) -> usize {
        self.watches.iter().flatten().count()
    }

    /// The connection on `line` is closed.
    pub(super) fn hang_up(&mut self, line: usize) {
        for slot in &mut self.watches {
            slot.take_if(|watch| watch.line == line);
        }
        if let Some(line) = self.lines.get_mut(line) {
            line.open = false;
            line.out.clear();
        }
    }

    /// What is on its way to the client on `line`.
    pub(super) fn sent(&self, line: usize) -> &[u8] {
        self.lines.get(line).map_or(&[], |line| line.out.as_slice())
    }

    /// The client on `line` has read so many bytes.
    pub(super) fn read(&mut self, line: usize, count: usize) {
        if let Some(line) = self.lines.get_mut(line) {
            line.out.drop_front(count);
        }
    }

    /// Whole frames have come on `line`.
    pub(super) fn receive(&mut self, line: usize, mut bytes: &[u8]) {
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((payload, rest)) = rest.split_at_checked(length) else {
                return;
            };
            self.serve(line, payload);
            bytes = rest;
        }
    }

    fn serve(&mut self, line: usize, payload: &[u8]) {
        let open = self
            .lines
            .get_mut(line)
            .is_some_and(|line| core::mem::replace(&mut line.open, true));
        if !open {
            return self.shake_hands(line);
        }
        let Ok((header, body)) = RequestHeader::decode(payload) else {
            return;
        };
        let answer = self.run(line, header.op, &mut Decoder::new(body));
        self.reply(line, header.xid, &answer);
    }

    fn send(&mut self, line: usize, body: impl FnOnce(&mut Encoder<'_>)) {
        if let Some(line) = self.lines.get_mut(line) {
            line.out.send(body);
        }
    }

    fn shake_hands(&mut self, line: usize) {
        let connected = Connected {
            timeout_ms: TIMEOUT_MS,
            session: session(line),
            password: [7; 16],
            read_only: Some(false),
        };
        self.send(line, |out| connected.encode(out));
    }

    fn reply(&mut self, line: usize, xid: i32, answer: &Result<Answer, Code>) {
        let header = ReplyHeader {
            xid,
            zxid: self.zxid,
            err: answer.as_ref().err().map_or(0, |code| code.number()),
        };
        let Self { nodes, lines, .. } = self;
        let Some(line) = lines.get_mut(line) else {
            return;
        };
        line.out.send(|out| {
            header.encode(out);
            match answer {
                Ok(Answer::Stat(stat)) => stat.encode(out),
                Ok(Answer::Created(path, stat)) => {
                    out.string(path.as_ref());
                    stat.encode(out);
                }
                Ok(Answer::Names(parent)) => names(nodes, parent.as_path(), out),
                Ok(Answer::Ephemerals(owner, prefix)) => {
                    ephemerals(nodes, *owner, prefix.as_ref(), out);
                }
                Ok(Answer::Path(path)) => out.string(path.as_ref()),
                Ok(Answer::Nothing) | Err(_) => {}
            }
        });
    }

    fn run(&mut self, line: usize, op: OpCode, input: &mut Decoder<'_>) -> Result<Answer, Code> {
        match op {
            OpCode::PING => return Ok(Answer::Nothing),
            OpCode::CLOSE_SESSION => return Ok(self.end_session(line)),
            _ => {}
        }
        let path = input.string().map_err(bad)?;
        match op {
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER => self.create(line, path, input),
            OpCode::DELETE => self.delete(path),
            OpCode::EXISTS => self.exists(line, path, input),
            OpCode::GET_CHILDREN => self.children(line, path, input),
            OpCode::GET_EPHEMERALS => {
                owned(path).map(|path| Answer::Ephemerals(session(line), path))
            }
            OpCode::SYNC => owned(path).map(Answer::Path),
            OpCode::ADD_WATCH => self.add_watch(line, path, input),
            OpCode::REMOVE_WATCHES => self.remove_watches(line, path),
            _ => Err(Code::Unimplemented),
        }
    }

    fn create(&mut self, line: usize, path: &str, input: &mut Decoder<'_>) -> Result<Answer, Code> {
        input.buffer().map_err(bad)?;
        input.items::<Acl<'_>>().map_err(bad)?;
        let flags = input.int().map_err(bad)?;
        let owner = if flags & EPHEMERAL != 0 {
            session(line)
        } else {
            0
        };
        let path = if flags & SEQUENTIAL != 0 {
            numbered(path, self.zxid)?
        } else {
            owned(path)?
        };
        let stat = self.insert(path.as_path(), owner)?;
        Ok(Answer::Created(path, stat))
    }

    fn insert(&mut self, path: Path<'_>, owner: i64) -> Result<Stat, Code> {
        let parent = path.parent().unwrap_or(Path::ROOT);
        if !parent.is_root() && self.find(parent.as_str()).is_none() {
            return Err(Code::NoNode);
        }
        if self.find(path.as_str()).is_some() {
            return Err(Code::NodeExists);
        }
        self.zxid += 1;
        let stat = Stat {
            czxid: self.zxid,
            ephemeral_owner: owner,
            ..Stat::default()
        };
        let path = owned(path.as_str())?;
        let vacant = self.nodes.iter_mut().find(|slot| slot.is_none());
        let node = vacant.ok_or(Code::SystemError)?.insert(Node { path, stat });
        let path = node.path.clone();
        self.changed(EventKind::Created, path.as_path());
        Ok(stat)
    }

    fn delete(&mut self, path: &str) -> Result<Answer, Code> {
        let node = self
            .nodes
            .iter_mut()
            .find_map(|slot| slot.take_if(|node| node.path.as_ref() == path));
        let node = node.ok_or(Code::NoNode)?;
        self.zxid += 1;
        self.changed(EventKind::Deleted, node.path.as_path());
        Ok(Answer::Nothing)
    }

    fn exists(&mut self, line: usize, path: &str, input: &mut Decoder<'_>) -> Result<Answer, Code> {
        let stat = self.find(path).map(|node| node.stat);
        if input.boolean().map_err(bad)? {
            let kind = stat.map_or(WatchKind::Exist, |_| WatchKind::Data);
            self.watch(line, path, kind)?;
        }
        stat.map(Answer::Stat).ok_or(Code::NoNode)
    }

    fn children(
        &mut self,
        line: usize,
        path: &str,
        input: &mut Decoder<'_>,
    ) -> Result<Answer, Code> {
        self.find(path).ok_or(Code::NoNode)?;
        if input.boolean().map_err(bad)? {
            self.watch(line, path, WatchKind::Child)?;
        }
        owned(path).map(Answer::Names)
    }

    fn add_watch(
        &mut self,
        line: usize,
        path: &str,
        input: &mut Decoder<'_>,
    ) -> Result<Answer, Code> {
        let kind = match input.int().map_err(bad)? {
            0 => WatchKind::Persistent,
            _ => WatchKind::Recursive,
        };
        self.watch(line, path, kind)?;
        Ok(Answer::Nothing)
    }

    fn remove_watches(&mut self, line: usize, path: &str) -> Result<Answer, Code> {
        let before = self.watches();
        for slot in &mut self.watches {
            slot.take_if(|watch| watch.line == line && watch.path.as_ref() == path);
        }
        if self.watches() == before {
            return Err(Code::NoWatcher);
        }
        Ok(Answer::Nothing)
    }

    fn watch(&mut self, line: usize, path: &str, kind: WatchKind) -> Result<(), Code> {
        let path = owned(path)?;
        let vacant = self.watches.iter_mut().find(|slot| slot.is_none());
        *vacant.ok_or(Code::SystemError)? = Some(Watch { line, path, kind });
        Ok(())
    }

    fn end_session(&mut self, line: usize) -> Answer {
        for index in 0..self.nodes.len() {
            let node = self
                .nodes
                .get_mut(index)
                .and_then(|slot| slot.take_if(|node| node.stat.ephemeral_owner == session(line)));
            if let Some(node) = node {
                self.changed(EventKind::Deleted, node.path.as_path());
            }
        }
        Answer::Nothing
    }

    fn find(&self, path: &str) -> Option<&Node> {
        let mut nodes = self.nodes.iter().flatten();
        nodes.find(|node| node.path.as_ref() == path)
    }

    fn changed(&mut self, kind: EventKind, path: Path<'_>) {
        self.notify(kind, path);
        if let Some(parent) = path.parent() {
            self.notify(EventKind::ChildrenChanged, parent);
        }
    }

    /// Tells every client at most once, however many of its watches hear the event.
    fn notify(&mut self, kind: EventKind, path: Path<'_>) {
        for line in 0..LINES {
            let mut heard = false;
            for slot in &mut self.watches {
                if slot
                    .as_ref()
                    .is_some_and(|watch| watch.hears(line, kind, path))
                {
                    heard = true;
                    slot.take_if(|watch| !watch.kind.is_persistent());
                }
            }
            if heard {
                self.tell(line, kind, path);
            }
        }
    }

    fn tell(&mut self, line: usize, kind: EventKind, path: Path<'_>) {
        let header = ReplyHeader {
            xid: xid::NOTIFICATION,
            zxid: -1,
            err: 0,
        };
        let event = WatchEvent {
            kind: Some(kind),
            state: 3,
            path: path.as_str(),
        };
        self.send(line, |out| {
            header.encode(out);
            event.encode(out);
        });
    }
}

impl Watch {
    fn hears(&self, line: usize, kind: EventKind, path: Path<'_>) -> bool {
        let of_list = kind == EventKind::ChildrenChanged;
        let hears = match self.kind {
            WatchKind::Persistent => true,
            WatchKind::Child => of_list || kind == EventKind::Deleted,
            _ => !of_list,
        };
        let here = match self.kind {
            WatchKind::Recursive => path.starts_with(self.path.as_path()),
            _ => path == self.path.as_path(),
        };
        hears && here && self.line == line
    }
}

/// Every line has a session of its own.
const fn session(line: usize) -> i64 {
    0x100 + line as i64
}

fn names(nodes: &[Option<Node>], parent: Path<'_>, out: &mut Encoder<'_>) {
    let paths = nodes.iter().flatten().map(|node| node.path.as_path());
    let children = paths.filter(|path| path.parent() == Some(parent));
    out.count(children.clone().count());
    children.for_each(|path| out.string(path.name()));
}

fn ephemerals(nodes: &[Option<Node>], owner: i64, prefix: &str, out: &mut Encoder<'_>) {
    let own = |node: &&Node| node.stat.ephemeral_owner == owner;
    let nodes = nodes.iter().flatten().filter(own);
    let paths = nodes
        .map(|node| node.path.as_ref())
        .filter(|path| path.starts_with(prefix));
    out.count(paths.clone().count());
    paths.for_each(|path| out.string(path));
}

fn owned(path: &str) -> Result<BoardPath, Code> {
    BoardPath::try_from_parts(&[path]).ok_or(Code::BadArguments)
}

/// `path` with ten digits.
fn numbered(path: &str, mut number: i64) -> Result<BoardPath, Code> {
    let mut digits = [b'0'; 10];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"
            .get(number as usize % 10)
            .copied()
            .unwrap_or(b'0');
        number /= 10;
    }
    let digits = str::from_utf8(&digits).unwrap_or_default();
    BoardPath::try_from_parts(&[path, digits]).ok_or(Code::BadArguments)
}

const fn bad(_: Malformed) -> Code {
    Code::MarshallingError
}
