//! See `docent_fuzz::server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| docent_fuzz::server(bytes));
