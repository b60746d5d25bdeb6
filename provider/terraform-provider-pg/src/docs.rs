//! Registry documentation, written from the schemas and the examples.
//!
//! **Invariant:** `docs/` holds exactly what this prints; the test rewrites the pages and fails when they were stale.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tfplugin::{Attribute, DataSource, Default, Function, Kind, Mode, Nesting, Provider as _, Schema, Type};

use crate::provider::PgProvider;
use crate::provider_block::Data;

#[test]
fn pages_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = Vec::new();
    for (path, text) in pages(&root) {
        let path = root.join("docs").join(path);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "these pages were stale and have been rewritten: {stale:?}");
}

#[test]
fn everything_is_described() {
    fn check(place: &str, attributes: &[Attribute]) {
        for attribute in attributes {
            let place = format!("{place}.{}", attribute.name);
            assert!(attribute.description.ends_with('.'), "{place} needs a description that is a sentence");
            if let Kind::Nested(_, nested) = &attribute.kind {
                check(&place, nested);
            }
        }
    }
    check("provider", &PgProvider.schema().attributes);
    for resource in PgProvider.resources() {
        check(resource.name(), &resource.schema().attributes);
    }
    for source in PgProvider.data_sources().iter().chain(&PgProvider.ephemeral_resources()) {
        check(source.name(), &source.schema().attributes);
    }
}

/// Every page with its path below `docs/`.
fn pages(root: &Path) -> BTreeMap<PathBuf, String> {
    let short = |name: &str| name.trim_start_matches("pg_").to_owned() + ".md";
    let mut pages = BTreeMap::new();
    pages.insert(
        "index.md".into(),
        schema_page("Provider", "pg", &PgProvider.schema(), &example(root, "provider/provider.tf")),
    );
    for resource in PgProvider.resources() {
        let folder = format!("resources/{}", resource.name());
        let mut page = schema_page(
            "Resource",
            resource.name(),
            &resource.schema(),
            &example(root, &format!("{folder}/resource.tf")),
        );
        if let Some(import) = read(root, &format!("{folder}/import.tf")) {
            let _ = write!(page, "\n## Import\n\n```terraform\n{import}```\n");
        }
        pages.insert(Path::new("resources").join(short(resource.name())), page);
    }
    let sources = |kind: &str, folder: &str, file: &str, sources: Vec<Box<dyn DataSource<Data>>>| {
        sources
            .into_iter()
            .map(|source| {
                let example = example(root, &format!("{folder}/{}/{file}.tf", source.name()));
                let page = schema_page(kind, source.name(), &source.schema(), &example);
                (Path::new(folder).join(short(source.name())), page)
            })
            .collect::<Vec<_>>()
    };
    pages.extend(sources("Data Source", "data-sources", "data-source", PgProvider.data_sources()));
    pages.extend(sources(
        "Ephemeral Resource",
        "ephemeral-resources",
        "ephemeral-resource",
        PgProvider.ephemeral_resources(),
    ));
    for function in PgProvider.functions() {
        pages.insert(Path::new("functions").join(format!("{}.md", function.name)), function_page(root, &function));
    }
    pages
}

fn read(root: &Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join("examples").join(path)).ok()
}

fn example(root: &Path, path: &str) -> String {
    let text = read(root, path).unwrap_or_else(|| panic!("examples/{path} is missing"));
    format!("\n## Example\n\n```terraform\n{text}```\n")
}

fn head(kind: &str, name: &str, summary: &str) -> String {
    format!("---\npage_title: \"{name} {kind}\"\ndescription: |-\n  {summary}\n---\n\n# {name} ({kind})\n\n")
}

fn schema_page(kind: &str, name: &str, schema: &Schema, example: &str) -> String {
    let summary = schema.description.lines().next().unwrap_or_default();
    let mut page = head(kind, name, summary) + schema.description + "\n" + example + "\n## Schema\n";
    let mut nested = Vec::new();
    list(&mut page, &schema.attributes, "", &mut nested);
    while !nested.is_empty() {
        for (path, attributes) in std::mem::take(&mut nested) {
            let _ = write!(page, "\n### Nested schema for `{path}`\n");
            list(&mut page, &attributes, &format!("{path}."), &mut nested);
        }
    }
    page
}

fn list(page: &mut String, attributes: &[Attribute], prefix: &str, nested: &mut Vec<(String, Vec<Attribute>)>) {
    for (title, modes) in [
        ("Required", &[Mode::Required][..]),
        ("Optional", &[Mode::Optional, Mode::OptionalComputed]),
        ("Read-only", &[Mode::Computed]),
    ] {
        let these: Vec<&Attribute> = attributes.iter().filter(|a| modes.contains(&a.mode)).collect();
        if these.is_empty() {
            continue;
        }
        let _ = write!(page, "\n**{title}**\n\n");
        for attribute in these {
            let _ = writeln!(
                page,
                "- `{}` ({}) {}{}",
                attribute.name,
                words(attribute),
                attribute.description,
                default(attribute)
            );
            if let Kind::Nested(_, inner) = &attribute.kind {
                nested.push((format!("{prefix}{}", attribute.name), inner.clone()));
            }
        }
    }
}

fn default(attribute: &Attribute) -> String {
    let mentioned = attribute.description.to_lowercase().contains("default");
    match attribute.default {
        Default::String(text) if !mentioned => format!(" Defaults to `{text}`."),
        Default::Bool(value) if !mentioned => format!(" Defaults to `{value}`."),
        Default::Integer(value) if !mentioned => format!(" Defaults to `{value}`."),
        _ => String::new(),
    }
}

fn words(attribute: &Attribute) -> String {
    let mut words = match &attribute.kind {
        Kind::Plain(ty) => type_words(ty),
        Kind::Nested(Nesting::Single, _) => "object".to_owned(),
        Kind::Nested(Nesting::List, _) => "list of objects".to_owned(),
        Kind::Nested(Nesting::Set, _) => "set of objects".to_owned(),
        Kind::Nested(Nesting::Map, _) => "map of objects".to_owned(),
    };
    if attribute.sensitive {
        words += ", sensitive";
    }
    if attribute.replace {
        words += ", replaces";
    }
    words
}

fn type_words(ty: &Type) -> String {
    match ty {
        Type::String => "string".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Dynamic => "any".to_owned(),
        Type::List(element) => format!("list of {}", type_words(element)),
        Type::Set(element) => format!("set of {}", type_words(element)),
        Type::Map(element) => format!("map of {}", type_words(element)),
        Type::Tuple(_) => "tuple".to_owned(),
        Type::Object(_) => "object".to_owned(),
    }
}

fn function_page(root: &Path, function: &Function) -> String {
    let mut page = head("Function", function.name, function.summary);
    let _ = write!(
        page,
        "{}\n{}",
        function.description,
        example(root, &format!("functions/{}/function.tf", function.name))
    );
    let signature =
        function.parameters.iter().map(|p| format!("{} {}", p.name, type_words(&p.ty))).collect::<Vec<_>>().join(", ");
    let _ = write!(
        page,
        "\n## Signature\n\n```text\n{}({signature}) {}\n```\n\n",
        function.name,
        type_words(&function.result)
    );
    for parameter in &function.parameters {
        let _ = writeln!(page, "- `{}` ({}) {}", parameter.name, type_words(&parameter.ty), parameter.description);
    }
    page
}
