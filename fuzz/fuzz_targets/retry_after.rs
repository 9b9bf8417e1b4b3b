//! See `properties::retry_after`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| source_cart_fuzz::properties::retry_after(input));
