//! What the server remarked, as lines of text.
//!
//! **Invariant:** a statement that remarks on every row does not flood the user's screen.

use super::Notice;

/// How many remarks are shown.
const SHOWN: usize = 20;

/// The remarks as lines, each text passed through a function that takes secrets out.
pub(crate) fn remarks(notices: &[Notice], clean: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for notice in notices.iter().take(SHOWN) {
        lines.push(format!("{}: {}", notice.severity, clean(&notice.message)));
        lines.extend(notice.detail.iter().map(|detail| format!("  Detail: {}", clean(detail))));
        lines.extend(notice.hint.iter().map(|hint| format!("  Hint: {}", clean(hint))));
    }
    if notices.len() > SHOWN {
        lines.push(format!("and {} more", notices.len() - SHOWN));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_shown() {
        let notice = |i: usize| Notice {
            severity: "NOTICE".to_owned(),
            sqlstate: "00000".to_owned(),
            message: format!("row {i}"),
            detail: None,
            hint: Some("none".to_owned()),
        };
        let notices: Vec<Notice> = (0..25).map(notice).collect();
        assert_eq!(remarks(&notices[..20], str::to_owned).len(), 40);
        let lines = remarks(&notices, str::to_uppercase);
        assert_eq!((lines.len(), lines[0].as_str(), lines[40].as_str()), (41, "NOTICE: ROW 0", "and 5 more"));
    }
}
