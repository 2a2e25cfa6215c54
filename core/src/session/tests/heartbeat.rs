//! Pings, silence, stalls and the lease.

use super::*;

#[test]
fn an_idle_connection_is_pinged_after_a_third_of_the_timeout() {
    let mut script = connected(CONFIG);
    script.advance(3_000);
    assert_eq!(script.pings(), [3_000]);
    script.advance(500);
    script.pong();
    script.advance(3_000);
    assert_eq!(script.pings(), [3_000, 6_000]);
}

#[test]
fn a_request_takes_the_place_of_a_ping() {
    let mut script = connected(CONFIG);
    for _ in 0..5 {
        script.advance(2_000);
        script.request();
        script.reply(1);
    }
    assert_eq!(script.pings(), []);
    script.advance(3_000);
    assert_eq!(script.pings(), [13_000]);
}

#[test]
fn there_are_never_two_pings_in_flight() {
    let mut script = connected(CONFIG);
    script.request();
    script.advance(3_000);
    script.reply(1);
    script.advance(5_999);
    assert_eq!(script.pings(), [3_000]);
    assert_eq!(script.hung_up(), None);
}

#[test]
fn a_ping_that_could_not_be_written_is_not_asked_for_twice() {
    let mut script = connected(CONFIG);
    script.jump(3_000);
    script.session.handle_timeout(script.now);
    script.session.handle_timeout(script.now);
    script.session.control_sent(script.now, Control::Ping);
    assert_eq!(script.session.next_control(true), None);
}

#[test]
fn silence_for_two_thirds_of_the_timeout_ends_a_connection() {
    let mut script = connected(CONFIG);
    script.advance(5_999);
    assert_eq!(script.hung_up(), None);
    script.advance(1);
    assert_eq!(script.hung_up(), Some(6_000));
    assert_eq!(script.state(), State::Suspended);
}

#[test]
fn every_answer_puts_the_end_of_a_connection_off() {
    type Answer = fn(&mut Scripted);
    let pinged: Answer = |script| script.pong();
    let asked: Answer = |script| script.reply(7);
    let authorised: Answer = |script| script.frame(&header(xid::AUTH, 0, 0)).unwrap();
    for answer in [pinged, asked, authorised] {
        let mut script = connected(CONFIG);
        script.session.add_auth();
        script.request();
        script.advance(5_000);
        answer(&mut script);
        script.actions.clear();
        script.advance(5_999);
        assert_eq!(script.hung_up(), None);
        script.advance(1);
        assert_eq!(script.hung_up(), Some(11_000));
    }
}

#[test]
fn the_answer_to_restored_watches_puts_the_end_of_a_connection_off() {
    let mut script = connected(CONFIG);
    script.cut();
    script.connect();
    script.actions.clear();
    let begun = script.at();
    script.advance(5_000);
    script.frame(&header(xid::SET_WATCHES, 9, 0)).unwrap();
    script.advance(6_000);
    assert_eq!(script.hung_up(), Some(begun + 11_000));
}

#[test]
fn events_are_no_answers() {
    let mut script = connected(CONFIG);
    for _ in 0..59 {
        script.advance(100);
        script.frame(&event(-1, "/a")).unwrap();
    }
    script.advance(100);
    assert_eq!(script.hung_up(), Some(6_000));
}

#[test]
fn answers_to_pings_never_sent_are_ignored() {
    let mut script = connected(CONFIG);
    for _ in 0..29 {
        script.advance(100);
        script.pong();
    }
    script.advance(3_100);
    assert_eq!(script.pings(), [3_000]);
    assert_eq!(script.hung_up(), Some(6_000));
    let mut script = connected(CONFIG);
    script.advance(100);
    script.pong();
    assert_eq!(script.lease(), 6_900);
}

#[test]
fn requests_that_stall_end_a_connection_although_pings_are_answered() {
    let mut script = connected(Config {
        operation_timeout: Some(ms(30_000)),
        ..CONFIG
    });
    script.advance(500);
    script.request();
    script.request();
    for _ in 0..6 {
        script.advance(5_000);
        if script.hung_up().is_none() {
            script.pong();
        }
    }
    assert_eq!(script.hung_up(), Some(30_500));
}

#[test]
fn requests_that_move_on_however_slowly_do_not_stall() {
    let mut script = connected(Config {
        operation_timeout: Some(ms(4_000)),
        ..CONFIG
    });
    for _ in 0..8 {
        script.request();
    }
    for zxid in 0..8 {
        script.advance(3_900);
        assert_eq!(script.hung_up(), None);
        script.reply(zxid);
        script.pong();
    }
    script.advance(2_900);
    script.pong();
    script.advance(5_000);
    assert_eq!(script.hung_up(), None, "nothing is in flight any more");
}

#[test]
fn without_an_operation_timeout_a_stall_is_for_ever() {
    let mut script = connected(Config {
        operation_timeout: None,
        ..CONFIG
    });
    script.request();
    for _ in 0..100 {
        script.advance(5_000);
        script.pong();
    }
    assert_eq!(script.hung_up(), None);
}

#[test]
fn the_lease_counts_from_when_the_handshake_was_sent() {
    let mut script = new(CONFIG);
    assert_eq!(script.session.lease(), None);
    script.open();
    script.advance(1_000);
    assert_eq!(script.session.lease(), None);
    script.answer(accepted(ID, T as i32));
    assert_eq!(script.lease(), 6_000);
}

#[test]
fn the_lease_counts_from_when_an_answered_ping_was_sent() {
    let mut script = connected(CONFIG);
    script.advance(4_000);
    assert_eq!(script.lease(), 3_000);
    script.pong();
    assert_eq!(script.lease(), 6_000);
}

#[test]
fn the_lease_counts_from_when_an_answered_request_was_sent() {
    let mut script = connected(CONFIG);
    script.advance(1_000);
    script.request();
    script.advance(1_000);
    script.request();
    script.reply(1);
    assert_eq!(script.lease(), 6_000);
    script.reply(2);
    assert_eq!(script.lease(), 6_000, "one request at a time is followed");
    script.request();
    script.reply(3);
    assert_eq!(script.lease(), 7_000);
}

#[test]
fn the_lease_follows_requests_that_are_never_done() {
    let mut script = connected(CONFIG);
    script.request();
    for _ in 0..100 {
        script.advance(1_000);
        script.request();
        script.reply(1);
        assert!(script.lease() >= 5_000);
    }
}

#[test]
fn what_is_not_answered_does_not_move_the_lease() {
    let mut script = connected(CONFIG);
    script.advance(3_000);
    script.request();
    script.frame(&event(-1, "/a")).unwrap();
    script.advance(1_000);
    assert_eq!(script.pings(), [3_000]);
    assert_eq!(script.lease(), 3_000);
}

#[test]
fn a_late_answer_never_moves_the_lease_back() {
    let mut script = connected(CONFIG);
    script.advance(3_000);
    script.request();
    script.advance(1_000);
    script.reply(1);
    script.request();
    script.reply(1);
    assert_eq!(script.lease(), 7_000);
    script.pong();
    assert_eq!(script.lease(), 7_000);
}

#[test]
fn the_margin_of_the_lease_is_two_seconds_or_a_third_or_as_set() {
    let lease = |lease_margin, timeout| {
        let mut script = new(Config {
            lease_margin,
            ..CONFIG
        });
        script.open();
        script.answer(accepted(ID, timeout));
        script.lease()
    };
    assert_eq!(lease(None, 60_000), 58_000);
    assert_eq!(lease(None, 3_000), 2_000);
    assert_eq!(lease(Some(ms(500)), 3_000), 2_500);
    assert_eq!(lease(Some(ms(5_000)), 3_000), 0);
}

#[test]
fn a_lease_that_runs_out_without_a_connection_is_a_lapse() {
    let mut script = connected(CONFIG);
    script.cut();
    let suspended = script.status();
    assert_eq!(suspended.state, State::Suspended);
    script.advance(6_999);
    assert_eq!(script.status(), suspended);
    script.advance(1);
    assert_eq!(script.state(), State::Lapsed);
    assert_eq!(script.status().lapses, 1);
    script.advance(2_000);
    assert_eq!(script.status().lapses, 1);
}

#[test]
fn a_lease_that_runs_out_on_a_connection_is_a_lapse() {
    let mut script = connected(Config {
        lease_margin: Some(ms(5_000)),
        ..CONFIG
    });
    script.advance(4_500);
    assert_eq!(script.status().lapses, 1);
    assert!(script.state().is_connected());
    script.pong();
    assert_eq!(script.lease(), 2_500);
    script.advance(2_500);
    assert_eq!(script.status().lapses, 2);
    script.cut();
    assert_eq!(script.state(), State::Lapsed);
}

#[test]
fn a_session_regained_after_a_lapse_is_the_same_one() {
    let mut script = connected(CONFIG);
    script.cut();
    script.advance(8_000);
    script.actions.clear();
    script.connect();
    let Status { epoch, lapses, .. } = script.status();
    assert_eq!((epoch.get(), lapses), (1, 1));
    assert_eq!(script.lease(), 7_000);
}

#[test]
fn a_late_answer_does_not_make_a_second_lapse_of_one() {
    let mut script = connected(Config {
        lease_margin: Some(ms(8_000)),
        ..CONFIG
    });
    script.advance(3_000);
    assert_eq!(script.status().lapses, 1);
    script.advance(2_000);
    // The ping went out at 3 s: the lease that it gives is over already.
    script.pong();
    script.timeout();
    assert_eq!(script.status().lapses, 1);
    script.cut();
    assert_eq!(script.state(), State::Lapsed);
}

#[test]
fn a_process_that_slept_through_it_all_learns_so_at_the_first_look() {
    let mut script = connected(CONFIG);
    script.jump(10 * T);
    script.timeout();
    let Status {
        epoch,
        lapses,
        lost,
        ..
    } = script.status();
    assert_eq!((epoch.get(), lost), (2, Some(Lost::Presumed)));
    assert!(lapses >= 1);
    assert_eq!(script.session.lease(), None);
    assert_eq!(script.hung_up(), Some(10 * T));
}

#[test]
fn a_process_that_slept_through_its_lease_only_keeps_the_session() {
    let mut script = connected(CONFIG);
    script.jump(8_000);
    script.timeout();
    let Status {
        epoch,
        lapses,
        state,
        ..
    } = script.status();
    assert_eq!((epoch.get(), lapses, state), (1, 1, State::Lapsed));
}
