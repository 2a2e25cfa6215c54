//! The numbers of requests and of transactions.

use super::*;
use crate::rng::Rng;

#[test]
fn requests_are_numbered_round_and_round_clear_of_all_other_numbers() {
    let mut session = new(CONFIG).session;
    assert_eq!([1, 2, 3], [(); 3].map(|()| session.next_xid()));
    session.last_xid = CLOSE_XID - 3;
    let around = [CLOSE_XID - 2, CLOSE_XID - 1, 1, 2];
    assert_eq!(around, [(); 4].map(|()| session.next_xid()));
}

#[test]
fn numbers_go_on_over_connections_and_sessions() {
    let mut script = connected(CONFIG);
    assert_eq!(script.session.next_xid(), 1);
    script.cut();
    script.connect();
    assert_eq!(script.session.next_xid(), 2);
    script.cut();
    script.open();
    script.frame(&gone()).unwrap();
    script.connect();
    assert_eq!(script.session.next_xid(), 3);
}

#[test]
fn the_last_transaction_seen_never_goes_back() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut script = connected(CONFIG);
        let mut highest = 0;
        for _ in 0..40 {
            let zxid = match rng.up_to(5) {
                0 => -1,
                1 => 0,
                2 => i64::MIN,
                _ => rng.up_to(1 << 40) as i64,
            };
            script.request();
            script.reply(zxid);
            highest = highest.max(zxid);
            assert_eq!(script.session.credentials().unwrap().zxid, highest);
        }
        script.cut();
        assert_eq!(script.open_fields().1, highest);
    }
}
