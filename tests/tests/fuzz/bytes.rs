//! Bytes and texts that are likely to be nearly right.

use std::sync::OnceLock;

use docent_core::wire::Stat;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fuzz;

/// Payloads of recorded frames, to be damaged.
fn golden() -> &'static [Vec<u8>] {
    static FRAMES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let lines = include_str!("../../golden/frames.jsonl").lines();
        let hex = lines.map(|line| line.rsplit_once("\"hex\": \"").unwrap().1);
        hex.map(|hex| hex.split_once('"').unwrap().0)
            .map(|hex| crate::unhex(hex).split_off(4))
            .collect()
    })
}

/// Bytes in which small numbers, and so plausible lengths and types, are common.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => (-2_i32..24).prop_map(|word| word.to_be_bytes().to_vec()),
        1 => Just(i32::MAX.to_be_bytes().to_vec()),
        2 => vec(any::<u8>(), 1..10),
        2 => Just(b"\0\0\0\x02/a".to_vec()),
        2 => Just(vec![0; Stat::SIZE]),
        // Between the results of a multi.
        2 => (-1_i32..23, any::<bool>()).prop_map(|(kind, done)| {
            [&kind.to_be_bytes()[..], &[u8::from(done)], &[0; 4]].concat()
        }),
    ];
    vec(word, 0..12).prop_map(|words| words.concat())
}

fn path() -> impl Strategy<Value = String> {
    vec("[a-zé日.-]{0,3}", 0..4).prop_map(|names| format!("/{}", names.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_record(bytes in vec(any::<u8>(), 0..200)) {
        fuzz::record(&bytes);
    }

    #[test]
    fn any_plausible_record(op: u8, bytes in plausible()) {
        fuzz::record(&[&[op], &*bytes].concat());
    }

    #[test]
    fn any_damaged_frame(
        frame in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
        header in prop_oneof![Just(7_usize), Just(15)],
    ) {
        let mut bytes = frame.get(golden()).clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        // The last byte of the header becomes the operation.
        let record = bytes.get(header..).unwrap_or(&bytes);
        fuzz::record(record);
        fuzz::record(&record[..cut.index(record.len() + 1)]);
    }

    #[test]
    fn any_stream(max: u8, piece: u8, frames in vec(any::<Index>(), 0..8), end in vec(any::<u8>(), 0..40)) {
        let mut bytes = vec![max, piece];
        for frame in frames {
            let payload = frame.get(golden());
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(payload);
        }
        bytes.extend(end);
        fuzz::frame(&bytes);
    }

    #[test]
    fn any_names(lines in vec(prop_oneof![path(), "[-0-9é]{0,14}", any::<String>()], 0..5)) {
        fuzz::names(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_connect_string(text in any::<String>(), likely in "[a1:,/. \\[\\]é]{0,12}") {
        fuzz::connect_string(text.as_bytes());
        fuzz::connect_string(likely.as_bytes());
    }
}
