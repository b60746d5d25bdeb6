#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tfplugin::testing::surfaces::duration(data));
