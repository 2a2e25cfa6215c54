//! What the core itself takes for a getData: encoding the request, and finding and decoding the
//! reply in what was received. `cargo bench --bench core`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use docent_core::path::Path;
use docent_core::wire::{
    Encoder, FrameReader, GetData, ReplyHeader, Request, RequestHeader, Sink, SliceSink, Step,
    frame,
};

const LIMIT: usize = 1 << 20;
const DATA: [u8; 128] = [b'd'; 128];

fn get_data(c: &mut Criterion) {
    let reply = reply();
    let mut room = [0; 64];
    let mut group = c.benchmark_group("getData");
    group.bench_function("encode", |b| {
        b.iter(|| encode(black_box("/bench"), &mut room))
    });
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&reply))));
    group.bench_function("both", |b| {
        b.iter(|| {
            (
                encode(black_box("/bench"), &mut room),
                decode(black_box(&reply)),
            )
        });
    });
    group.finish();
}

/// Checks the path as well: an application hands over a string.
fn encode(path: &str, room: &mut [u8]) -> usize {
    let get = GetData {
        path: Path::new(path).expect("a valid path"),
    };
    let mut sink = SliceSink::new(room);
    let body = |out: &mut Encoder<'_>| {
        RequestHeader {
            xid: black_box(1),
            op: get.op(),
        }
        .encode(out);
        get.encode(out);
    };
    frame(&mut sink, LIMIT, "", false, body).expect("enough room");
    black_box(sink.len())
}

fn decode(received: &[u8]) -> usize {
    let Ok(Step::Frame(range)) = FrameReader::new().step(received, LIMIT) else {
        panic!("no whole frame");
    };
    let (header, body) = ReplyHeader::decode(&received[range]).expect("a header");
    assert!(header.xid == 1 && header.code().is_none());
    let data = GetData::decode(body, "").expect("a reply of getData");
    black_box(data.stat().version);
    black_box(data.data()).len()
}

fn reply() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, LIMIT, "", false, |out| {
        ReplyHeader {
            xid: 1,
            zxid: 7,
            err: 0,
        }
        .encode(out);
        out.buffer(&DATA);
        out.bytes(&[0; 68]);
    })
    .expect("a growing sink");
    bytes
}

criterion_group!(benches, get_data);
criterion_main!(benches);
