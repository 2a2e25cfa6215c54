//! Connections and sessions that end while requests are under way.

use super::*;
use crate::error::Code;
use crate::session::{End, Lost};

on_both! {<4, 2>:
    what_was_sent_is_lost_with_the_connection,
    what_was_not_sent_goes_out_on_the_next_connection_in_order,
    nothing_goes_out_before_the_handshake_is_answered,
    credentials_and_watches_go_out_ahead_of_requests,
    every_task_learns_of_the_loss,
    a_session_that_ends_ends_all_requests,
    a_session_that_is_replaced_ends_all_requests,
    a_session_that_is_presumed_lost_ends_all_requests,
    an_answer_that_the_session_has_expired_ends_all_requests,
    the_next_session_serves_new_requests,
    a_new_connection_to_the_session_keeps_what_waited_for_it,
    a_call_given_up_is_forgotten_with_the_connection,
    a_loss_before_the_first_session_ends_nothing,
    the_close_goes_out_behind_all_requests,
    a_close_lets_what_was_sent_be_answered,
    a_close_that_is_answered_early_ends_all_requests,
    a_close_without_a_connection_ends_all_requests,
    a_close_that_takes_too_long_ends_all_requests,
    nothing_is_taken_once_the_client_is_over,
    a_process_that_slept_learns_so_with_its_status,
    a_message_that_never_fits_does_not_spin,
    bytes_that_are_no_frames_break_the_connection,
}

const LOST: Result<Vec<u8>, Error> = Err(Error::ConnectionLost);
const EXPIRED: Result<Vec<u8>, Error> = Err(Error::NotSent(End::Expired));
const CLOSED: Result<Vec<u8>, Error> = Err(Error::NotSent(End::Closed));

/// Two calls that were sent, and two that were not.
fn under_way<K: Kind>() -> (Scripted<K>, [Id; 2], [Id; 2]) {
    let mut script = Scripted::<K>::connected();
    let sent = [script.get("/sent1"), script.get("/sent2")];
    script.transmit();
    let unsent = [script.get("/unsent1"), script.get("/unsent2")];
    (script, sent, unsent)
}

fn what_was_sent_is_lost_with_the_connection<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.cut();
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.poll(call)), [None, None]);
}

fn what_was_not_sent_goes_out_on_the_next_connection_in_order<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.cut();
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    let last = script.get("/later");
    script.connect();
    let out = script.transmit();
    assert_eq!(out, ["get /unsent1", "get /unsent2", "get /later"]);
    for call in [unsent[0], unsent[1], last] {
        script.answer(0, b"ok");
        assert_eq!(script.end(call), Ok(b"ok".to_vec()));
    }
}

fn nothing_goes_out_before_the_handshake_is_answered<K: Kind>() {
    let mut script = Scripted::<K>::new();
    script.get("/a");
    assert_eq!(script.transmit(), [""; 0]);
    script.dial();
    assert_eq!(script.transmit(), [""; 0]);
    script.hub.handle_opened(script.now);
    assert_eq!(script.write().len(), 1);
    assert_eq!(script.transmit(), [""; 0]);
    script
        .frame(&payload(|out| accepted(ID).encode(out)))
        .unwrap();
    assert_eq!(script.transmit(), ["get /a"]);
}

fn credentials_and_watches_go_out_ahead_of_requests<K: Kind>() {
    let auths = &[
        Credential {
            scheme: "digest",
            data: b"u:p",
        },
        Credential {
            scheme: "ip",
            data: b"",
        },
    ];
    let mut script = Scripted::<K>::connected_with(Setup { auths, ..SETUP });
    assert_eq!(script.transmit(), ["auth digest", "auth ip"]);
    script.watch(&get("/w"));
    script.get("/a");
    script.reconnect();
    let restore = "restore since 1: data /w";
    let out = ["auth digest", "auth ip", restore, "get /a"];
    assert_eq!(script.transmit(), out);
}

fn every_task_learns_of_the_loss<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let tasks: Vec<_> = (0..K::CALLS).map(|_| Flag::new()).collect();
    for (_, waker) in &tasks {
        script.get_with("/a", waker);
    }
    script.transmit();
    script.cut();
    assert!(tasks.iter().all(|(flag, _)| flag.woken() == 0));
    script.wake();
    assert!(tasks.iter().all(|(flag, _)| flag.woken() == 1));
}

fn a_session_that_ends_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.expire();
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.end(call)), [EXPIRED; 2]);
    assert_eq!(script.hub.requests(), 0);
    script.connect_to(ID + 1);
    assert_eq!(script.transmit(), [""; 0]);
}

fn a_session_that_is_replaced_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.cut();
    script.connect_to(ID + 1);
    let lost = script.hub.session().status().lost;
    assert_eq!(lost, Some(Lost::Replaced));
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.end(call)), [EXPIRED; 2]);
    assert_eq!(script.transmit(), [""; 0]);
    script.get("/a");
    assert_eq!(script.transmit(), ["get /a"]);
}

fn a_session_that_is_presumed_lost_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.cut();
    script.advance(12_000);
    let lost = script.hub.session().status().lost;
    assert_eq!(lost, Some(Lost::Presumed));
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.end(call)), [EXPIRED; 2]);
}

fn an_answer_that_the_session_has_expired_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.answer(Code::SessionExpired.number(), b"");
    let refused = Err(Error::Server(Code::SessionExpired));
    assert_eq!(sent.map(|call| script.end(call)), [refused, LOST]);
    assert_eq!(unsent.map(|call| script.end(call)), [EXPIRED; 2]);
    assert_eq!(script.hub.poll_action(), Some(Action::HangUp));
}

fn the_next_session_serves_new_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.expire();
    for call in sent.into_iter().chain(unsent) {
        script.end(call).unwrap_err();
    }
    let call = script.get("/new");
    script.connect_to(ID + 1);
    assert_eq!(script.transmit(), ["get /new"]);
    script.answer(0, b"ok");
    assert_eq!(script.end(call), Ok(b"ok".to_vec()));
}

fn a_new_connection_to_the_session_keeps_what_waited_for_it<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.cut();
    let call = script.get("/a");
    for _ in 0..3 {
        script.open();
        script.cut();
    }
    script.connect();
    assert_eq!(script.transmit(), ["get /a"]);
    assert_eq!(script.poll(call), None);
}

fn a_call_given_up_is_forgotten_with_the_connection<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    for _ in 0..3 {
        let calls: Vec<_> = (0..K::CALLS).map(|_| script.get("/a")).collect();
        script.transmit();
        calls.iter().for_each(|call| script.hub.abandon(*call));
        script.reconnect();
    }
    assert_eq!(script.hub.requests(), 0);
}

fn a_loss_before_the_first_session_ends_nothing<K: Kind>() {
    let mut script = Scripted::<K>::new();
    let call = script.get("/a");
    script.dial();
    script.cut();
    script.open();
    script.cut();
    assert_eq!(script.poll(call), None);
    script.connect();
    assert_eq!(script.transmit(), ["get /a"]);
}

fn the_close_goes_out_behind_all_requests<K: Kind>() {
    let (mut script, _, _) = under_way::<K>();
    script.hub.close(script.now);
    let out = ["get /unsent1", "get /unsent2", "close"];
    assert_eq!(script.transmit(), out);
    assert_eq!(script.transmit(), [""; 0]);
}

fn a_close_lets_what_was_sent_be_answered<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.hub.close(script.now);
    script.transmit();
    script.due.pop_back();
    for call in sent.into_iter().chain(unsent) {
        script.answer(0, b"ok");
        assert_eq!(script.end(call), Ok(b"ok".to_vec()));
    }
    script.frame(&reply(i32::MAX, 1, 0, b"")).unwrap();
    assert_eq!(script.state(), State::Closed);
    assert!(script.hub.is_over());
}

fn a_close_that_is_answered_early_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.hub.close(script.now);
    script.transmit();
    script.frame(&reply(i32::MAX, 1, 0, b"")).unwrap();
    for call in sent.into_iter().chain(unsent) {
        assert_eq!(script.end(call), LOST);
    }
}

fn a_close_without_a_connection_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.cut();
    script.hub.close(script.now);
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.end(call)), [CLOSED; 2]);
}

fn a_close_that_takes_too_long_ends_all_requests<K: Kind>() {
    let (mut script, sent, unsent) = under_way::<K>();
    script.hub.close(script.now);
    script.advance(999);
    assert_eq!(script.poll(sent[0]), None);
    script.advance(1);
    assert_eq!(sent.map(|call| script.end(call)), [LOST; 2]);
    assert_eq!(unsent.map(|call| script.end(call)), [CLOSED; 2]);
    assert_eq!(script.hub.poll_action(), Some(Action::HangUp));
}

fn nothing_is_taken_once_the_client_is_over<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.hub.close(script.now);
    assert_eq!(script.submit(&get("/a")).map(|_| Vec::new()), CLOSED);
    let mut script = Scripted::<K>::connected();
    script.hub.detach();
    assert_eq!(script.submit(&get("/a")).map(|_| Vec::new()), CLOSED);
    let config = Config {
        renew: false,
        ..SETUP.config
    };
    let mut script = Scripted::<K>::connected_with(Setup { config, ..SETUP });
    script.expire();
    assert_eq!(script.submit(&get("/a")).map(|_| Vec::new()), EXPIRED);
}

fn a_process_that_slept_learns_so_with_its_status<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    script.transmit();
    let before = script.hub.status(script.now);
    let later = script.now + ms(10 * T as u64);
    let after = script.hub.status(later);
    assert!(after.epoch > before.epoch && after.lapses > before.lapses);
    assert_eq!(script.end(call), LOST);
}

fn a_message_that_never_fits_does_not_spin<K: Kind>() {
    let auths = &[Credential {
        scheme: "digest",
        data: &[7; 2_000],
    }];
    let mut script = Scripted::<K>::with(Setup { auths, ..SETUP });
    for _ in 0..5 {
        script.connect();
        script.transmit();
        assert!(!script.state().is_connected());
        script.cut();
    }
}

fn bytes_that_are_no_frames_break_the_connection<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let call = script.get("/a");
    script.transmit();
    script.hub.handle_broken(script.now);
    assert_eq!(script.end(call), LOST);
    assert_eq!(script.hub.poll_action(), Some(Action::HangUp));
    assert_eq!(script.hub.poll_action(), None);
}
