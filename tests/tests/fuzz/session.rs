//! Events in the life of a client, against the rules that every session keeps.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fuzz::{Damage, Event, play};

/// Everything that is to be written, or read.
const ALL: u8 = u8::MAX;

fn span() -> impl Strategy<Value = Duration> {
    // The wanted timeout is six seconds.
    let unit = prop_oneof![Just(1), Just(100), Just(1_000), Just(6_000)];
    (unit, 0..=10_u64).prop_map(|(unit, count)| Duration::from_millis(unit * count))
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Lost),
        Just(Damage::Twice),
        Just(Damage::Late),
        Just(Damage::Short),
        Just(Damage::Torn),
        (1..=u8::MAX).prop_map(Damage::Flipped),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<(u8, u8)>().prop_map(|(op, path)| Event::Submit(op, path)),
        2 => any::<(u8, u8)>().prop_map(|(op, path)| Event::Watch(op, path)),
        2 => any::<u8>().prop_map(Event::Cancel),
        1 => any::<u8>().prop_map(Event::Drop),
        1 => any::<u8>().prop_map(Event::Write),
        1 => any::<u8>().prop_map(Event::Read),
        2 => (0..9_u8, damage(), any::<u8>()).prop_map(|(which, damage, at)| Event::Spoil(which, damage, at)),
        2 => span().prop_map(Event::Wait),
        1 => span().prop_map(Event::Sleep),
        1 => Just(Event::Look),
        1 => Just(Event::Open),
        1 => Just(Event::Cut),
        1 => any::<bool>().prop_map(Event::Probed),
        1 => Just(Event::Expire),
    ]
}

/// What a good network makes of a wish to connect, of a request, and of a ping.
fn exchange() -> impl Strategy<Value = Vec<Event>> {
    let (write, read) = (Event::Write(ALL), Event::Read(ALL));
    prop_oneof![
        Just(vec![write, read]),
        Just(vec![write]),
        Just(vec![Event::Wait(Duration::from_secs(2)), write]),
        Just(vec![Event::Look, Event::Open, write, read]),
        Just(vec![
            Event::Wait(Duration::from_secs(1)),
            Event::Open,
            write,
            read
        ]),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let few = prop_oneof![3 => event().prop_map(|event| vec![event]), 2 => exchange()];
    let end = prop_oneof![3 => Just(vec![]), 1 => Just(vec![Event::Close])];
    (vec(few, 1..60), end, vec(event(), 0..9))
        .prop_map(|(begin, end, rest)| [begin.concat(), end, rest].concat())
}

proptest! {
    #[test]
    fn every_session_keeps_the_rules(settings in 0..16_u8, events in events()) {
        play(settings, &events);
    }
}

/// The simulated network once failed where what was torn became short, too.
#[test]
fn a_frame_may_be_damaged_twice() {
    let wait = Event::Wait(Duration::from_secs(2));
    let events = [
        Event::Cancel(0),
        wait,
        Event::Write(255),
        Event::Look,
        Event::Submit(0, 1),
        wait,
        Event::Write(255),
        Event::Open,
        Event::Write(255),
        Event::Read(255),
        Event::Write(255),
        Event::Spoil(0, Damage::Torn, 220),
        Event::Spoil(0, Damage::Short, 0),
    ];
    play(0, &events);
}
