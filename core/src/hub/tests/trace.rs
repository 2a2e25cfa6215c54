//! What goes out and what changes, as text that tests can compare.

use core::fmt::Write as _;
use std::format;
use std::string::String;

use super::*;
use crate::wire::{Decoder, RequestHeader};

/// A frame: the operation, `!` if it leaves a watch, and the path.
pub(super) fn text(frame: &[u8]) -> String {
    let (header, body) = RequestHeader::decode(frame).unwrap();
    let mut body = Decoder::new(body);
    let name = match header.op {
        OpCode::PING => return "ping".into(),
        OpCode::CLOSE_SESSION => return "close".into(),
        OpCode::SET_WATCHES | OpCode::SET_WATCHES2 => return set_watches(header.op, body),
        OpCode::AUTH => {
            body.int().unwrap();
            "auth"
        }
        OpCode::CREATE2 => "create",
        OpCode::CREATE_CONTAINER => "container",
        OpCode::DELETE => "delete",
        OpCode::EXISTS => "exists",
        OpCode::GET_DATA => "get",
        OpCode::SET_DATA => "set",
        OpCode::GET_CHILDREN => "names",
        OpCode::GET_CHILDREN2 => "children",
        OpCode::SYNC => "sync",
        OpCode::ADD_WATCH => "add",
        OpCode::REMOVE_WATCHES => "remove",
        op => panic!("unknown operation {op:?}"),
    };
    let path = body.string().unwrap();
    let mark = match header.op {
        OpCode::ADD_WATCH | OpCode::REMOVE_WATCHES => format!("{}", body.int().unwrap()),
        OpCode::EXISTS | OpCode::GET_DATA | OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2
            if body.boolean().unwrap() =>
        {
            "!".into()
        }
        _ => String::new(),
    };
    format!("{name}{mark} {path}")
}

fn set_watches(op: OpCode, mut body: Decoder<'_>) -> String {
    let mut text = format!("restore since {}:", body.long().unwrap());
    let lists = if op == OpCode::SET_WATCHES { 3 } else { 5 };
    for list in ["data", "exist", "child", "persistent", "recursive"]
        .iter()
        .take(lists)
    {
        for _ in 0..body.count(4).unwrap() {
            write!(text, " {list} {}", body.string().unwrap()).unwrap();
        }
    }
    assert_eq!(body.remaining(), 0);
    text
}

pub(super) fn change<P: PathBuf>(change: &Change<P>) -> String {
    match change {
        Change::Node(events) => {
            let kinds = [
                (EventKind::Created, "created"),
                (EventKind::Deleted, "deleted"),
                (EventKind::DataChanged, "data"),
                (EventKind::ChildrenChanged, "children"),
            ];
            let heard = kinds.iter().filter(|(kind, _)| events.contains(*kind));
            let names: Vec<_> = heard.map(|(_, name)| *name).collect();
            names.join("+")
        }
        Change::Below { kind, path } => format!("{kind:?} {}", path.as_path()),
        Change::Resync => "resync".into(),
        Change::Lost => "lost".into(),
    }
}
