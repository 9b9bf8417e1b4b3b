//! See `properties::known_ids`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| source_cart_fuzz::properties::known_ids(input));
