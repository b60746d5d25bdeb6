#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pg_connector::surfaces::sql_text(data));
