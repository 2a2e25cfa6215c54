//! See `docent_fuzz::connect_string`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| docent_fuzz::connect_string(bytes));
