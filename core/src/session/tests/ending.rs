//! Closing and detaching.

use super::*;

fn ended(script: &mut Scripted) {
    assert_eq!(script.state(), State::Closed);
    assert_eq!(script.session.poll_timeout(), None);
    assert_eq!(script.session.next_control(true), None);
    assert!(!script.session.may_send());
}

#[test]
fn a_close_without_a_connection_is_done_at_once() {
    let mut script = new(CONFIG);
    script.session.close(script.now);
    ended(&mut script);
    assert_eq!(script.session.poll_action(), None);

    let mut script = connected(CONFIG);
    script.cut();
    script.session.close(script.now);
    ended(&mut script);
}

#[test]
fn a_close_while_dialling_hangs_up() {
    let mut script = new(CONFIG);
    script.dial();
    script.session.close(script.now);
    ended(&mut script);
    assert_eq!(script.session.poll_action(), Some(Action::HangUp));
    assert_eq!(script.session.poll_action(), None);
}

#[test]
fn a_close_before_the_dial_was_carried_out_takes_it_back() {
    let mut script = new(CONFIG);
    script.session.handle_timeout(script.now);
    script.session.close(script.now);
    assert_eq!(script.session.poll_action(), Some(Action::HangUp));
    assert_eq!(script.session.poll_action(), None);
}

#[test]
fn a_close_during_the_handshake_ends_the_session_that_it_opens() {
    let mut script = new(CONFIG);
    script.open();
    script.session.close(script.now);
    script.advance(500);
    script.answer(accepted(ID, T as i32));
    assert_eq!(script.sent.last(), Some(&(500, Control::Close)));
    script.frame(&header(CLOSE_XID, 3, 0)).unwrap();
    ended(&mut script);
}

#[test]
fn a_close_during_the_handshake_takes_bounded_time() {
    let mut script = new(CONFIG);
    script.open();
    script.session.close(script.now);
    script.advance(999);
    assert_eq!(script.hung_up(), None);
    script.advance(1);
    assert_eq!(script.hung_up(), Some(1_000));
    ended(&mut script);
}

#[test]
fn a_close_goes_out_behind_all_requests() {
    let mut script = connected(CONFIG);
    script.session.close(script.now);
    assert_eq!(script.session.next_control(false), None);
    assert!(script.session.may_send(), "what was submitted before");
    script.flush();
    assert_eq!(script.sent.last(), Some(&(0, Control::Close)));
    assert!(!script.session.may_send());
}

#[test]
fn a_close_is_done_with_its_answer() {
    let mut script = connected(CONFIG);
    script.session.close(script.now);
    script.flush();
    assert!(script.state().is_connected());
    script.frame(&header(CLOSE_XID, 3, 0)).unwrap();
    script.flush();
    ended(&mut script);
    assert_eq!(script.hung_up(), Some(0));
}

#[test]
fn a_close_is_done_with_the_connection() {
    let mut script = connected(CONFIG);
    script.session.close(script.now);
    script.flush();
    script.cut();
    ended(&mut script);
}

#[test]
fn nothing_is_leased_once_the_close_is_sent() {
    let mut script = connected(CONFIG);
    let before = script.session.status();
    script.session.close(script.now);
    assert!(script.session.lease().is_some());
    assert_eq!(script.session.status(), before);
    script.flush();
    assert_eq!(script.sent.last(), Some(&(0, Control::Close)));
    assert_eq!(script.session.lease(), None);
    let after = script.session.status();
    assert_eq!(
        (after.lapses, after.epoch),
        (before.lapses + 1, before.epoch)
    );
}

#[test]
fn a_close_takes_bounded_time() {
    let mut script = connected(CONFIG);
    script.session.close(script.now);
    script.advance(500);
    // A second one does not put the end off.
    script.session.close(script.now);
    script.advance(500);
    assert_eq!(script.hung_up(), Some(1_000));
    ended(&mut script);
}

#[test]
fn an_answer_to_no_close_is_a_reply_like_any_other() {
    let mut script = connected(CONFIG);
    let frame = header(CLOSE_XID, 3, 0);
    let stray = script.session.handle_frame(START, &frame);
    assert!(matches!(stray, Ok(Inbound::Reply(_))));
    assert!(script.state().is_connected());
}

#[test]
fn requests_are_refused_from_the_close_on() {
    let mut script = connected(CONFIG);
    assert_eq!(script.session.end_for_new_requests(), None);
    script.session.close(script.now);
    let end = script.session.end_for_new_requests();
    assert_eq!(end, Some(End::Closed));
}

#[test]
fn a_session_found_expired_while_closing_is_not_renewed() {
    let mut script = connected(CONFIG);
    script.cut();
    script.open();
    script.session.close(script.now);
    script.frame(&gone()).unwrap();
    ended(&mut script);
}

#[test]
fn a_detached_session_can_be_resumed() {
    let mut script = connected(CONFIG);
    script.request();
    script.reply(9);
    script.session.detach();
    script.flush();
    ended(&mut script);
    assert_eq!(script.hung_up(), Some(0));
    assert!(!script.sent.iter().any(|(_, sent)| *sent == Control::Close));
    let credentials = script.session.credentials().unwrap();
    let mut next = new(CONFIG);
    next.session.resume(credentials);
    assert_eq!(next.open_fields(), (ID, 9, T as i32, false));
}

#[test]
fn the_end_is_a_lapse_and_nothing_comes_after_it() {
    let mut script = connected(CONFIG);
    script.session.detach();
    script.flush();
    let end = script.status();
    assert_eq!(end.lapses, 1);
    script.session.handle_opened(script.now);
    script.cut();
    script.session.handle_broken(script.now);
    script.session.close(script.now);
    script.session.detach();
    script.jump(100 * T);
    script.timeout();
    let late = script.frame(&header(1, 1, 0));
    assert_eq!(late, Err(ProtocolError::Early));
    assert_eq!(script.status(), end);
    ended(&mut script);
}
