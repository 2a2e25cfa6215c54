//! Bytes that no server should send.

use super::handle::{Shared, Task};
use super::*;
use crate::client::Client;
use crate::wire::{
    Acl, Create, CreateMode, Exists, GetAcl, GetChildNames, GetChildren, GetEphemerals,
};

on_both! {<2, 2>:
    no_frame_makes_the_hub_panic,
    no_reply_makes_its_caller_panic,
}

/// Every frame that is cut short or has one wrong byte.
fn spoilt(good: &[u8]) -> Vec<Vec<u8>> {
    let cut = (0..good.len()).map(|len| good[..len].to_vec());
    let wrong = (0..good.len()).flat_map(|at| {
        [0x00, 0x01, 0x7f, 0x80, 0xff].map(|byte| {
            let mut bad = good.to_vec();
            bad[at] = byte;
            bad
        })
    });
    cut.chain(wrong).collect()
}

fn no_frame_makes_the_hub_panic<K: Kind>() {
    let good = [
        reply(2, 9, 0, &data(b"xyz")),
        reply(2, 9, -101, b""),
        event(EventKind::DataChanged, "/w"),
        payload(|out| accepted(ID).encode(out)),
    ];
    for frame in good.iter().flat_map(|good| spoilt(good)) {
        let mut script = Scripted::<K>::connected();
        let watch = script.watch(&get("/w"));
        let call = script.get("/a");
        script.transmit();
        let _ = script.frame(&frame);
        script.changes(watch);
        let ended = script.poll(call).is_some();
        if !script.state().is_connected() {
            script.connect();
            assert!(ended, "a call outlived its connection");
        }
    }
}

/// Makes a call to which a server gives such a body.
fn call<K: Kind, R: Request + Copy>(request: &R, body: &[u8]) -> Result<(), Error> {
    let shared = Shared::<K>::new(Scripted::connected(), "");
    let handle = shared.handle();
    let mut task = Task::new(async { handle.exchange(*request).await.map(drop) });
    assert!(task.run().is_none());
    shared.script(|script| {
        assert_eq!(script.write().len(), 1);
        script.frame(&reply(1, 1, 0, body)).unwrap();
    });
    task.run().expect("the call ends")
}

fn spoil<K: Kind, R: Request + Copy>(request: &R, good: &[u8]) {
    assert_eq!(call::<K, R>(request, good), Ok(()));
    let spoilt = spoilt(good);
    let refused = spoilt.iter().filter(|bad| {
        let ended = call::<K, R>(request, bad);
        assert!(matches!(ended, Ok(()) | Err(Error::Malformed(_))));
        ended.is_err()
    });
    assert!(
        refused.count() >= good.len(),
        "what is cut short is refused"
    );
}

fn no_reply_makes_its_caller_panic<K: Kind>() {
    let at = path("/a");
    let acl = Acl::OPEN;
    let mode = CreateMode::Ephemeral;
    let create = Create {
        path: at,
        data: b"",
        mode,
        acl,
    };
    let stat = payload(|out| Stat::default().encode(out));
    let with_stat = |body: &[u8]| [body, &stat].concat();
    let listed = names(&["one", "é"]);
    let paths = names(&["/a/b", "/a/c"]);
    let path = payload(|out| out.string("/a"));
    let entries = payload(|out| out.acl(acl));
    spoil::<K, _>(&get("/a"), &data(b"xyz"));
    spoil::<K, _>(&Exists { path: at }, &stat);
    spoil::<K, _>(&GetChildNames { path: at }, &listed);
    spoil::<K, _>(&GetChildren { path: at }, &with_stat(&listed));
    spoil::<K, _>(&create, &with_stat(&path));
    spoil::<K, _>(&GetAcl { path: at }, &with_stat(&entries));
    spoil::<K, _>(&GetEphemerals { prefix: at }, &paths);
}

#[test]
fn a_retried_request_is_not_sent_again_for_a_reply_that_is_too_large() {
    let shared = Shared::<OnBoard<1, 0>>::new(Scripted::connected(), "");
    let handle = shared.handle();
    let request = get("/a");
    let mut task = Task::new(async { handle.retry(request).await.map(drop) });
    assert!(task.run().is_none());
    shared.script(|script| {
        script.transmit();
        script.answer(0, &data(&[0; 300]));
    });
    let size = 300 + 4 + Stat::SIZE + ReplyHeader::SIZE;
    assert_eq!(task.run(), Some(Err(Error::ReplyTooLarge { size })));
    shared.script(|script| assert_eq!(script.transmit(), [""; 0]));
}
