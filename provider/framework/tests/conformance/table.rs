//! RULES.md is complete and true: it names the rules that the host knows, where each is checked, and the rules of the
//! protocol that cannot be broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tfplugin::testing::conformance::{Consequence, RULES, rule};

/// The rules of the protocol, as our notes on it number them: the letter, and the last number.
const PROTOCOL: [(&str, u8); 8] = [("S", 12), ("W", 8), ("P", 15), ("R", 2), ("A", 12), ("F", 7), ("D", 5), ("G", 5)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the tables with so many columns.
fn rows(columns: usize) -> Vec<Vec<String>> {
    let text = read(root().join("RULES.md"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule ")).map(cells);
    rows.filter(|row| row.len() == columns).collect()
}

fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The code of a file without the tests at its end.
fn code(path: &Path) -> String {
    let text = read(path);
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        match path.extension() {
            _ if path.is_dir() => found.extend(sources(&path)),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}

/// The texts in the code that look like numbers of rules.
fn numbers(code: &str) -> BTreeSet<String> {
    let looks_so = |text: &&str| {
        let (letter, digits) = text.split_at_checked(1).unwrap_or_default();
        letter.chars().all(|c| c.is_ascii_uppercase())
            && (1..=2).contains(&digits.len())
            && digits.chars().all(|c| c.is_ascii_digit())
    };
    code.split('"').skip(1).step_by(2).filter(looks_so).map(str::to_owned).collect()
}

#[test]
fn each_rule_has_its_row() {
    let word = |consequence: Consequence| match consequence {
        Consequence::Error => "error",
        Consequence::Unnoticed => "unnoticed",
    };
    let expected: Vec<_> =
        RULES.iter().map(|rule| [rule.id, rule.words, word(rule.terraform), word(rule.opentofu)]).collect();
    let found = rows(6);
    let found: Vec<_> = found.iter().map(|row| [&*row[0], &*row[1], &*row[2], &*row[3]]).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_check_is_where_the_table_says() {
    for row in rows(6) {
        for place in named(&row[4]) {
            let (file, text) = place.split_once('#').unwrap_or_else(|| panic!("{}: {place} has no #", row[0]));
            assert!(read(root().join("src").join(file)).contains(text), "{}: {text} is not in {file}", row[0]);
        }
        let folder = root().join("src/testing/conformance");
        let number = format!("\"{}\"", row[0]);
        let mut files: Vec<_> = sources(&folder)
            .into_iter()
            .filter(|file| !["rule.rs", "agreement.rs", "spoilt.rs", "vectors.rs"].iter().any(|it| file.ends_with(it)))
            .filter(|file| code(file).contains(&number))
            .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(named(&row[5]).collect::<Vec<_>>(), files, "{}: the files of the host's check", row[0]);
    }
}

#[test]
fn each_rule_of_the_protocol_is_there() {
    let mut said: BTreeMap<String, String> = rows(3).into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    for rule in RULES {
        assert!(!said.contains_key(rule.id), "{} can be broken after all", rule.id);
        said.insert(rule.id.to_owned(), "checked".to_owned());
    }
    for (letter, last) in PROTOCOL {
        for number in 1..=last {
            assert!(said.contains_key(&format!("{letter}{number}")), "nothing is said of {letter}{number}");
        }
    }
}

#[test]
fn each_rule_that_is_named_is_in_the_table() {
    for folder in ["src/checks", "src/server", "src/testing/conformance"] {
        for file in sources(&root().join(folder)) {
            if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
                continue;
            }
            for number in numbers(&code(&file)) {
                assert!(rule(&number).is_some(), "{} names {number}, which is no rule", file.display());
            }
        }
    }
}

#[test]
fn each_rule_has_a_switch_and_each_switch_a_rule() {
    let main = numbers(&read(root().join("examples/wrong_provider/main.rs")));
    let switches = numbers(&read(root().join("examples/wrong_provider/switches.rs")));
    let all: BTreeSet<_> = main.union(&switches).map(String::as_str).collect();
    assert_eq!(all, RULES.iter().map(|rule| rule.id).collect());
}
