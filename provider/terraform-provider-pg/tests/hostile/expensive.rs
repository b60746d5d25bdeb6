//! Inputs that are made to be expensive: nested, repeated, claiming to be long.
//!
//! What a way in allocates stays below a multiple of its input's length. Time is not measured: each input is long enough
//! that a cost that grows faster than it does would be minutes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{HEAP, alone, seeds, surfaces};

/// How long the inputs are.
const LENGTH: usize = 60_000;

/// What even the shortest input may cost: tables that are built once, buffers of files.
const BASE: usize = 512 << 10;

/// How many bytes each byte of input may cost at most.
///
/// Values and parsed JSON are trees: a byte such as MessagePack's null or the `1` of `[1,1]` becomes a node of some fifty
/// to a hundred bytes, in a list that has doubled to hold it.
fn most(surface: &str) -> usize {
    match surface {
        // Nodes of two trees, the parsed JSON and the value; a lexeme for each character, in the text and masked.
        "json_state" | "sql_text" => 240,
        // Counted from the compressed bytes, of which one may stand for a thousand. A line has an end all the same.
        "gzip_rows" => 1_000,
        "msgpack" => 160,
        "attribute_path" | "cell" | "expression" | "json_rows" | "private_state" | "record_schema" | "record_value"
        | "type_json" | "type_name" => 110,
        _ => 32,
    }
}

/// What formats repeat, nest or make much of. Each is repeated to the length wanted, after the first line of each seed
/// and after nothing.
const PATTERNS: [&[u8]; 62] = [
    b"\0",
    b"\n",
    b" ",
    b"a",
    b"9",
    b"0",
    b"\xff",
    b"\x80",
    b"\xc0",
    b"\xc3",
    b"\x80\xc0",
    b"\x91",
    b"\x90",
    b"\xa0",
    b"\x81\xa1a",
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\0\x01\0\0",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x0c",
    b"\xd4\0\0",
    b"\x92\xc4\x09\"dynamic\"",
    b"\x92\xc4\x06\"bool\"\xc3",
    b"[",
    b"[]",
    b"[[],",
    b"{",
    b"{\"a\":",
    b"{},",
    b"1,",
    b"[\"list\",",
    b"[\"object\",{\"a\":",
    b"1e999999999,",
    b"1e128,",
    b"\"a\",",
    b"(",
    b"()",
    b")",
    b"'",
    b"'a' ",
    b"E'a'\n",
    b"\"",
    b"\"a\".",
    b"$",
    b"$$",
    b"$a$ ",
    b"$$$$ ",
    b"do $$a$$ ",
    b"$x",
    b"/*",
    b"/**/",
    b"--a\n",
    b";",
    b"begin atomic ",
    b"case when ",
    b",",
    b",\"a\"",
    b"a=b ",
    b"%41",
    b"host=a,",
    "\u{301}".as_bytes(),
    b"\x30\x80",
];

/// A pattern that is repeated.
fn repeated(pattern: &[u8]) -> Vec<u8> {
    pattern.repeat(LENGTH / pattern.len())
}

/// Inputs that are no repetition.
fn special() -> Vec<Vec<u8>> {
    let counted = |each: &dyn Fn(usize) -> String| (0..LENGTH / 10).map(each).collect::<String>().into_bytes();
    let array = |length: u32, items: &[u8]| [&[0xdd], &length.to_be_bytes()[..], items].concat();
    let typed = |ty: &str, bytes: &[u8]| [ty.as_bytes(), b"\n", bytes].concat();
    let many = u32::try_from(LENGTH).unwrap();
    let nested = |open: &str, close: &str| [open.repeat(LENGTH / 20), close.repeat(LENGTH / 20)].concat();
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let refers = r##"{"properties":{"a":{"$ref":"#"}},"anyOf":[{"$ref":"#"},{"allOf":[{"$ref":"#"},{"$ref":"#"}]},{"$ref":"#"}]}"##;
    vec![
        // Literals inside literals, each with a tag of its own.
        counted(&|n| format!("$a{n}$ ")),
        counted(&|n| format!("'{n}' ")),
        counted(&|n| format!("password '{n}' ")),
        counted(&|n| format!("\"{n}\",")),
        counted(&|n| format!("c{n},")),
        counted(&|n| format!("\"k{n}\":{{}},")),
        [b"{".to_vec(), counted(&|n| format!("\"k{n}\":1,")), b"\"k\":1}".to_vec()].concat(),
        [b"{\"properties\":{".to_vec(), counted(&|n| format!("\"k{n}\":1,")), b"\"k\":1}}".to_vec()].concat(),
        counted(&|n| format!("[s{n}]\nhost=a\n")),
        counted(&|n| format!("h{n}:*:*:*:p\n")),
        [b"[app]\n".to_vec(), counted(&|n| format!("host=h{n}\n"))].concat(),
        [b"select /**/ ".to_vec(), b"/**/".repeat(LENGTH / 8), b"begin atomic ".repeat(LENGTH / 26)].concat(),
        nested("[", "]").into_bytes(),
        nested("{\"a\":", "}").into_bytes(),
        nested("[\"list\",", "]").replacen(']', "\"bool\"]", 1).into_bytes(),
        typed(r#"["list","bool"]"#, &array(many, &b"\xc0".repeat(LENGTH))),
        typed(r#"["list","bool"]"#, &array(u32::MAX, &b"\xc0".repeat(LENGTH))),
        typed(r#"["set","number"]"#, &array(many / 8, &b"\xa71e20000".repeat(LENGTH / 8))),
        typed(r#"["set","number"]"#, &array(many / 4, &b"\xd4\0\0".repeat(LENGTH / 4))),
        typed(r#"["list",["list",["list","bool"]]]"#, &array(many, &b"\xdd\0\x01\0\0".repeat(LENGTH / 5))),
        typed(r#""number""#, &[&[0xdb], &many.to_be_bytes()[..], &b"9".repeat(LENGTH)].concat()),
        typed(
            r#""string""#,
            &[&[0xdb], &(many / 4 * 4).to_be_bytes()[..], "\u{301}\u{327}".repeat(LENGTH / 4).as_bytes()].concat(),
        ),
        typed(r#""dynamic""#, &array(2, &[&[0xc6], &many.to_be_bytes()[..], &b"[".repeat(LENGTH), b"\xc0"].concat())),
        typed(r#"["list","number"]"#, format!("[{}1]", "1,".repeat(LENGTH / 2)).as_bytes()),
        typed(r#"["list","bool"]"#, format!("[{}null]", "null,".repeat(LENGTH / 5)).as_bytes()),
        typed("numeric[]", format!("[{}1]", "1,".repeat(LENGTH / 2)).as_bytes()),
        typed("vector", format!("[{}1]", "1,".repeat(LENGTH / 2)).as_bytes()),
        typed("numeric", b"1e999999999"),
        typed("bigint", format!("1{}", "0".repeat(LENGTH)).as_bytes()),
        typed(refers, b"{\"a\":1}"),
        typed(refers, format!("{}1{}", "[".repeat(100), "]".repeat(100)).as_bytes()),
        refers.into(),
        gzip(&b"{\"a\":1}\n".repeat(LENGTH)),
        gzip(&[0; 32 << 20]),
    ]
}

/// How much more is allocated at the highest point of a call than before it.
fn peak(surface: fn(&[u8]), input: &[u8]) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    surface(input);
    HEAP.peak_usage().saturating_sub(before)
}

#[test]
fn what_an_input_costs_is_in_proportion_to_its_length() {
    let _alone = alone();
    let special = special();
    let mut faults = Vec::new();
    for (name, surface) in surfaces() {
        let lines = seeds(name).into_iter().filter_map(|seed| {
            let end = seed.iter().position(|byte| *byte == b'\n')?;
            (end < 400).then(|| seed[..=end].to_vec())
        });
        let mut beginnings: Vec<Vec<u8>> = lines.collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        beginnings.truncate(4);
        beginnings.push(Vec::new());
        let patterns = beginnings.iter().flat_map(|beginning| {
            PATTERNS.iter().map(move |pattern| [beginning.as_slice(), &repeated(pattern)].concat())
        });
        for input in special.iter().cloned().chain(patterns) {
            let spent = peak(surface, &input);
            if spent > BASE + most(name) * input.len() {
                let shown = input[..input.len().min(80)].escape_ascii();
                faults.push(format!("{name} allocates {spent} bytes for {}: {shown}", input.len()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
