//! The provider's functions, called by the CLIs.

use crate::support::{alternating, once};

#[test]
fn names_texts_and_vectors_are_written_as_sql() {
    alternating(|w| {
        w.apply(
            "output \"names\" {\n  value = [for n in [\"products\", \"Order Items\", \"order\", \"a\\\"b\"] : \
             provider::pg::quote_ident(n)]\n}\n\
             output \"text\" {\n  value = provider::pg::quote_literal(\"it's \\\\\")\n}\n\
             output \"vector\" {\n  value = provider::pg::vector([1, 2.50, -0.03])\n}\n",
        );
        assert_eq!(w.output("names"), serde_json::json!(["products", "\"Order Items\"", "\"order\"", "\"a\"\"b\""]));
        let text = w.output("text").as_str().unwrap().to_owned();
        assert_eq!(w.sql(&format!("select {text}")), "it's \\");
        assert_eq!(w.output("vector"), "[1,2.5,-0.03]");
    });
}

#[test]
fn an_argument_that_does_not_do_is_named() {
    alternating(|w| {
        for (call, words) in [
            ("quote_ident(\"\")", ["name", "empty"]),
            ("quote_ident(null)", ["name", "null"]),
            ("quote_literal(null)", ["text", "null"]),
            ("vector([])", ["list", "0"]),
            ("vector([1, null])", ["list", "element 1"]),
            ("vector(null)", ["list", "null"]),
        ] {
            println!("{call}");
            w.plan_fails(&format!("output \"o\" {{\n  value = provider::pg::{call}\n}}\n"), &words);
        }
    });
}

#[test]
fn an_argument_that_is_not_known_yet_waits() {
    once(18, |w| {
        w.apply(
            "resource \"terraform_data\" \"late\" {\n  input = \"a b\"\n}\n\
             output \"o\" {\n  value = provider::pg::quote_ident(terraform_data.late.output)\n}\n",
        );
        assert_eq!(w.output("o"), "\"a b\"");
    });
}
