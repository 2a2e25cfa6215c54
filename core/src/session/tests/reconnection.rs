//! From one connection, and one session, to the next.

use super::*;

/// Settings under which pauses can be told apart.
const PACED: Config = Config {
    backoff: Backoff {
        base: ms(1_000),
        cap: ms(60_000),
        stable: ms(10_000),
    },
    ..CONFIG
};

/// How long the session waits before it dials.
fn pause(script: &mut Scripted) -> u64 {
    let from = script.at();
    script.dial();
    script.at() - from
}

/// The longest of the pauses between attempts that all fail.
fn longest(script: &mut Scripted, attempts: u32) -> u64 {
    let fail = |script: &mut Scripted| {
        let pause = pause(script);
        script.cut();
        pause
    };
    (0..attempts).map(|_| fail(script)).max().unwrap()
}

#[test]
fn servers_take_turns() {
    let mut script = new(CONFIG);
    let mut dial = || {
        let host = script.dial();
        script.cut();
        host
    };
    assert_eq!([dial(), dial(), dial(), dial()], [0, 1, 2, 0]);
}

#[test]
fn a_lost_connection_goes_to_the_next_server() {
    let mut script = new(CONFIG);
    assert_eq!(script.dial(), 0);
    script.session.handle_opened(script.now);
    script.flush();
    script.answer(accepted(ID, T as i32));
    script.cut();
    assert_eq!(script.dial(), 1);
}

#[test]
fn a_round_through_all_servers_without_success_doubles_the_pauses() {
    let mut script = new(PACED);
    assert_eq!(pause(&mut script), 0);
    script.cut();
    assert!(longest(&mut script, 2) <= 1_000);
    assert!((1_000..=32_000).contains(&longest(&mut script, 15)));
    let cap = longest(&mut script, 60);
    assert!((50_000..=60_000).contains(&cap), "{cap}");
}

#[test]
fn pauses_are_short_while_a_session_can_be_saved() {
    let mut script = new(PACED);
    longest(&mut script, 30);
    script.connect();
    let cut = script.at();
    script.cut();
    let mut pauses = Vec::new();
    while script.at() < cut + 10_000 {
        pauses.push(pause(&mut script));
        script.cut();
    }
    assert!(pauses.len() >= 8, "{pauses:?}");
    assert!(pauses.iter().all(|&pause| pause <= T / 8), "{pauses:?}");
}

#[test]
fn a_handshake_alone_does_not_shorten_the_pauses() {
    let mut script = new(PACED);
    let mut longest = 0;
    for _ in 0..60 {
        let from = script.at();
        script.open();
        longest = longest.max(script.at() - from);
        script.answer(accepted(ID, i32::MAX));
        script.cut();
    }
    assert!(longest > 30_000, "{longest}");
}

#[test]
fn a_connection_that_lasted_shortens_the_pauses() {
    let mut script = new(PACED);
    longest(&mut script, 40);
    script.connect();
    script.advance(5_000);
    script.pong();
    script.advance(5_000);
    // So that the next pauses are not short for the sake of the session.
    script
        .session
        .handle_refusal(script.now, Code::SessionExpired);
    script.flush();
    assert!(longest(&mut script, 3) <= 1_000);
}

#[test]
fn a_session_is_taken_up_with_all_it_has_seen() {
    let mut script = connected(CONFIG);
    for zxid in [5, 9, 7, 0, -1] {
        script.request();
        script.reply(zxid);
    }
    script.frame(&event(50, "/a")).unwrap();
    script.session.add_auth();
    script.flush();
    script.frame(&header(xid::AUTH, 60, 0)).unwrap();
    script.advance(3_000);
    script.frame(&header(xid::PING, 70, 0)).unwrap();
    script.cut();
    assert_eq!(script.open_fields(), (ID, 9, T as i32, false));
    let password = script.session.connect_request().password.to_vec();
    assert_eq!(password, PASSWORD);
}

#[test]
fn watches_are_replayed_since_what_was_seen_before_the_connection() {
    let mut script = connected(CONFIG);
    script.request();
    script.reply(9);
    script.cut();
    script.open();
    let answer = payload(|out| accepted(ID, T as i32).encode(out));
    script.frame(&answer).unwrap();
    for from in [0, 5] {
        let due = Control::Restore { from, zxid: 9 };
        assert_eq!(script.session.next_control(true), Some(due));
        script.session.restore_sent(script.now, Some(5), true);
        script.frame(&header(xid::SET_WATCHES, 90, 0)).unwrap();
    }
}

#[test]
fn a_refused_restoration_breaks_the_connection() {
    let mut script = connected(CONFIG);
    script.cut();
    script.connect();
    let refused = script.frame(&header(xid::SET_WATCHES, 9, -5));
    let code = Code::MarshallingError;
    assert_eq!(refused, Err(ProtocolError::RestoreRefused(code)));
    assert_eq!(script.state(), State::Suspended);
}

#[test]
fn an_answer_to_no_restoration_breaks_the_protocol() {
    let mut script = connected(CONFIG);
    let stray = script.frame(&header(xid::SET_WATCHES, 9, 0));
    assert_eq!(stray, Err(ProtocolError::UnexpectedXid(xid::SET_WATCHES)));
}

#[test]
fn an_expired_session_is_forgotten_for_a_new_one() {
    let mut script = connected(CONFIG);
    script.request();
    script.reply(9);
    script.cut();
    script.open();
    script.frame(&gone()).unwrap();
    script.flush();
    let Status {
        epoch,
        lapses,
        state,
        lost,
        ..
    } = script.status();
    assert_eq!((epoch.get(), lapses), (2, 1));
    assert_eq!((state, lost), (State::Connecting, Some(Lost::Expired)));
    assert_eq!((script.session.id(), script.session.lease()), (0, None));
    assert_eq!(script.session.credentials(), None);
    assert!(script.hung_up().is_some());
    assert_eq!(script.open_fields(), (0, 0, T as i32, false));
    script.answer(accepted(ID + 1, T as i32));
    assert_eq!(script.status().epoch.get(), 2);
    assert_eq!(script.sent.last().unwrap().1, Control::Connect);
}

#[test]
fn a_session_that_another_one_answers_for_is_lost() {
    let mut script = connected(CONFIG);
    script.request();
    script.reply(9);
    script.cut();
    script.open();
    script.answer(accepted(ID + 1, T as i32));
    let status = script.status();
    assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Replaced)));
    assert!(status.state.is_connected());
    assert_eq!(script.session.id(), ID + 1);
    assert_eq!(script.lease(), 7_000);
    assert_eq!(script.sent.last().unwrap().1, Control::Connect);
    script.cut();
    assert_eq!(script.open_fields(), (ID + 1, 0, T as i32, false));
}

#[test]
fn a_session_is_presumed_lost_after_four_thirds_of_its_timeout() {
    let mut script = connected(CONFIG);
    script.advance(3_000);
    script.pong();
    script.cut();
    script.advance(11_999);
    assert_eq!(script.status().epoch.get(), 1);
    script.advance(1);
    assert_eq!(script.at(), 15_000);
    let status = script.status();
    assert_eq!((status.epoch.get(), status.lost), (2, Some(Lost::Presumed)));
    assert_eq!(script.open_fields(), (0, 0, T as i32, false));
}

#[test]
fn a_connection_is_proof_enough_against_a_presumption() {
    let mut script = connected(CONFIG);
    script.cut();
    script.advance(11_000);
    script.cut();
    script.actions.clear();
    script.connect();
    script.advance(5_000);
    assert_eq!(script.status().epoch.get(), 1);
}

#[test]
fn an_attempt_under_way_ends_with_the_presumption() {
    for opened in [false, true] {
        let mut script = connected(CONFIG);
        script.cut();
        script.advance(11_500);
        script.cut();
        script.actions.clear();
        script.dial();
        if opened {
            script.session.handle_opened(script.now);
            script.flush();
        }
        script.advance(600);
        assert_eq!(script.hung_up(), Some(12_000));
        let late = payload(|out| accepted(ID, T as i32).encode(out));
        script.cut();
        assert_eq!(script.frame(&late), Err(ProtocolError::Early));
        assert_eq!(script.session.id(), 0, "not resurrected");
    }
}

#[test]
fn a_refusal_for_expiry_loses_the_session() {
    let mut script = connected(CONFIG);
    script
        .session
        .handle_refusal(script.now, Code::SessionExpired);
    script.flush();
    assert_eq!(script.status().lost, Some(Lost::Expired));
    assert_eq!(script.hung_up(), Some(0));
    assert_eq!(script.open_fields().0, 0);
}

#[test]
fn a_session_that_moved_is_taken_up_again() {
    let mut script = connected(CONFIG);
    script
        .session
        .handle_refusal(script.now, Code::SessionMoved);
    script.flush();
    assert_eq!(script.state(), State::Suspended);
    assert_eq!(script.hung_up(), Some(0));
    assert_eq!(script.open_fields().0, ID);
}

#[test]
fn other_refusals_concern_their_request_only() {
    for code in [
        Code::NoNode,
        Code::NotReadOnly,
        Code::ThrottledOp,
        Code::Other(-999),
    ] {
        let mut script = connected(CONFIG);
        let before = script.status();
        script.session.handle_refusal(script.now, code);
        assert_eq!(script.status(), before);
    }
}

#[test]
fn without_renewal_the_client_ends_with_its_session() {
    type Loss = fn(&mut Scripted);
    let expired: Loss = |script| {
        script.open();
        script.frame(&gone()).unwrap();
    };
    let replaced: Loss = |script| {
        script.open();
        script.answer(accepted(ID + 1, T as i32));
    };
    let presumed: Loss = |script| script.advance(12_000);
    for (loss, lost) in [
        (expired, Lost::Expired),
        (replaced, Lost::Replaced),
        (presumed, Lost::Presumed),
    ] {
        let mut script = connected(Config {
            renew: false,
            ..CONFIG
        });
        script.cut();
        loss(&mut script);
        assert_eq!(script.state(), State::Expired);
        assert_eq!(script.status().lost, Some(lost));
        assert_eq!(script.session.poll_timeout(), None);
        assert_eq!(script.session.end_for_new_requests(), Some(End::Expired));
    }
}

#[test]
fn every_connection_moves_a_counter() {
    let mut script = connected(CONFIG);
    let before = script.status();
    script.cut();
    script.connect();
    let after = script.status();
    assert_eq!(after.state, before.state);
    assert_eq!(after.connections, before.connections + 1);
}

#[test]
fn a_loss_is_told_once_however_often_it_is_reported() {
    let mut script = connected(CONFIG);
    script.cut();
    let deadline = script.session.poll_timeout();
    script.session.handle_lost(script.now);
    script.session.handle_broken(script.now);
    script.session.handle_opened(script.now);
    assert_eq!(script.session.poll_timeout(), deadline);
    assert_eq!(script.session.poll_action(), None);
}

#[test]
fn requests_are_numbered_from_one_and_again_clear_of_other_meanings() {
    let mut script = connected(CONFIG);
    assert_eq!(script.session.next_xid(), 1);
    script.session.last_xid = CLOSE_XID - 2;
    assert_eq!(script.session.next_xid(), CLOSE_XID - 1);
    assert_eq!(script.session.next_xid(), 1);
}
