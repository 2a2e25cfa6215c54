//! Requests encoded into a slice, replies viewed where they lie.

use core::hint::black_box;

use docent_core::connect_string::ConnectString;
use docent_core::path::Path;
use docent_core::wire::{
    ConnectReply, FrameReader, GetData, ReplyHeader, Request, RequestHeader, SliceSink, Step, frame,
};

const LIMIT: usize = 200;

/// The bytes it takes to ask for a node.
pub(crate) fn requests() -> usize {
    let hosts = ConnectString::parse(black_box("a:2181,b/app"));
    let path = Path::new(black_box("/some/node"));
    match (hosts, path) {
        (Ok(hosts), Ok(path)) => request(&GetData { path }, hosts.chroot()),
        _ => 0,
    }
}

fn request<R: Request>(request: &R, chroot: &str) -> usize {
    let mut room = [0; LIMIT];
    let mut sink = SliceSink::new(&mut room);
    let header = RequestHeader {
        xid: 1,
        op: request.op(),
    };
    let encoded = frame(&mut sink, LIMIT, chroot, true, |out| {
        header.encode(out);
        request.encode(out);
    });
    encoded.map_or(0, |()| black_box(sink.as_bytes()).len())
}

/// The bytes of data in a reply.
pub(crate) fn replies() -> usize {
    let received = black_box([0; LIMIT]);
    match FrameReader::new().step(&received, LIMIT) {
        Ok(Step::Frame(range)) => received.get(range).map_or(0, reply),
        _ => 0,
    }
}

fn reply(payload: &[u8]) -> usize {
    if let Ok(ConnectReply::Accepted(accepted)) = ConnectReply::decode(payload) {
        return accepted.password.len();
    }
    let body = ReplyHeader::decode(payload).map(|(_, body)| body);
    let data = body.and_then(|body| GetData::decode(body, ""));
    data.map_or(0, |data| data.data().len())
}
