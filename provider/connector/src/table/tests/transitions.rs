//! The cases of `transitions.txt`, as both rings of tests read them. It says itself what its lines mean.

/// What the lines of a case begin with.
const KEYS: [&str; 11] =
    ["from", "to", "setup", "plan", "forced plan", "theirs", "refused", "becomes", "forced", "ours", "written"];

/// One way from one table to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// What happens.
    pub(crate) name: &'static str,
    lines: Vec<(&'static str, Vec<&'static str>)>,
}

/// A declaration.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    /// Whether the user manages the table.
    pub(crate) user: bool,
    /// The columns but the key's `id`, as name and text; also that one where it is not `bigint`.
    pub(crate) columns: Vec<(&'static str, &'static str)>,
    /// The primary key.
    pub(crate) key: Vec<&'static str>,
}

/// What a plan holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// These statements.
    Steps(Vec<String>),
    /// A new table, because of that attribute.
    Replace(&'static str),
    /// Nothing, because it is refused.
    Refused(&'static str),
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("transitions.txt").lines() {
        let words = line.trim();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case { name, lines: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{line} comes before the first case"));
        if line.starts_with(' ') {
            let (_, more) = case.lines.last_mut().unwrap_or_else(|| panic!("{}: {line} continues nothing", case.name));
            more.push(words);
            continue;
        }
        let key = KEYS.into_iter().filter(|key| words == *key || words.starts_with(&format!("{key} ")));
        let key = key.max_by_key(|key| key.len()).unwrap_or_else(|| panic!("{}: what is {line}", case.name));
        case.lines.push((key, vec![words[key.len()..].trim()]));
    }
    cases
}

impl Case {
    /// What is said under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'static str> {
        self.lines.iter().find(|(name, _)| *name == key).map(|(_, texts)| texts[0])
    }

    /// The declaration before.
    pub(crate) fn from(&self) -> Option<Sketch> {
        self.sketch("from")
    }

    /// The declaration after.
    pub(crate) fn to(&self) -> Option<Sketch> {
        self.sketch("to")
    }

    fn sketch(&self, key: &str) -> Option<Sketch> {
        let text = self.get(key).unwrap_or_else(|| panic!("{}: no {key}", self.name));
        if text == "absent" {
            return None;
        }
        let (user, text) = text.strip_prefix("user:").map_or((false, text), |text| (true, text.trim()));
        let mut sketch = Sketch { user, columns: Vec::new(), key: vec!["id"] };
        for part in text.split("; ").filter(|part| !part.is_empty()) {
            match part.split_once(' ') {
                Some(("key", names)) => sketch.key = names.split(", ").collect(),
                Some((name, kind)) => sketch.columns.push((name, kind)),
                None => panic!("{}: {part} is no column", self.name),
            }
        }
        Some(sketch)
    }

    /// What is planned, with and without consent; `None` where the case does not say.
    pub(crate) fn planned(&self, force: bool) -> Option<Planned> {
        let lines = |key| self.lines.iter().find(|(name, _)| *name == key).map(|(_, texts)| texts.as_slice());
        let own = if force { lines("forced plan") } else { None };
        let texts = own.or_else(|| lines("plan"))?;
        Some(match *texts {
            ["nothing"] => Planned::Steps(Vec::new()),
            [text] if text.starts_with("replace ") => Planned::Replace(&text["replace ".len()..]),
            [text] if text.starts_with("refused ") => Planned::Refused(&text["refused ".len()..]),
            _ => {
                let steps = texts.iter().filter(|step| !force || !step.starts_with("lock table"));
                Planned::Steps(steps.map(|&step| step.to_owned()).collect())
            }
        })
    }
}
