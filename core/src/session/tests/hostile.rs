//! Bytes that no server should send, and things that happen in any order.

use super::*;
use crate::rng::Rng;

type Phase = fn() -> Scripted;

/// A script in each phase that hears frames.
const PHASES: [Phase; 4] = [
    || {
        let mut script = new(CONFIG);
        script.dial();
        script
    },
    || {
        let mut script = new(CONFIG);
        script.open();
        script
    },
    || connected(CONFIG),
    || {
        let mut script = connected(CONFIG);
        script.session.add_auth();
        script.request();
        script.advance(3_000);
        script.session.close(script.now);
        script.flush();
        script
    },
];

fn good_frames() -> Vec<Vec<u8>> {
    let replies = [
        1,
        0,
        -3,
        i32::MIN,
        xid::PING,
        xid::AUTH,
        xid::SET_WATCHES,
        CLOSE_XID,
    ];
    let mut frames: Vec<_> = replies.map(|xid| header(xid, 9, 0)).into();
    frames.push(event(-1, "/a/b"));
    frames.push(payload(|out| accepted(ID, T as i32).encode(out)));
    frames.push(gone());
    frames
}

/// The session keeps going, whatever came in.
fn check(script: &mut Scripted) {
    script.flush();
    let over = script.state().end().is_some();
    assert_eq!(script.session.poll_timeout().is_none(), over);
    script.advance(100);
}

#[test]
fn every_frame_cut_short_is_survived_in_every_phase() {
    for phase in PHASES {
        for frame in good_frames() {
            for len in 0..=frame.len() {
                let mut script = phase();
                let _ = script.frame(&frame[..len]);
                check(&mut script);
            }
        }
    }
}

#[test]
fn every_frame_with_a_wrong_byte_is_survived_in_every_phase() {
    for phase in PHASES {
        for frame in good_frames() {
            for at in 0..frame.len() {
                for wrong in [0x00, 0x7f, 0x80, 0xff] {
                    let mut script = phase();
                    let mut frame = frame.clone();
                    frame[at] = wrong;
                    let _ = script.frame(&frame);
                    check(&mut script);
                }
            }
        }
    }
}

#[test]
fn bytes_before_the_handshake_are_refused() {
    for (phase, _) in PHASES.iter().zip([(); 1]) {
        let mut script = phase();
        let early = script.frame(&header(1, 1, 0));
        assert_eq!(early, Err(ProtocolError::Early));
        script.flush();
        assert_eq!(script.hung_up(), Some(0));
    }
    let mut script = new(CONFIG);
    script.dial();
    script.session.handle_opened(script.now);
    let early = script.frame(&payload(|out| accepted(ID, T as i32).encode(out)));
    assert_eq!(early, Err(ProtocolError::Early));
    assert_eq!(script.session.id(), 0);
}

#[test]
fn a_handshake_answered_by_an_error_is_tried_elsewhere() {
    let mut script = new(CONFIG);
    script.open();
    let refused = script.frame(&header(0, 0, -5));
    let code = Code::MarshallingError;
    assert_eq!(refused, Err(ProtocolError::HandshakeRefused(code)));
    assert_eq!(script.dial(), 1);
}

#[test]
fn an_event_too_large_to_keep_breaks_the_connection() {
    let mut script = connected(CONFIG);
    let xid = xid::NOTIFICATION;
    let header = ReplyHeader {
        xid,
        zxid: 9,
        err: 0,
    };
    let large = script.session.handle_header(script.now, header);
    assert_eq!(large.unwrap_err(), ProtocolError::LargeEvent);
}

#[test]
fn an_event_that_is_no_record_breaks_the_connection() {
    let mut script = connected(CONFIG);
    let mut bad = event(-1, "/a");
    let last = bad.len() - 1;
    bad[last] = 0xff;
    assert!(matches!(
        script.frame(&bad),
        Err(ProtocolError::Malformed(_))
    ));
    assert_eq!(script.state(), State::Suspended);
}

#[test]
fn a_reply_that_is_not_due_proves_nothing() {
    let mut script = connected(CONFIG);
    script.advance(1_000);
    script.request();
    // The hub drops a reply whose number is wrong without another word to the session.
    let wrong = header(99, i64::MAX, 0);
    let seen = script.session.handle_frame(script.now, &wrong);
    assert!(matches!(seen, Ok(Inbound::Reply(_))));
    script.session.handle_broken(script.now);
    assert_eq!(script.lease(), 6_000);
    assert_eq!(script.open_fields().1, 0);
}

/// Does something at random.
fn step(script: &mut Scripted, rng: &mut Rng) {
    let now = script.now;
    match rng.up_to(19) {
        0..=4 => {
            script.session.handle_timeout(now);
        }
        5 => script.session.handle_opened(now),
        6 | 7 => {
            script.session.handle_opened(now);
            script.flush();
            let id = ID + rng.up_to(8).saturating_sub(7) as i64;
            let timeout = [1, 50, 9_000, 40_000, i32::MAX][rng.up_to(4) as usize];
            let read_only = Some(rng.up_to(4) == 0);
            let reply = Connected {
                read_only,
                ..accepted(id, timeout)
            };
            let _ = script.frame(&payload(|out| reply.encode(out)));
        }
        8 => drop(script.frame(&gone())),
        9 => script.cut(),
        10 | 11 => drop(script.frame(&header(xid::PING, 0, 0))),
        12 | 13 if script.session.may_send() => script.request(),
        14 => drop(script.frame(&header(1, rng.up_to(9) as i64, 0))),
        15 => drop(script.frame(&header(xid::SET_WATCHES, 0, 0))),
        16 => script.session.handle_broken(now),
        17 if rng.up_to(200) == 0 => script.session.close(now),
        18 => {
            let host = script.session.hosts.peek();
            let writable = rng.up_to(1) == 0;
            script.session.handle_probed(now, host, writable);
        }
        19 if script.session.is_up() => {
            let code = [Code::SessionExpired, Code::SessionMoved][rng.up_to(1) as usize];
            script.session.handle_refusal(now, code);
        }
        _ => {}
    }
}

#[test]
fn whatever_happens_the_session_goes_on_and_never_spins() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut script = new(Config {
            read_only: seed % 2 == 0,
            operation_timeout: (seed % 3 == 0).then_some(ms(2_000)),
            lease_margin: (seed % 5 == 0).then_some(ms(8_500)),
            backoff: Backoff::DEFAULT,
            ..CONFIG
        });
        let mut epoch = script.status().epoch;
        for _ in 0..300 {
            step(&mut script, &mut rng);
            check(&mut script);
            let wait = [0, 1, 100, 3_000, 30_000][rng.up_to(4) as usize];
            script.advance(rng.up_to(wait));
            assert!(script.status().epoch >= epoch);
            epoch = script.status().epoch;
            let live = script.session.id() != 0 && script.state().is_connected();
            let given_up = matches!(script.session.closing, Closing::Sent { .. });
            assert_eq!(live && !given_up, live && script.session.lease().is_some());
        }
    }
}
