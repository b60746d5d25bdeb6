//! What a cell of a row can hold, and which column types there are to hold it.
//!
//! **Invariant:** a cell of a kind fits a column of every spelling of the kind, different seeds give different cells of a
//! kind that can be a key, and what is stored of a kind can be cast to each kind that it widens to.

use std::collections::BTreeMap;

use tfplugin::{Number, Type, Typed, Value};

/// A literal of the configuration language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, with all its digits.
    Number(String),
    /// Text.
    Text(String),
    /// `[…]`.
    List(Vec<Self>),
    /// `{…}`.
    Object(BTreeMap<String, Self>),
}

impl Cell {
    fn number(number: impl Into<String>) -> Self {
        Self::Number(number.into())
    }

    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The type that the CLI gives the literal.
    pub(crate) fn ty(&self) -> Type {
        match self {
            Self::Null => Type::Dynamic,
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::String,
            Self::List(items) => Type::Tuple(items.iter().map(Self::ty).collect()),
            Self::Object(items) => Type::Object(items.iter().map(|(name, item)| (name.clone(), item.ty())).collect()),
        }
    }

    /// The value without its type.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => Value::Number(text.parse::<Number>().unwrap()),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Self::Object(items) => Value::object(items.iter().map(|(name, item)| (name.as_str(), item.value()))),
        }
    }

    /// The value as a dynamic attribute holds it.
    pub(crate) fn dynamic(&self) -> Value {
        Value::Dynamic(Box::new(Typed { ty: self.ty(), value: self.value() }))
    }

    /// The literal as JSON, for files of rows.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(text) => serde_json::Value::Number(text.parse().unwrap()),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Object(items) => items.iter().map(|(name, item)| (name.clone(), item.json())).collect(),
        }
    }

    /// The cell in a CSV file, where it can be in one.
    pub(crate) fn csv(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Number(text) => Some(text.clone()),
            Self::Text(text) => Some(format!("\"{}\"", text.replace('"', "\"\""))),
            Self::List(_) | Self::Object(_) => None,
        }
    }
}

/// A kind of column.
#[derive(Debug)]
pub(crate) struct Kind {
    /// How the type may be written; all mean the same.
    pub(crate) spellings: &'static [&'static str],
    /// The cell of a seed.
    pub(crate) cell: fn(u32) -> Cell,
    /// A default, as SQL.
    pub(crate) default: Option<&'static str>,
    /// Whether it can be a primary key's column.
    pub(crate) key: bool,
    /// The kinds, by their first spelling, that a column of this one can become with what it holds.
    pub(crate) widens: &'static [&'static str],
}

/// Every kind.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        spellings: &["bigint", "int8", "BIGINT"],
        cell: |seed| Cell::number((i64::from(seed) * 1_000_000_007).to_string()),
        default: Some("7"),
        key: true,
        widens: &["numeric", "text"],
    },
    Kind {
        spellings: &["integer", "int4", "int"],
        cell: |seed| Cell::number((i64::from(seed % 1_000_000) - 9).to_string()),
        default: Some("1 + 1"),
        key: true,
        widens: &["bigint", "numeric", "text"],
    },
    Kind {
        spellings: &["text", "TEXT"],
        cell: |seed| {
            const TEXTS: [&str; 8] =
                ["", "it's", "naïve ☃", "a\\b", "line\nbreak", "\"quoted\"", "tab\tbed", "  spaced "];
            Cell::text(format!("{}{seed}", TEXTS[seed as usize % TEXTS.len()]))
        },
        default: Some("'it''s' || ' new'"),
        key: true,
        widens: &["varchar"],
    },
    Kind {
        spellings: &["varchar(60)", "character varying(60)", "VARCHAR( 60 )"],
        cell: |seed| Cell::text(format!("v{seed}")),
        default: Some("'x'"),
        key: true,
        widens: &["text"],
    },
    Kind {
        spellings: &["varchar", "character varying"],
        cell: |seed| Cell::text(format!("free {seed}")),
        default: None,
        key: true,
        widens: &["text"],
    },
    Kind {
        spellings: &["boolean", "bool"],
        cell: |seed| Cell::Bool(seed.is_multiple_of(2)),
        default: Some("false"),
        key: false,
        widens: &["text"],
    },
    Kind {
        spellings: &["numeric(12,2)", "decimal(12, 2)", "DECIMAL(12,2)"],
        cell: |seed| Cell::number(format!("{}.{:02}", seed % 1_000_000, seed % 100)),
        default: Some("0.5"),
        key: false,
        widens: &["numeric", "text"],
    },
    Kind {
        spellings: &["numeric", "decimal"],
        cell: |seed| Cell::number(format!("{seed}2345678901234567890.0000000001")),
        default: None,
        key: false,
        widens: &["text"],
    },
    Kind {
        spellings: &["double precision", "float8"],
        cell: |seed| Cell::number(format!("{}.5", seed % 1_000_000)),
        default: Some("pi()"),
        key: false,
        widens: &["text"],
    },
    Kind {
        spellings: &["date"],
        cell: |seed| Cell::text(format!("20{:02}-{:02}-{:02}", seed % 90, seed / 90 % 12 + 1, seed / 1080 % 28 + 1)),
        default: Some("current_date"),
        key: false,
        widens: &["timestamptz", "text"],
    },
    Kind {
        spellings: &["timestamptz", "timestamp with time zone", "timestamp(6) with time zone"],
        cell: |seed| Cell::text(format!("2024-05-0{}T01:02:03.{}Z", seed % 9 + 1, seed % 1000)),
        default: Some("now()"),
        key: false,
        widens: &["text"],
    },
    Kind {
        spellings: &["uuid"],
        cell: |seed| Cell::text(format!("a0eebc99-9c0b-4ef8-bb6d-6bb9{seed:08x}")),
        default: Some("gen_random_uuid()"),
        key: true,
        widens: &["text"],
    },
    Kind {
        spellings: &["jsonb"],
        cell: |seed| match seed % 3 {
            0 => Cell::Object(BTreeMap::from([
                ("k".into(), Cell::List(vec![Cell::number(seed.to_string()), Cell::Null])),
                ("z".into(), Cell::text("ü")),
            ])),
            1 => Cell::text(format!("{{\"text\": {seed}}}")),
            _ => Cell::number(seed.to_string()),
        },
        default: Some("'{}'::jsonb"),
        key: false,
        widens: &["text"],
    },
    Kind {
        spellings: &["json"],
        cell: |seed| Cell::text(format!("[{seed},  null]")),
        default: None,
        key: false,
        widens: &["jsonb", "text"],
    },
    Kind {
        spellings: &["bytea"],
        cell: |seed| Cell::text(format!("\\x{seed:08x}")),
        default: Some("'\\x00'::bytea"),
        key: false,
        widens: &[],
    },
    Kind {
        spellings: &["text[]", "text array", "TEXT[]"],
        cell: |seed| Cell::List(vec![Cell::text(format!("a,{seed}")), Cell::Null, Cell::text("\"q\"")]),
        default: Some("'{}'"),
        key: false,
        widens: &[],
    },
    Kind {
        spellings: &["integer[]", "int4[]"],
        cell: |seed| Cell::List((0..seed % 3).map(|n| Cell::number(n.to_string())).collect()),
        default: None,
        key: false,
        widens: &["bigint[]"],
    },
    Kind {
        spellings: &["bigint[]", "int8[]"],
        cell: |seed| Cell::List(vec![Cell::number(seed.to_string())]),
        default: None,
        key: false,
        widens: &[],
    },
    Kind {
        spellings: &["vector(3)", "VECTOR(3)"],
        cell: |seed| Cell::List(vec![Cell::number((seed % 100).to_string()), Cell::number("0.5"), Cell::number("-1")]),
        default: None,
        key: false,
        widens: &["halfvec(3)"],
    },
    Kind {
        spellings: &["halfvec(3)"],
        cell: |seed| Cell::text(format!("[{},1,2]", seed % 100)),
        default: None,
        key: false,
        widens: &["vector(3)"],
    },
    Kind {
        spellings: &["bit(8)"],
        cell: |seed| Cell::text(format!("{:08b}", seed % 256)),
        default: Some("B'00000000'"),
        key: false,
        widens: &[],
    },
];

/// The kind of a first spelling.
pub(crate) fn kind(name: &str) -> usize {
    KINDS.iter().position(|kind| kind.spellings[0] == name).unwrap_or_else(|| panic!("no kind {name}"))
}

#[test]
fn every_kind_that_a_kind_widens_to_is_one() {
    for kind in KINDS {
        assert!(kind.widens.iter().all(|name| super::cells::kind(name) < KINDS.len()));
        assert!(!kind.key || (kind.cell)(1) != (kind.cell)(2));
    }
}
