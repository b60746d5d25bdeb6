//! The ways in: what bytes from outside reach first, one function for each.
//!
//! A fuzz target calls one of these, and so do the bounded tests; none of them needs a server.
//!
//! **Invariant:** a function here returns for any bytes. It panics only when the code behind it does, or breaks what it
//! promises of every input.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use serde_json::Value;

use crate::expression;
use crate::name::TableName;
use crate::pg_type::PgType;
use crate::record_schema::{self, ColumnOverride};
use crate::row_file::{FileCells, Format, RowFile};
use crate::rows::number::Decimal;
use crate::rows::{kind::ColumnKind, value};
use crate::settings::{self, Settings, duration};
use crate::source::{self, RecordCheck};
use crate::sql_text::{self, Location};
use crate::tls;

/// A way in: its name, which is its fuzz target's too, and what happens to bytes there.
pub type Surface = (&'static str, fn(&[u8]));

/// All of them.
pub const SURFACES: [Surface; 18] = [
    ("array_text", array_text),
    ("binary_cell", binary_cell),
    ("cell", cell),
    ("condition", condition),
    ("connection_string", connection_string),
    ("csv_rows", csv_rows),
    ("decimal", decimal),
    ("expression", expression),
    ("gzip_rows", gzip_rows),
    ("json_rows", json_rows),
    ("password_file", password_file),
    ("pem", pem),
    ("record_schema", record_schema),
    ("record_value", record_value),
    ("service_file", service_file),
    ("sql_text", sql_text),
    ("table_name", table_name),
    ("type_name", type_name),
];

/// A connection string: a URI or keywords with values. What it says is never shown.
pub fn connection_string(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let formal = Settings::check_connection_string(text);
    let settings = Settings::parse(text);
    assert!(formal.is_ok() || settings.is_err(), "a string of a wrong form became settings");
    if let Ok(settings) = settings
        && let settings::Password::Text(password) = &settings.password
    {
        let shown = format!("{:?}", settings.password);
        assert!(
            shown.len() < password.reveal().len() || !shown.contains(password.reveal()) || password.reveal().len() < 9
        );
    }
    let _ = duration::parse_duration(text);
}

/// A service file that is asked for the service `app`.
pub fn service_file(data: &[u8]) {
    let _ = text(data).map(|text| settings::find_service("app", text, Path::new("services")));
}

/// A password file, and whom it is asked about in the line before it.
pub fn password_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (first, rest) = text.split_once('\n').unwrap_or(("", text));
    let mut asked = first.split(',');
    let mut next = || asked.next().unwrap_or_default();
    let _ = settings::find_password(rest, next(), 5432, next(), next());
}

/// A certificate or a key: as PEM, and the certificate also as it is.
pub fn pem(data: &[u8]) {
    tls::read_all(&String::from_utf8_lossy(data), data);
}

/// An SQL text of a user: cut, shown and masked, also at a place inside it that the first two bytes name.
pub fn sql_text(data: &[u8]) {
    let (at, text) = data.split_first_chunk().map_or((0, data), |(at, rest)| (u16::from_le_bytes(*at).into(), rest));
    let text = String::from_utf8_lossy(text);
    let lexemes = sql_text::lex(&text);
    assert_eq!(lexemes.iter().map(|lexeme| lexeme.text).collect::<String>(), text);
    if let Ok(statements) = sql_text::split("check", &text) {
        assert!(statements.iter().all(|one| text[one.start..].starts_with(one.text)));
    }
    let (masked, went) = sql_text::mask(&text, at);
    assert!(masked.is_char_boundary(went) && masked.len() <= 5 * text.len(), "{went} in {masked}");
    let _ = (sql_text::excerpt(&text, at), Location::of(&text, at), sql_text::scrub(&masked, &text));
}

/// The spelling of a type. What is written of it is read as the same type.
pub fn type_name(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = ColumnKind::of(text);
    if let Ok(parsed) = PgType::parse(text) {
        let again = PgType::parse(&parsed.to_string());
        assert!(again.is_ok_and(|again| again.is_same(&parsed)), "{text:?} became {parsed}");
    }
}

/// A qualified name. What is written of it is read as the same name.
pub fn table_name(data: &[u8]) {
    if let Some(name) = text(data).and_then(|text| text.parse::<TableName>().ok()) {
        assert_eq!(name.to_string().parse().as_ref(), Ok(&name));
    }
}

/// A default, as users write it.
pub fn expression(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = (expression::fault(text), expression::rendered(text), expression::may_be_volatile(text));
}

/// A condition on rows, as users write it.
pub fn condition(data: &[u8]) {
    let _ = text(data).map(source::check_condition);
}

/// A number's text.
pub fn decimal(data: &[u8]) {
    if let Some(number) = text(data).and_then(Decimal::parse) {
        let _ = (number.to_i128(), number.is_whole(), number.is_zero());
        let again = Decimal::parse(&number.to_string());
        assert!(again.is_none_or(|again| again == number), "{number} is another number");
    }
}

/// A type in the first line, and a JSON value for a column of it.
pub fn cell(data: &[u8]) {
    let Some((type_name, json)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let json = serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
    let _ = value::cell(&ColumnKind::of(type_name), &json);
}

/// A cell in the binary form, as each of the types that are read so; the first byte says whether it is an array.
pub fn binary_cell(data: &[u8]) {
    let _ = data.split_first().map(|(is_array, cell)| source::read_cell(is_array % 2 == 1, cell));
}

/// An array as a server prints it.
pub fn array_text(data: &[u8]) {
    let _ = text(data).map(source::read_array);
}

/// A JSON Schema that columns are inferred from.
pub fn record_schema(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(inferred) = record_schema::infer(text, &[], &BTreeMap::new()) else { return };
    let overridden = ColumnOverride { nullable: Some(false), ..ColumnOverride::default() };
    let overrides = inferred.iter().take(1).map(|column| (column.name.clone(), overridden.clone())).collect();
    if let Ok(columns) = record_schema::infer(text, &["id".to_owned()], &overrides) {
        assert_eq!(columns.len(), inferred.len());
    }
}

/// A JSON Schema in the first line, and a value that it is to describe.
pub fn record_value(data: &[u8]) {
    let Some((schema, value)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    if let (Ok(schema), Ok(value)) = (RecordCheck::new(schema), serde_json::from_str(value)) {
        let _ = schema.check_value(&value);
    }
}

/// A file of rows in CSV.
pub fn csv_rows(data: &[u8]) {
    rows(Format { json: false, gzip: false }, data);
}

/// A file of rows in JSON Lines.
pub fn json_rows(data: &[u8]) {
    rows(Format { json: true, gzip: false }, data);
}

/// A compressed file of rows.
pub fn gzip_rows(data: &[u8]) {
    rows(Format { json: true, gzip: true }, data);
}

fn rows(format: Format, data: &[u8]) {
    let Ok(mut file) = RowFile::read_from(Path::new("rows"), format, Cursor::new(data.to_vec()), None) else { return };
    while let Some(row) = file.next() {
        let Ok(row) = row else { continue };
        let _ = match row.cells {
            FileCells::Json(cells) => cells.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>(),
            FileCells::Csv(cells) => cells.fields().flatten().map(str::len).sum(),
        };
    }
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
