//! What the fuzzers check, without a fuzzer: of their seeds, and of what proptest makes up.

mod bytes;
#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;
mod session;

use std::panic::catch_unwind;

#[test]
fn every_target_survives_its_seeds() {
    for (name, target) in fuzz::TARGETS {
        let mut played = 0;
        for seed in seeds(name) {
            let survived = catch_unwind(|| target(&unhex(&seed)));
            assert!(survived.is_ok(), "{name} does not survive {seed}");
            played += 1;
        }
        assert!(played > 0, "{name} has no seeds");
    }
}

/// One seed a line, in hexadecimal digits; `#` begins a remark.
fn seeds(target: &str) -> Vec<String> {
    let file = format!("{}/fuzz/seeds/{target}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}
