//! Calls and their replies.

use super::*;
use crate::error::Code;
use crate::session::End;
use crate::wire::{Create, CreateMode, SetData, Sync};

on_both! {<4, 2>:
    replies_come_in_the_order_of_requests,
    a_request_is_encoded_when_it_is_submitted,
    a_submission_wakes_the_driver_only_if_it_can_send,
    the_reply_wakes_the_task_that_waits_for_it,
    the_last_task_to_poll_is_woken,
    a_refusal_ends_its_call_only,
    a_reply_out_of_order_completes_nothing,
    a_second_reply_to_a_request_completes_nothing,
    a_reply_to_a_request_that_is_not_sent_completes_nothing,
    a_reply_to_nothing_breaks_the_connection,
    a_reply_that_is_not_due_does_not_move_the_session,
    a_request_over_the_limit_is_refused_with_its_size,
    a_request_that_no_buffer_takes_is_refused_with_its_size,
    a_full_transmit_buffer_takes_more_once_it_is_written,
    a_full_table_takes_more_once_a_reply_is_taken,
    a_refused_request_leaves_nothing_behind,
    a_reply_too_large_to_receive_ends_its_call_only,
    a_refusal_too_large_to_receive_is_a_refusal,
    a_large_reply_that_is_not_due_breaks_the_connection,
    a_call_given_up_before_it_is_sent_runs_all_the_same,
    a_call_given_up_keeps_its_turn,
    a_call_given_up_after_its_reply_gives_its_room_back,
    a_call_given_up_is_never_woken,
    a_call_that_was_taken_is_over,
    a_pinned_request_fails_in_another_session,
    the_chroot_precedes_every_path,
    a_check_alone_is_never_sent,
}

fn replies_come_in_the_order_of_requests<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls = ["/a", "/b", "/c"].map(|path| script.get(path));
    assert_eq!(script.hub.requests(), 3);
    assert_eq!(script.transmit(), ["get /a", "get /b", "get /c"]);
    for (call, bytes) in calls.iter().zip([b"1", b"2", b"3"]) {
        assert_eq!(script.poll(*call), None);
        script.answer(0, bytes);
        assert_eq!(script.end(*call), Ok(bytes.to_vec()));
    }
    assert_eq!(script.hub.requests(), 0);
}

struct CheckAlone;

impl Request for CheckAlone {
    type Response<B: AsRef<[u8]>> = ();

    fn op(&self) -> OpCode {
        OpCode::CHECK
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        out.path(path("/a"));
        out.int(-1);
    }

    fn decode<B: AsRef<[u8]>>(_: B, _: &str) -> Result<(), crate::wire::Malformed> {
        Ok(())
    }
}

fn a_check_alone_is_never_sent<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let refused = script.hub.submit(&CheckAlone, Terms::default(), None);
    assert_eq!(refused, Err(Error::CheckAlone));
    assert_eq!(script.transmit(), [""; 0]);
}

fn a_request_is_encoded_when_it_is_submitted<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let acl = crate::wire::Acl::OPEN;
    let mode = CreateMode::Ephemeral;
    let (path, data) = (path("/a"), b"xyz".as_slice());
    let create = Create {
        path,
        data,
        mode,
        acl,
    };
    script.submit(&create).unwrap();
    let sent = script.write();
    let expected = payload(|out| {
        RequestHeader {
            xid: 1,
            op: OpCode::CREATE2,
        }
        .encode(out);
        create.encode(out);
    });
    assert_eq!(sent, [expected]);
}

fn a_submission_wakes_the_driver_only_if_it_can_send<K: Kind>() {
    let (driver, waker) = Flag::new();
    let mut script = Scripted::<K>::new();
    script.hub.register_driver(&waker);
    script.get("/a");
    script.wake();
    assert_eq!(driver.woken(), 0);
    script.connect();
    script.transmit();
    script.hub.register_driver(&waker);
    script.wake();
    driver.woken();
    script.hub.register_driver(&waker);
    script.get("/b");
    assert_eq!(driver.woken(), 0, "not under the lock");
    script.wake();
    assert_eq!(driver.woken(), 1);
}

fn the_reply_wakes_the_task_that_waits_for_it<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (one, other) = (Flag::new(), Flag::new());
    script.get_with("/a", &one.1);
    script.get_with("/b", &other.1);
    script.transmit();
    let frame = reply(1, 1, 0, b"");
    let waker = script.hub.handle_frame(script.now, K::frame(&frame));
    assert_eq!(one.0.woken(), 0, "not under the lock");
    waker.unwrap().unwrap().wake();
    assert_eq!((one.0.woken(), other.0.woken()), (1, 0));
}

fn the_last_task_to_poll_is_woken<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (one, other) = (Flag::new(), Flag::new());
    let call = script.get_with("/a", &one.1);
    assert!(script.hub.poll_reply(call, &other.1).is_pending());
    script.transmit();
    script.answer(0, b"");
    assert_eq!((one.0.woken(), other.0.woken()), (0, 1));
}

fn a_refusal_ends_its_call_only<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls = [script.get("/a"), script.get("/b"), script.get("/c")];
    script.transmit();
    script.answer(-101, b"");
    script.answer(-9_999, b"trailing bytes");
    script.answer(0, b"ok");
    let refused = |code| Err(Error::Server(code));
    assert_eq!(script.end(calls[0]), refused(Code::NoNode));
    assert_eq!(script.end(calls[1]), refused(Code::Other(-9_999)));
    assert_eq!(script.end(calls[2]), Ok(b"ok".to_vec()));
    assert!(script.state().is_connected());
}

/// A frame that is not due ends the connection, and with it all that was sent.
fn breaks<K: Kind>(script: &mut Scripted<K>, frame: &[u8], sent: &[Id]) {
    let xid = ReplyHeader::decode(frame).unwrap().0.xid;
    let broken = Err(ProtocolError::UnexpectedXid(xid));
    assert_eq!(script.frame(frame), broken);
    assert_eq!(script.state(), State::Suspended);
    assert_eq!(script.hub.poll_action(), Some(Action::HangUp));
    for call in sent {
        assert_eq!(script.end(*call), Err(Error::ConnectionLost));
    }
}

fn a_reply_out_of_order_completes_nothing<K: Kind>() {
    for xid in [2, 3, 0, -3, -7, i32::MIN, i32::MAX] {
        let mut script = Scripted::<K>::connected();
        let sent = [script.get("/a"), script.get("/b")];
        script.transmit();
        breaks(&mut script, &reply(xid, 1, 0, b"x"), &sent);
    }
}

fn a_second_reply_to_a_request_completes_nothing<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls = [script.get("/a"), script.get("/b")];
    script.transmit();
    script.answer(0, b"1");
    breaks(&mut script, &reply(1, 1, 0, b"1"), &calls[1..]);
    assert_eq!(script.end(calls[0]), Ok(b"1".to_vec()));
}

fn a_reply_to_a_request_that_is_not_sent_completes_nothing<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    breaks(&mut script, &reply(1, 1, 0, b"1"), &[]);
    assert_eq!(script.poll(call), None);
    script.connect();
    assert_eq!(script.transmit(), ["get /a"]);
}

fn a_reply_to_nothing_breaks_the_connection<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    breaks(&mut script, &reply(1, 1, 0, b""), &[]);
}

fn a_reply_that_is_not_due_does_not_move_the_session<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let lease = script.hub.session().lease();
    script.advance(1_000);
    script.get("/a");
    script.transmit();
    script.frame(&reply(9, i64::MAX, 0, b"")).unwrap_err();
    assert_eq!(script.hub.session().lease(), lease);
    assert_eq!(script.hub.session().credentials().unwrap().zxid, 0);
}

fn a_request_over_the_limit_is_refused_with_its_size<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let set = |data| SetData {
        path: path("/a"),
        data,
        version: None,
    };
    let limit = SETUP.config.max_request;
    let room = limit - 8 - 6 - 4 - 4;
    let bytes = std::vec![0; room + 1];
    let size = limit + 1;
    assert_eq!(
        script.submit(&set(&bytes)),
        Err(Error::TooLarge { size, limit })
    );
    script.submit(&set(&bytes[1..])).unwrap();
    assert_eq!(script.transmit(), ["set /a"]);
}

fn a_request_that_no_buffer_takes_is_refused_with_its_size<K: Kind>() {
    let config = Config {
        max_request: 2_000,
        ..SETUP.config
    };
    let mut script = Scripted::<K>::connected_with(Setup { config, ..SETUP });
    let bytes = [0; 3_000];
    let set = SetData {
        path: path("/a"),
        data: &bytes,
        version: None,
    };
    let size = 3_000 + 8 + 6 + 4 + 4;
    let limit = if K::BOUNDED { SETUP.tx - 4 } else { 2_000 };
    assert_eq!(script.submit(&set), Err(Error::TooLarge { size, limit }));
    let data = &bytes[..1_500];
    let fits = script.submit(&SetData { data, ..set }).is_ok();
    assert_eq!(fits, !K::BOUNDED);
}

fn a_full_transmit_buffer_takes_more_once_it_is_written<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let bytes = [0; 600];
    let set = SetData {
        path: path("/a"),
        data: &bytes,
        version: None,
    };
    script.submit(&set).unwrap();
    assert_eq!(script.submit(&set), Err(Error::Full));
    assert_eq!(script.hub.requests(), 1);
    assert_eq!(script.transmit(), ["set /a"]);
    script.submit(&set).unwrap();
    assert_eq!(script.transmit(), ["set /a"]);
}

fn a_full_table_takes_more_once_a_reply_is_taken<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls: Vec<_> = (0..K::CALLS).map(|_| script.get("/a")).collect();
    assert_eq!(script.submit(&get("/b")), Err(Error::Full));
    script.transmit();
    script.answer(0, b"");
    assert_eq!(script.submit(&get("/b")), Err(Error::Full));
    script.end(calls[0]).unwrap();
    script.get("/b");
    assert_eq!(script.submit(&get("/b")), Err(Error::Full));
}

fn a_refused_request_leaves_nothing_behind<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let set = |data| SetData {
        path: path("/a"),
        data,
        version: None,
    };
    for _ in 0..20 {
        script.submit(&set(&[0; 2_000])).unwrap_err();
    }
    script.submit(&set(&[0; 600])).unwrap();
    for _ in 0..20 {
        assert_eq!(script.submit(&set(&[0; 600])), Err(Error::Full));
    }
    for _ in 1..K::CALLS {
        script.get("/b");
    }
    assert_eq!(script.transmit().len(), K::CALLS);
}

fn a_reply_too_large_to_receive_ends_its_call_only<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls = [script.get("/a"), script.get("/b")];
    script.transmit();
    let header = ReplyHeader {
        xid: script.due.pop_front().unwrap(),
        zxid: 1,
        err: 0,
    };
    let handled = script.hub.handle_oversized(script.now, header, 70_000);
    assert!(handled.is_ok());
    script.answer(0, b"2");
    let error = Error::ReplyTooLarge { size: 70_000 };
    assert_eq!(script.end(calls[0]), Err(error));
    assert!(error.may_have_run());
    assert_eq!(script.end(calls[1]), Ok(b"2".to_vec()));
}

fn a_refusal_too_large_to_receive_is_a_refusal<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    script.transmit();
    let header = ReplyHeader {
        xid: 1,
        zxid: 1,
        err: -102,
    };
    let handled = script.hub.handle_oversized(script.now, header, 70_000);
    assert!(handled.is_ok());
    assert_eq!(script.end(call), Err(Error::Server(Code::NoAuth)));
}

fn a_large_reply_that_is_not_due_breaks_the_connection<K: Kind>() {
    for xid in [2, xid::NOTIFICATION, xid::AUTH, xid::SET_WATCHES] {
        let mut script = Scripted::<K>::connected();
        let call = script.get("/a");
        script.transmit();
        let header = ReplyHeader {
            xid,
            zxid: 1,
            err: 0,
        };
        let handled = script.hub.handle_oversized(script.now, header, 70_000);
        assert!(handled.is_err());
        assert_eq!(script.end(call), Err(Error::ConnectionLost));
    }
}

/// All places are free again.
fn is_vacant<K: Kind>(script: &mut Scripted<K>) {
    assert_eq!(script.hub.requests(), 0);
    let calls: Vec<_> = (0..K::CALLS).map(|_| script.get("/v")).collect();
    script.transmit();
    for call in calls {
        script.answer(0, &[5; SETUP.body]);
        assert_eq!(script.end(call), Ok([5; SETUP.body].to_vec()));
    }
}

fn a_call_given_up_before_it_is_sent_runs_all_the_same<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    script.hub.abandon(call);
    assert_eq!(script.transmit(), ["get /a"]);
    script.answer(0, b"");
    is_vacant(&mut script);
}

fn a_call_given_up_keeps_its_turn<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let calls: Vec<_> = (0..K::CALLS).map(|_| script.get("/a")).collect();
    script.transmit();
    script.hub.abandon(calls[0]);
    assert_eq!(script.submit(&get("/b")), Err(Error::Full));
    script.answer(0, b"given up");
    script.answer(0, b"wanted");
    assert_eq!(script.end(calls[1]), Ok(b"wanted".to_vec()));
    for call in &calls[2..] {
        script.answer(0, b"");
        script.end(*call).unwrap();
    }
    is_vacant(&mut script);
}

fn a_call_given_up_after_its_reply_gives_its_room_back<K: Kind>() {
    for err in [0, -101] {
        let mut script = Scripted::<K>::connected();
        let call = script.get("/a");
        script.transmit();
        script.answer(err, b"");
        script.hub.abandon(call);
        is_vacant(&mut script);
    }
}

fn a_call_given_up_is_never_woken<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (flag, waker) = Flag::new();
    let call = script.get_with("/a", &waker);
    script.transmit();
    script.hub.abandon(call);
    script.answer(0, b"");
    script.cut();
    script.wake();
    assert_eq!(flag.woken(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&flag), 1, "nobody keeps its waker");
}

fn a_call_that_was_taken_is_over<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    script.transmit();
    script.answer(0, b"");
    script.end(call).unwrap();
    script.hub.abandon(call);
    assert!(script.end(call).is_err());
    is_vacant(&mut script);
}

fn a_pinned_request_fails_in_another_session<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let terms = Terms {
        watch: None,
        epoch: Some(script.hub.session().status().epoch),
    };
    let pinned = |script: &mut Scripted<K>| script.hub.submit(&get("/a"), terms, None);
    let call = pinned(&mut script).unwrap();
    script.transmit();
    script.answer(0, b"");
    script.end(call).unwrap();
    script.reconnect();
    let call = pinned(&mut script).unwrap();
    script.expire();
    let expired = Err(Error::NotSent(End::Expired));
    assert_eq!(script.end(call), expired);
    assert_eq!(pinned(&mut script).map(|_| Vec::new()), expired);
    script.connect_to(ID + 1);
    assert_eq!(pinned(&mut script).map(|_| Vec::new()), expired);
    script.get("/a");
}

fn the_chroot_precedes_every_path<K: Kind>() {
    let mut script = Scripted::<K>::connected_with(Setup {
        chroot: "/app",
        ..SETUP
    });
    let acl = crate::wire::Acl::OPEN;
    let mode = CreateMode::EphemeralSequential;
    let create = |path| Create {
        path,
        data: b"",
        mode,
        acl,
    };
    script.submit(&create(path("/q-"))).unwrap();
    script.submit(&create(Path::ROOT)).unwrap();
    script.get("/");
    script.submit(&Sync { path: path("/x") }).unwrap();
    let sent = ["create /app/q-", "create /app/", "get /app", "sync /app/x"];
    assert_eq!(script.transmit(), sent);
}

mod bounded {
    use super::*;

    #[test]
    fn a_reply_too_large_for_its_room_ends_its_call_only() {
        let mut script = Scripted::<OnBoard<2, 0>>::connected();
        let calls = [script.get("/a"), script.get("/b")];
        script.transmit();
        script.answer(0, &[0; SETUP.body + 1]);
        script.answer(0, &[9; SETUP.body]);
        let size = SETUP.body + 1 + ReplyHeader::SIZE;
        let error = Error::ReplyTooLarge { size };
        assert_eq!(script.end(calls[0]), Err(error));
        assert_eq!(script.end(calls[1]), Ok([9; SETUP.body].to_vec()));
        is_vacant(&mut script);
    }

    #[test]
    fn a_reply_occupies_its_room_until_it_has_been_read() {
        let mut script = Scripted::<OnBoard<1, 0>>::connected();
        let call = script.get("/a");
        script.transmit();
        script.answer(0, b"kept");
        let Poll::Ready(Ok(body)) = script.hub.poll_reply(call, &noop()) else {
            panic!("answered")
        };
        assert_eq!(script.submit(&get("/b")), Err(Error::Full));
        assert_eq!(body.as_ref(), b"kept");
        script.hub.recycle(body);
        script.get("/b");
    }

    #[test]
    fn without_room_for_calls_there_are_none() {
        let mut script = Scripted::<OnBoard<0, 0>>::connected();
        assert_eq!(script.submit(&get("/a")), Err(Error::Full));
        assert_eq!(script.transmit(), [""; 0]);
        script.reconnect();
    }
}
