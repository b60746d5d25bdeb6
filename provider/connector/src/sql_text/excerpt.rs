//! A few lines of a statement with a caret under the place that an error is about.

use std::fmt::Write as _;

use super::mask::mask;

/// The longest line shown; of a longer one, the part around the caret.
const WIDTH: usize = 100;

/// How many lines are shown above and below the one with the caret.
const AROUND: usize = 2;

/// The statement around a byte offset, with its literals masked and a caret below the place.
pub(crate) fn excerpt(statement: &str, at: usize) -> String {
    let (masked, at) = mask(statement, at);
    let before = &masked[..at];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let mut shown = String::new();
    for (number, text) in masked.lines().enumerate() {
        if number + AROUND < line || number > line + AROUND {
            continue;
        }
        let from = if number == line { column.saturating_sub(WIDTH / 2) } else { 0 };
        let _ = writeln!(shown, "  {}", window(text.trim_end(), from));
        if number == line {
            let indent = column - from + if from > 0 { 2 } else { 0 };
            let _ = writeln!(shown, "  {}^", " ".repeat(indent));
        }
    }
    shown.trim_end().to_owned()
}

fn window(line: &str, from: usize) -> String {
    let mut shown: String = line.chars().skip(from).take(WIDTH).collect();
    if from > 0 {
        shown.insert_str(0, "… ");
    }
    if line.chars().count() > from + WIDTH {
        shown.push_str(" …");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_below_the_place() {
        let text = "create role a\n  password 'geheim'\n  wrong";
        assert_eq!(excerpt(text, text.find("wrong").unwrap()), "  create role a\n    password '***'\n    wrong\n    ^");
    }

    #[test]
    fn only_the_lines_around_are_shown() {
        let text = "1\n2\n3\n4\n5\n6\n7\n8";
        assert_eq!(excerpt(text, 8), "  3\n  4\n  5\n  ^\n  6\n  7");
    }

    #[test]
    fn of_a_long_line_the_part_around_is_shown() {
        let text = format!("select {}, wrong, {}", "a".repeat(200), "b".repeat(200));
        let shown = excerpt(&text, text.find("wrong").unwrap());
        let (line, caret) = shown.split_once('\n').unwrap();
        let column = caret.chars().position(|c| c == '^').unwrap();
        assert!(line.chars().skip(column).collect::<String>().starts_with("wrong"), "{shown}");
        assert!(line.starts_with("  … ") && line.ends_with(" …"), "{shown}");
    }
}
