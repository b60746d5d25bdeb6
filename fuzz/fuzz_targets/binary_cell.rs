#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pg_connector::surfaces::binary_cell(data));
