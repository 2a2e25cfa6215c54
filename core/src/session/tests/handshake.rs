//! The first messages of a connection.

use super::*;

/// Frame kz-001 as captured, with its length.
const GOLDEN_CONNECT: &str = "0000002d000000000000000000000000000017700000000000000000000000100000000000000000000000000000000000";
/// Its answer, kz-002, without the length: session 0x100001f82ef0000, 6 s.
const GOLDEN_ANSWER: &str =
    "00000000000017700100001f82ef0000000000106335bd51b4de5fa97956d84d1dd0fbbd00";

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn digest() -> Scripted {
    let mut script = new(CONFIG);
    script.session.add_auth();
    script.session.add_auth();
    script
}

#[test]
fn a_new_session_is_asked_for_with_the_golden_frame() {
    let mut script = new(Config {
        session_timeout: ms(6_000),
        ..CONFIG
    });
    assert_eq!(script.open(), unhex(GOLDEN_CONNECT));
    script.frame(&unhex(GOLDEN_ANSWER)).unwrap();
    assert_eq!(script.session.id(), 0x100001f82ef0000);
    assert_eq!(script.session.timeout(), ms(6_000));
}

#[test]
fn it_dials_at_once() {
    let mut script = new(CONFIG);
    assert_eq!(script.session.poll_timeout(), Some(START));
    assert_eq!(script.session.poll_action(), None);
    script.timeout();
    assert!(matches!(script.actions[..], [(0, Action::Dial(_))]));
}

#[test]
fn nothing_follows_the_handshake_before_it_is_answered() {
    let mut script = digest();
    script.open();
    assert_eq!(script.sent, [(0, Control::Connect)]);
    assert!(!script.session.may_send());
    script.answer(accepted(ID, T as i32));
    assert!(script.session.may_send());
}

#[test]
fn the_answer_of_a_server_without_read_only_mode_lacks_a_byte() {
    let mut script = new(CONFIG);
    script.open();
    script.answer(Connected {
        read_only: None,
        ..accepted(ID, T as i32)
    });
    assert_eq!(script.state(), State::Connected { read_only: false });
}

#[test]
fn all_times_follow_from_the_negotiated_timeout_smaller_or_larger() {
    for timeout in [900, 60_000] {
        let mut script = new(CONFIG);
        script.open();
        script.answer(accepted(ID, timeout));
        let timeout = timeout as u64;
        assert_eq!(script.session.timeout(), ms(timeout));
        script.advance(timeout);
        assert_eq!(script.pings(), [timeout / 3]);
        assert_eq!(script.hung_up(), Some(timeout * 2 / 3));
    }
}

#[test]
fn every_reconnection_asks_for_the_wanted_timeout_and_takes_what_it_gets() {
    let mut script = connected(Config {
        session_timeout: ms(20_000),
        ..CONFIG
    });
    script.cut();
    assert_eq!(script.open_fields().2, 20_000);
    script.answer(accepted(ID, 30_000));
    assert_eq!(script.session.timeout(), ms(30_000));
    assert_eq!(script.lease(), 28_000);
}

#[test]
fn the_highest_timeout_on_the_wire_overflows_nothing() {
    let mut script = new(CONFIG);
    script.open();
    script.answer(accepted(ID, i32::MAX));
    assert_eq!(script.lease(), i32::MAX as u64 - 2_000);
    script.cut();
    script.advance(1_000);
}

#[test]
fn an_attempt_gets_a_third_of_the_timeout_if_that_is_less_than_configured() {
    for (connection_timeout, limit) in [(ms(5_000), 3_000), (ms(1_000), 1_000)] {
        let mut script = new(Config {
            connection_timeout,
            ..CONFIG
        });
        script.dial();
        script.advance(limit - 1);
        assert_eq!(script.hung_up(), None);
        script.advance(1);
        assert_eq!(script.hung_up(), Some(limit));
    }
}

#[test]
fn an_attempt_gets_a_tenth_of_a_second_however_short_the_timeout() {
    let mut script = new(CONFIG);
    script.open();
    script.answer(accepted(ID, 30));
    script.cut();
    let begun = {
        script.dial();
        script.at()
    };
    // The session is presumed lost after 40 ms, and another one is asked for.
    script.actions.clear();
    script.dial();
    script.actions.clear();
    let again = script.at();
    assert!(again < begun + 100);
    script.advance(99);
    assert_eq!(script.hung_up(), None);
}

#[test]
fn the_time_for_an_attempt_runs_on_through_the_handshake() {
    let mut script = new(CONFIG);
    script.dial();
    script.advance(2_900);
    script.session.handle_opened(script.now);
    script.flush();
    assert_eq!(script.sent, [(2_900, Control::Connect)]);
    script.advance(100);
    assert_eq!(script.hung_up(), Some(3_000));
}

#[test]
fn credentials_precede_watches_on_every_connection() {
    let mut script = digest();
    script.connect();
    let auths = [(0, Control::Auth(0)), (0, Control::Auth(1))];
    assert_eq!(script.sent[1..], auths);
    script.cut();
    script.sent.clear();
    script.connect();
    let sent: Vec<_> = script.sent.iter().map(|(_, sent)| *sent).collect();
    let restore = Control::Restore { from: 0, zxid: 0 };
    let auths = [Control::Auth(0), Control::Auth(1)];
    assert_eq!(sent, [Control::Connect, auths[0], auths[1], restore]);
}

#[test]
fn requests_wait_for_credentials_and_watches_to_be_sent() {
    let mut script = digest();
    script.connect();
    script.cut();
    script.open();
    let answer = payload(|out| accepted(ID, T as i32).encode(out));
    script.frame(&answer).unwrap();
    for _ in 0..3 {
        assert!(!script.session.may_send());
        let control = script.session.next_control(true).unwrap();
        match control {
            Control::Restore { .. } => script.session.restore_sent(script.now, None, false),
            _ => script.session.control_sent(script.now, control),
        }
    }
    assert!(script.session.may_send());
    assert_eq!(script.session.next_control(true), None);
}

#[test]
fn a_credential_added_later_goes_out_ahead_of_further_requests() {
    let mut script = connected(CONFIG);
    script.session.add_auth();
    assert!(!script.session.may_send());
    script.flush();
    assert!(script.session.may_send());
    assert_eq!(script.sent.last(), Some(&(0, Control::Auth(0))));
}

#[test]
fn a_credential_counts_once_it_is_accepted_on_this_connection() {
    let mut script = digest();
    script.connect();
    assert!(!script.session.auth_accepted(0));
    script.frame(&header(xid::AUTH, 0, 0)).unwrap();
    assert!(script.session.auth_accepted(0));
    assert!(!script.session.auth_accepted(1));
    script.cut();
    assert!(!script.session.auth_accepted(0));
}

#[test]
fn a_refused_credential_ends_the_client() {
    let mut script = digest();
    script.connect();
    script.frame(&header(xid::AUTH, 0, 0)).unwrap();
    script.frame(&header(xid::AUTH, 0, -115)).unwrap();
    script.flush();
    assert_eq!(script.state(), State::AuthFailed);
    assert_eq!(script.hung_up(), Some(0));
    assert_eq!(script.session.poll_timeout(), None);
}

#[test]
fn a_server_that_demands_authentication_ends_the_client() {
    let mut script = new(CONFIG);
    script.open();
    script.frame(&header(0, 0, -124)).unwrap();
    assert_eq!(script.state(), State::AuthFailed);

    let mut script = connected(CONFIG);
    script
        .session
        .handle_refusal(script.now, Code::SessionClosedRequireSaslAuth);
    assert_eq!(script.state(), State::AuthFailed);
}

#[test]
fn an_answer_to_a_credential_that_was_not_sent_breaks_the_protocol() {
    let mut script = digest();
    script.connect();
    for _ in 0..2 {
        script.frame(&header(xid::AUTH, 0, 0)).unwrap();
    }
    let stray = script.frame(&header(xid::AUTH, 0, 0));
    assert_eq!(stray, Err(ProtocolError::UnexpectedXid(xid::AUTH)));
    assert_eq!(script.state(), State::Suspended);
}

#[test]
fn a_resumed_session_is_asked_for_with_its_credentials() {
    let mut script = new(CONFIG);
    let credentials = Credentials {
        id: ID,
        password: PASSWORD,
        zxid: 70,
    };
    script.session.resume(credentials);
    assert_eq!(script.open_fields(), (ID, 70, T as i32, false));
    script.answer(accepted(ID, T as i32));
    assert_eq!(script.status().epoch.get(), 1);
    assert_eq!(script.session.credentials(), Some(credentials));
}

#[test]
fn a_resumed_session_that_is_gone_is_followed_by_a_new_one() {
    let mut script = new(CONFIG);
    script.session.resume(Credentials {
        id: ID,
        password: PASSWORD,
        zxid: 70,
    });
    script.open();
    script.frame(&gone()).unwrap();
    assert_eq!(script.status().epoch.get(), 2);
    assert_eq!(script.status().lost, Some(Lost::Expired));
    assert_eq!(script.open_fields(), (0, 0, T as i32, false));
}

#[test]
fn a_new_session_that_is_refused_is_asked_for_again() {
    let mut script = new(CONFIG);
    script.open();
    assert_eq!(script.frame(&gone()), Err(ProtocolError::NoSession));
    assert_eq!(script.status(), Status::NEW);
    assert_eq!(script.open_fields().0, 0);
}

#[test]
fn secrets_are_not_printed() {
    let script = connected(CONFIG);
    let credentials = script.session.credentials().unwrap();
    for printed in [
        std::format!("{:?}", script.session),
        std::format!("{credentials:?}"),
    ] {
        assert!(!printed.contains("48, 49") && !printed.contains("0123"));
    }
}

mod read_only {
    use super::*;

    fn read_only(id: i64) -> Connected {
        Connected {
            read_only: Some(true),
            ..accepted(id, T as i32)
        }
    }

    fn config() -> Config {
        Config {
            read_only: true,
            ..CONFIG
        }
    }

    /// A script at a read-only server that answers every ping, for `millis`.
    fn live(script: &mut Scripted, millis: u64) -> Vec<u64> {
        script.actions.clear();
        for _ in 0..millis / 50 {
            script.advance(50);
            if script.session.poll_timeout().is_some() {
                script.pong();
            }
            let probe = script.actions.iter().rev().find_map(|(at, action)| {
                let Action::Probe(host) = action else {
                    return None;
                };
                (*at + 50 > script.at()).then_some(*host)
            });
            if let Some(host) = probe {
                script.session.handle_probed(script.now, host, false);
            }
        }
        script.actions.iter().map(|(at, _)| *at).collect()
    }

    #[test]
    fn is_asked_for_and_shown() {
        let mut script = new(config());
        assert!(script.open_fields().3);
        script.answer(read_only(ID));
        assert_eq!(script.state(), State::Connected { read_only: true });
    }

    #[test]
    fn looks_for_a_better_server_ever_more_slowly() {
        let mut script = new(config());
        script.open();
        script.answer(read_only(ID));
        let probes = live(&mut script, 240_000);
        assert_eq!(probes[0], 100);
        let gaps: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[..9].is_sorted(), "{gaps:?}");
        let last = gaps[gaps.len() - 1];
        assert!((60_000..=60_050).contains(&last), "{gaps:?}");
    }

    #[test]
    fn moves_to_the_server_that_serves_writes() {
        let mut script = new(config());
        script.open();
        script.answer(read_only(ID));
        script.advance(100);
        let Some((_, Action::Probe(host))) = script.actions.pop() else {
            panic!("{:?}", script.actions)
        };
        script.session.handle_probed(script.now, host, true);
        script.flush();
        assert_eq!(script.hung_up(), Some(100));
        assert_eq!(script.dial(), host.get());
    }

    #[test]
    fn leaves_an_invented_session_behind() {
        let mut script = new(config());
        script.open();
        script.answer(read_only(ID));
        assert_eq!(script.session.credentials(), None);
        script.cut();
        assert_eq!(script.open_fields().0, 0);
        script.answer(accepted(ID + 1, T as i32));
        assert_eq!(script.status().lost, Some(Lost::Replaced));
        assert_eq!(script.status().epoch.get(), 2);
    }

    #[test]
    fn keeps_a_session_that_was_made_by_a_quorum() {
        let mut script = connected(config());
        script.cut();
        script.open();
        script.answer(read_only(ID));
        script.cut();
        assert_eq!(script.open_fields().0, ID);
        assert_eq!(script.status().epoch.get(), 1);
    }

    #[test]
    fn late_answers_to_probes_change_nothing() {
        let mut script = new(config());
        script.open();
        script.answer(read_only(ID));
        script.advance(100);
        let Some((_, Action::Probe(host))) = script.actions.pop() else {
            panic!("{:?}", script.actions)
        };
        script.cut();
        script.connect();
        script.session.handle_probed(script.now, host, true);
        assert_eq!(script.state(), State::Connected { read_only: false });
    }
}
