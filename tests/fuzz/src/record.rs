//! Records of all kinds.

use std::hint::black_box;

use docent_core::error::Code;
use docent_core::path::Path;
use docent_core::wire::*;
use docent_testing::decode::{self, Body};

use super::tape::Tape;

/// The first byte is an operation, and the others the body of its request or of any reply.
pub fn record(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let op = OpCode(i32::from(tape.byte() as i8));
    requested(op, tape.0);
    header_and_body(tape.0);
    greeting(tape.0);
    replied(tape.0, "");
    replied(tape.0, "/jv");
}

fn encoded(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, usize::MAX, "", false, body).expect("there is room");
    out.split_off(4)
}

/// A request that is read and written is the same from then on.
fn requested(op: OpCode, bytes: &[u8]) {
    let mut input = Decoder::new(bytes);
    let Ok(body) = Body::decode(op, &mut input) else {
        return;
    };
    assert!(input.remaining() <= bytes.len());
    let written = encoded(|out| body.encode(out));
    let mut input = Decoder::new(&written);
    assert_eq!(Body::decode(op, &mut input).as_ref(), Ok(&body));
    assert!(input.remaining() == 0 || matches!(body, Body::Unknown(_)));
}

fn header_and_body(bytes: &[u8]) {
    if let Ok((header, body)) = ReplyHeader::decode(bytes) {
        assert_eq!(encoded(|out| header.encode(out)), bytes[..16]);
        assert_eq!(body, &bytes[16..]);
    }
    if let Ok((header, body)) = RequestHeader::decode(bytes) {
        assert_eq!(encoded(|out| header.encode(out)), bytes[..8]);
        assert_eq!(body, &bytes[8..]);
    }
    if let Ok(event) = WatchEvent::decode(bytes) {
        let written = encoded(|out| event.encode(out));
        assert_eq!(WatchEvent::decode(&written), Ok(event));
    }
}

fn greeting(bytes: &[u8]) {
    if let Ok(connect) = decode::connect(bytes) {
        let written = encoded(|out| connect.encode(out));
        assert_eq!(decode::connect(&written), Ok(connect));
    }
    if let Ok(ConnectReply::Accepted(connected)) = ConnectReply::decode(bytes) {
        assert!(connected.timeout_ms > 0 && connected.session != 0);
        let written = encoded(|out| connected.encode(out));
        let again = ConnectReply::decode(&written);
        assert_eq!(again, Ok(ConnectReply::Accepted(connected)));
    }
}

/// Views `body` as every reply that it could be, and reads all that can be read.
pub(super) fn replied(body: &[u8], chroot: &str) {
    macro_rules! read {
        ($($request:ty => $view:pat => $read:expr;)*) => {
            $(if let Ok($view) = <$request>::decode(body, chroot) { black_box($read); })*
        };
    }
    read! {
        Create<'_> => view => (view.path().ancestors().count(), view.stat());
        Delete<'_> => () => ();
        Exists<'_> => stat => written(stat, body);
        GetData<'_> => view => assert_eq!(view.data(), &body[view.range()]);
        SetData<'_> => stat => written(stat, body);
        GetAcl<'_> => view => assert_eq!(view.iter().len(), view.iter().count());
        SetAcl<'_> => stat => written(stat, body);
        GetChildren<'_> => view => assert_eq!(view.len(), view.iter().count());
        GetChildNames<'_> => view => assert_eq!(view.len(), view.iter().count());
        Sync<'_> => () => ();
        GetEphemerals<'_> => view => {
            assert_eq!(view.len(), view.iter().count());
            view.iter().for_each(|path| assert_eq!(Path::new(path.as_str()), Ok(path)));
        };
        CountDescendants<'_> => count => count;
        WhoAmI => view => assert_eq!(view.iter().len(), view.iter().count());
        AddWatch<'_> => () => ();
        Reconfig<'_> => view => view.is_null();
        Multi<'_> => view => match view.outcome() {
            Ok(results) => assert_eq!(view.len(), results.count()),
            Err(failure) => assert!(failure.index < view.len() && failure.code.number() != 0),
        };
        MultiRead<'_> => view => assert_eq!(view.len(), view.iter().map(result).count());
    }
}

fn written(stat: Stat, body: &[u8]) {
    assert_eq!(encoded(|out| stat.encode(out)), body[..Stat::SIZE]);
}

fn result(result: Result<ReadResult<'_>, Code>) {
    if let Ok(ReadResult::Children(names)) = result {
        assert_eq!(names.len(), names.count());
    }
}
