//! The provider's functions: names, literals and vectors for SQL texts.

use pg_connector::name;
use tfplugin::{Function, FunctionError, Number, Parameter, Type, Value};

/// The most dimensions that pgvector stores.
const MOST_DIMENSIONS: usize = 16_000;

/// All functions.
pub(crate) fn all() -> Vec<Function> {
    let parameter = |name, ty, description| Parameter { name, ty, description, allow_null: false };
    vec![
        Function {
            name: "quote_ident",
            summary: "Quotes a name for SQL",
            description: "Returns the name as SQL reads it: in double quotes where it would not be taken as it stands. \
                Use it in the SQL texts of `pg_sql_attachment`. A name that Postgres would cut or refuse is an error.",
            parameters: vec![parameter("name", Type::String, "The name of a table, a column or another object.")],
            result: Type::String,
            call: quote_ident,
        },
        Function {
            name: "quote_literal",
            summary: "Quotes a text for SQL",
            description: "Returns the text as an SQL string literal, safe against quotes and backslashes inside it.",
            parameters: vec![parameter("text", Type::String, "Any text.")],
            result: Type::String,
            call: quote_literal,
        },
        Function {
            name: "vector",
            summary: "Writes a list of numbers as a pgvector literal",
            description: "Returns the text form of a vector, such as `[1,2.5,-3]`, for SQL texts and for `params`.",
            parameters: vec![parameter("list", Type::List(Box::new(Type::Number)), "The elements.")],
            result: Type::String,
            call: vector,
        },
    ]
}

fn fault(text: impl Into<String>) -> FunctionError {
    FunctionError { text: text.into(), argument: Some(0) }
}

fn text(arguments: &[Value]) -> Result<&str, FunctionError> {
    arguments.first().and_then(Value::as_str).ok_or_else(|| fault("the argument is no text"))
}

fn quote_ident(arguments: &[Value]) -> Result<Value, FunctionError> {
    let text = text(arguments)?;
    match name::name_fault(text) {
        Some(problem) => Err(fault(problem)),
        None => Ok(name::quote_ident(text).into()),
    }
}

fn quote_literal(arguments: &[Value]) -> Result<Value, FunctionError> {
    let text = text(arguments)?;
    if text.contains('\0') {
        return Err(fault("Postgres cannot hold the NUL character"));
    }
    Ok(name::quote_literal(text).into())
}

fn vector(arguments: &[Value]) -> Result<Value, FunctionError> {
    let list = arguments.first().and_then(Value::as_list).ok_or_else(|| fault("the argument is no list"))?;
    if list.is_empty() || list.len() > MOST_DIMENSIONS {
        return Err(fault(format!("a vector has 1 to {MOST_DIMENSIONS} elements, and this list has {}", list.len())));
    }
    let element = |(at, item): (usize, &Value)| match item.as_number() {
        Some(number @ Number::Finite(_)) => {
            let text = number.to_string();
            match text.parse::<f32>() {
                Ok(float) if float.is_finite() => Ok(text),
                _ => Err(fault(format!("element {at} is out of the range of a vector's numbers"))),
            }
        }
        _ => Err(fault(format!("element {at} is no finite number"))),
    };
    let elements = list.iter().enumerate().map(element).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[{}]", elements.join(",")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, argument: Value) -> Result<String, String> {
        let function = all().into_iter().find(|f| f.name == name).unwrap();
        match (function.call)(&[argument]) {
            Ok(value) => Ok(value.as_str().unwrap().to_owned()),
            Err(error) => Err(error.text),
        }
    }

    fn numbers(texts: &[&str]) -> Value {
        Value::List(texts.iter().map(|text| Value::Number(text.parse().unwrap())).collect())
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(call("quote_ident", "order".into()).as_deref(), Ok("\"order\""));
        assert_eq!(call("quote_ident", "products".into()).as_deref(), Ok("products"));
        assert!(call("quote_ident", "".into()).unwrap_err().contains("empty"));
        assert!(call("quote_ident", "x".repeat(64).into()).unwrap_err().contains("64 bytes"));
        assert_eq!(call("quote_literal", "it's".into()).as_deref(), Ok("'it''s'"));
        assert!(call("quote_literal", "\0".into()).is_err());
    }

    #[test]
    fn vectors_are_written_exactly() {
        assert_eq!(call("vector", numbers(&["1", "2.50", "-3e-2"])).as_deref(), Ok("[1,2.5,-0.03]"));
        for (value, why) in [
            (numbers(&[]), "this list has 0"),
            (numbers(&vec!["1"; 16_001]), "16001"),
            (numbers(&["1", "1e39"]), "element 1 is out of the range"),
            (Value::List(vec![Value::Null]), "element 0"),
            (Value::List(vec![Value::Number(Number::Infinity)]), "element 0"),
        ] {
            let error = call("vector", value).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
