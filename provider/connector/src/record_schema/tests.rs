//! Schemas and the columns that they give, among them what the generators really print.

use super::*;

fn inferred(schema: &str, overrides: &BTreeMap<String, ColumnOverride>) -> BTreeMap<String, String> {
    infer(schema, &["id".to_owned()], overrides)
        .unwrap()
        .into_iter()
        .map(|c| (c.name, c.type_name + if c.nullable { "" } else { "!" }))
        .collect()
}

fn check(schema: &str, expected: &str) {
    let columns = inferred(schema, &BTreeMap::new());
    for line in expected.lines().map(str::trim).filter(|l| !l.is_empty()) {
        for pair in line.split(", ") {
            let (name, type_name) = pair.split_once(" = ").unwrap();
            assert_eq!(columns[name], type_name, "{name}");
        }
    }
}

#[test]
fn what_pydantic_prints() {
    let common = "
        id = bigint!, big = bigint!, name = text!, short = text!, ok = boolean!, f = double precision!
        data = bytea!, b64 = bytea!, u = uuid!, d = date!, t = time with time zone!
        ts = timestamp with time zone!, aware = timestamp with time zone!, td = interval!
        tags = jsonb!, seen = jsonb!, emb = jsonb!, three = jsonb!, pair = jsonb!, point = jsonb!, m = jsonb!
        inner = jsonb!, inner2 = jsonb, described = jsonb!, box = jsonb!, pet = jsonb!
        color = jsonb!, ocolor = jsonb, level = jsonb!, lit = jsonb!, one = jsonb!, nothing_or = jsonb
        anyv = jsonb, obj = jsonb!, opt = bigint, optreq = bigint, optemb = jsonb, withdef = bigint!, factory = jsonb
        union = jsonb!, ounion = jsonb, optts = timestamp with time zone
        ip = inet!, ip6 = inet!, anyip = inet!, net = cidr!, iface = inet!
        url = text!, secret = text!, path = text!, renamed = bigint!, falsenull = bigint";
    check(include_str!("../../tests/fixtures/pydantic_validation.json"), common);
    check(
        include_str!("../../tests/fixtures/pydantic_validation.json"),
        "dec = numeric!, price = numeric!, optdec = numeric",
    );
    check(include_str!("../../tests/fixtures/pydantic_serialization.json"), common);
    // In this mode nothing tells a decimal from a text.
    check(
        include_str!("../../tests/fixtures/pydantic_serialization.json"),
        "dec = text!, price = text!, optdec = text, computed = bigint!",
    );
}

#[test]
fn what_schemars_prints() {
    for schema in [
        include_str!("../../tests/fixtures/schemars.json"),
        include_str!("../../tests/fixtures/schemars_draft07.json"),
        include_str!("../../tests/fixtures/schemars_openapi3.json"),
    ] {
        check(
            schema,
            "
            i8_ = smallint!, i16_ = smallint!, i32_ = integer!, i64_ = bigint!, i128_ = numeric!, u8_ = smallint!
            u16_ = integer!, u32_ = bigint!, u64_ = numeric!, u128_ = numeric!, isz = bigint!, usz = numeric!
            f32_ = real!, f64_ = double precision!, b = boolean!, s = text!, c = text!, opt = integer, opts = text
            tags = jsonb!, emb = jsonb!, optemb = jsonb, arr = jsonb!, pair = jsonb!, point = jsonb!, m = jsonb!, hm = jsonb!
            inner = jsonb!, oinner = jsonb, described = jsonb!, boxed2 = jsonb!, color = jsonb!, ocolor = jsonb
            level = jsonb!, olevel = jsonb, shape = jsonb!, tagged = jsonb!, nt = bigint!, ont = bigint, clear = uuid!
            def = integer!, optdef = integer, skipped = integer, renamed = integer!, any = jsonb, obj = jsonb!
            ip = inet!, ip4 = inet!, ip6 = inet!, u = uuid!, ou = uuid, d = date!, t = time without time zone!
            ts = timestamp with time zone!, nts = timestamp without time zone!, dec = numeric!, odec = numeric
            jts = timestamp with time zone!, jdt = timestamp without time zone!, jd = date!, jt = time without time zone!
            jspan = interval!, jsd = interval!, dur = jsonb!, bytes = jsonb!, b64 = bytea!, nz = bigint!, unit = jsonb
            boxed = integer!, flat_a = integer!, flat_b = boolean",
        );
    }
}

#[test]
fn every_column_of_the_fixtures_has_a_type_that_every_server_has() {
    for schema in [
        include_str!("../../tests/fixtures/pydantic_validation.json"),
        include_str!("../../tests/fixtures/pydantic_serialization.json"),
        include_str!("../../tests/fixtures/schemars.json"),
    ] {
        let columns = infer(schema, &[], &BTreeMap::new()).unwrap();
        let document = parse(schema).unwrap();
        let properties: Vec<_> = record(&document, DOING).unwrap().properties.keys().collect();
        assert_eq!(columns.iter().map(|c| &c.name).collect::<Vec<_>>(), properties);
        for column in columns {
            assert!(PgType::parse(&column.type_name).unwrap().is_builtin(), "{}", column.type_name);
        }
    }
}

#[test]
fn forms_that_are_written_by_hand() {
    let defs = r#""$defs":{"N":{"type":"number"},"S":{"type":"string","nullable":true}}"#;
    for (property, column) in [
        (r#"{"type":"integer","allOf":[{"minimum":0}]}"#, "bigint!"),
        (r#"{"allOf":[{"type":"integer"},{"minimum":0}]}"#, "jsonb!"),
        (r##"{"anyOf":[{"$ref":"#/$defs/N"},{"const":null}]}"##, "double precision"),
        (r##"{"oneOf":[{"type":"null"},{"type":"null"},{"$ref":"#/$defs/N"}]}"##, "double precision"),
        (r##"{"$ref":"#/$defs/S"}"##, "text"),
        (r#"{"anyOf":[{"type":["string","null"]},{"type":"integer"}]}"#, "jsonb"),
        (r#"{"anyOf":[{"type":"number"},{"type":"string","pattern":"^a"}]}"#, "jsonb!"),
        (r#"{"anyOf":[{"type":"number"},{"type":"string","format":"uuid"}]}"#, "jsonb!"),
        (r#"{"type":["number","string"]}"#, "numeric!"),
        (r#"{"type":"string","format":"decimal"}"#, "numeric!"),
        (r#"{"type":["null"]}"#, "jsonb"),
        (r#"{"type":"something"}"#, "jsonb!"),
        (r#"{"type":"string","format":"something"}"#, "text!"),
        (r#"{"type":"integer","enum":[1,2]}"#, "jsonb!"),
        (r#"{"const":1}"#, "jsonb!"),
        (r#"{"default":null,"type":"string"}"#, "text"),
        ("{}", "jsonb"),
        ("true", "jsonb"),
        ("false", "jsonb!"),
    ] {
        let schema = format!(r#"{{"type":"object","required":["a"],"properties":{{"a":{property}}},{defs}}}"#);
        assert_eq!(inferred(&schema, &BTreeMap::new())["a"], column, "{property}");
    }
}

#[test]
fn overrides_come_first() {
    let schema = r#"{"type":"object","required":["e","h","id"],"properties":{"e":{"type":"array"},
        "h":{"type":"array"},"id":{"type":"integer"},"x":{"type":"string"}}}"#;
    let vector = |dimension, half| ColumnOverride {
        vector: Some(VectorOverride { dimension, half }),
        ..ColumnOverride::default()
    };
    let typed = ColumnOverride { type_name: Some(" integer ".into()), ..ColumnOverride::default() };
    let not_null = ColumnOverride { nullable: Some(false), ..ColumnOverride::default() };
    let overrides = BTreeMap::from([
        ("e".to_owned(), vector(3, false)),
        ("h".to_owned(), vector(4, true)),
        ("id".to_owned(), typed),
        ("x".to_owned(), not_null),
    ]);
    let columns = inferred(schema, &overrides);
    assert_eq!(columns["e"], "vector(3)!");
    assert_eq!(columns["h"], "halfvec(4)!");
    assert_eq!(columns["id"], "integer!");
    assert_eq!(columns["x"], "text!");
    assert_eq!(infer(schema, &["id".to_owned()], &overrides).unwrap()[0].name, "id");
}

#[test]
fn faults_say_what_is_wrong_and_where() {
    let object = r##"{"type":"object","properties":{"id":{"type":"integer"},"e":{"type":"array"},"t":{"type":"array",
        "items":{"type":"string"}},"f":{"$ref":"#/$defs/F"},"o":{"anyOf":[{"type":"null"},{"type":"array",
        "prefixItems":[{"type":"number"},{"type":"number"}],"minItems":2,"maxItems":2}]}},
        "$defs":{"F":{"type":"array","items":{"$ref":"#/$defs/N"},"minItems":3,"maxItems":3},"N":{"type":"number"}}}"##;
    let one = |name: &str, change| BTreeMap::from([(name.to_owned(), change)]);
    let none = BTreeMap::new;
    let vector = ColumnOverride::vector;
    for (schema, overrides, message) in [
        ("{", none(), "the text is no JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", none(), "the schema describes no object with properties"),
        (r#"{"type":"string"}"#, none(), "the schema describes no object with properties"),
        (r#"{"type":"object","properties":{}}"#, none(), "the schema describes no object with properties"),
        (
            r##"{"$ref":"#/$defs/X"}"##,
            none(),
            "/$ref refers to \"#/$defs/X\", which the schema does not have; it defines nothing",
        ),
        (r##"{"$ref":"#"}"##, none(), "/$ref refers to \"#\", which leads back to itself"),
        (
            r#"{"properties":{"a":true},"oneOf":[{"properties":{"b":true}}]}"#,
            none(),
            "/oneOf adds to the properties of the record what cannot be told in columns",
        ),
        (
            r##"{"properties":{"a/b":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/Nope"}]}},"$defs":{"A":true}}"##,
            none(),
            "column \"a/b\": /properties/a~1b/anyOf/1/$ref refers to \"#/$defs/Nope\", which the schema does not have; it \
             defines A",
        ),
        (
            r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"anyOf":[{"$ref":"#/$defs/A"},{"type":"null"}]}}}"##,
            none(),
            "column \"a\": /$defs/A/anyOf/0/$ref refers to \"#/$defs/A\", which leads back to itself",
        ),
        (object, one("nope", ColumnOverride::default()), "the schema has no property \"nope\"; it has id, e, t, f, o"),
        (object, one("id", vector(3)), "column \"id\": a vector needs an array of numbers, and the schema says bigint"),
        (
            object,
            one("t", vector(3)),
            "column \"t\": a vector needs an array of numbers, and the schema says one of text",
        ),
        (object, one("e", vector(0)), "column \"e\": a vector cannot have 0 dimensions; it has from 1 to 16000"),
        (
            object,
            one("e", vector(16001)),
            "column \"e\": a vector cannot have 16001 dimensions; it has from 1 to 16000",
        ),
        (object, one("f", vector(4)), "column \"f\": a vector of 4 dimensions cannot hold an array of 3 elements"),
        (object, one("o", vector(3)), "column \"o\": a vector of 3 dimensions cannot hold an array of 2 elements"),
        (object, one("e", ColumnOverride::of_type("int; drop table x")), "not the name of one type"),
        (
            object,
            one("id", ColumnOverride::default().nullable(true)),
            "column \"id\": it is in the primary key, so it cannot be null; leave nullable out",
        ),
    ] {
        let errors = infer(schema, &["id".to_owned()], &overrides).unwrap_err();
        let message_found = errors[0].message();
        assert!(message_found.ends_with(message), "{schema}: {message_found}");
        match errors[0].blamed() {
            Some(Blame::Attribute("record_schema")) => assert!(overrides.is_empty()),
            Some(Blame::Element("column_overrides", name)) => assert!(overrides.contains_key(name)),
            other => panic!("{other:?}"),
        }
    }
    let two = BTreeMap::from([("e".to_owned(), vector(0)), ("nope".to_owned(), vector(3))]);
    assert_eq!(infer(object, &[], &two).unwrap_err().len(), 2, "all faults are reported");
    for (name, dimension) in [("f", 3), ("o", 2), ("e", 16_000)] {
        assert!(infer(object, &[], &one(name, vector(dimension))).is_ok(), "{name}");
    }
}

#[test]
fn a_type_that_holds_itself_is_no_circle() {
    let schema = r##"{"$ref":"#/$defs/Node","$defs":{"Node":{"type":"object","properties":{"id":{"type":"integer"},
        "next":{"anyOf":[{"$ref":"#/$defs/Node"},{"type":"null"}]},"children":{"type":"array","items":{"$ref":"#/$defs/Node"}}}}}}"##;
    let columns = inferred(schema, &BTreeMap::new());
    assert_eq!((columns["id"].as_str(), columns["next"].as_str()), ("bigint!", "jsonb"));
    assert_eq!(columns["children"], "jsonb");
}
