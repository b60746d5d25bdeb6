//! Reads a connection string: a URI or keywords with values, as libpq does.
//!
//! **Invariant:** the error says what is wrong and where (the keyword or the part), and repeats nothing else of the text:
//! in a text that is taken apart wrongly, any part may be the password.

use super::keyword;

const ENCODE: &str = "special characters in the user name and the password must be percent-encoded: @ as %40, / as %2F, \
    : as %3A, % as %25";

/// What is wrong with a connection string, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) advice: &'static str,
}

const FORMS: &str = "write a URI (postgresql://user:password@host:5432/database?sslmode=require) or keywords with values \
    (host=db.example.com dbname=app user=alice)";

fn fault<T>(message: impl Into<String>, advice: &'static str) -> Result<T, Fault> {
    Err(Fault { message: message.into(), advice })
}

/// The keywords and values of a connection string, in the order in which they stand. A later one of the same name wins.
pub(super) fn parse(text: &str) -> Result<Vec<(&'static str, String)>, Fault> {
    let text = text.trim();
    for scheme in ["postgresql://", "postgres://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return uri(rest);
        }
    }
    if let Some((scheme, _)) = text.split_once("://")
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        return fault("the URI has an unknown scheme", "it must begin with postgresql:// or postgres://");
    }
    keywords(text)
}

fn uri(text: &str) -> Result<Vec<(&'static str, String)>, Fault> {
    let mut found = Vec::new();
    let mut rest = text;
    if let Some(end) = rest.find(['@', '/'])
        && rest[end..].starts_with('@')
    {
        let (user, password) = match rest[..end].split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (&rest[..end], None),
        };
        if !user.is_empty() {
            found.push(("user", decode(user, "the user name")?));
        }
        if let Some(password) = password.filter(|p| !p.is_empty()) {
            found.push(("password", decode(password, "the password")?));
        }
        rest = &rest[end + 1..];
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, mut rest) = rest.split_at(authority_end);
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for spec in authority.split(',') {
        let (host, port) = host_and_port(spec)?;
        hosts.push(decode(host, "the host")?);
        ports.push(decode(port, "the port")?);
    }
    if hosts.iter().any(|host| host.contains('@')) {
        return fault("the host holds an @", ENCODE);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        found.push(("host", hosts.join(",")));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        if ports.iter().flat_map(|port| port.chars()).any(|c| !c.is_ascii_digit()) {
            return fault("a port is not a number", ENCODE);
        }
        found.push(("port", ports.join(",")));
    }
    if let Some(path) = rest.strip_prefix('/') {
        let end = path.find('?').unwrap_or(path.len());
        if path[..end].contains('@') {
            return fault("the database holds an @ that is not percent-encoded", ENCODE);
        }
        if end > 0 {
            found.push(("dbname", decode(&path[..end], "the database")?));
        }
        rest = &path[end..];
    }
    if let Some(query) = rest.strip_prefix('?') {
        for parameter in query.split('&').filter(|p| !p.is_empty()) {
            found.push(query_parameter(parameter)?);
        }
    }
    Ok(found)
}

fn host_and_port(spec: &str) -> Result<(&str, &str), Fault> {
    if let Some(bracketed) = spec.strip_prefix('[') {
        let Some((address, tail)) = bracketed.split_once(']') else {
            return fault("the bracket around an IPv6 address is not closed", "write it as [2001:db8::1]:5432");
        };
        return match tail.strip_prefix(':') {
            Some(port) => Ok((address, port)),
            None if tail.is_empty() => Ok((address, "")),
            None => fault("something follows the bracket of an IPv6 address", "write it as [2001:db8::1]:5432"),
        };
    }
    Ok(spec.split_once(':').unwrap_or((spec, "")))
}

fn query_parameter(parameter: &str) -> Result<(&'static str, String), Fault> {
    let Some((name, value)) = parameter.split_once('=') else {
        return fault("a parameter after the ? has no value", "write each as keyword=value, with & between them");
    };
    if value.contains('=') {
        return fault(
            "a parameter after the ? has more than one =",
            "write an = inside a value as %3D and an & as %26",
        );
    }
    let name = decode(name, "a parameter's name")?;
    let value = decode(value, "a parameter's value")?;
    // JDBC's spelling, which libpq accepts too.
    if name == "ssl" && value == "true" {
        return Ok(("sslmode", "require".to_owned()));
    }
    known(&name, false).map(|name| (name, value))
}

/// Checks a keyword. After a password that was not quoted, an unknown one may be the rest of it.
fn known(name: &str, after_password: bool) -> Result<&'static str, Fault> {
    match keyword::find(name) {
        Some(keyword) => Ok(keyword.name),
        None if after_password => fault(
            "an unknown keyword follows the password",
            "a value that holds spaces or quotes is written in single quotes: password='a b', with \\' for a quote",
        ),
        None if (1..=40).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => fault(
            format!("the keyword {name:?} is unknown"),
            "it takes libpq's keywords, such as host, port, dbname, user, password, sslmode and application_name",
        ),
        None => fault("a keyword is unknown", FORMS),
    }
}

fn decode(text: &str, part: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digit =
                |at: usize| tail.get(at).and_then(|c| char::from(*c).to_digit(16)).and_then(|d| u8::try_from(d).ok());
            let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                return fault(format!("{part} holds a % that is not followed by two hexadecimal digits"), ENCODE);
            };
            bytes.push(high * 16 + low);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => fault(format!("{part} is not UTF-8 text without NUL when it is decoded"), ENCODE),
    }
}

fn keywords(text: &str) -> Result<Vec<(&'static str, String)>, Fault> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(found);
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            name.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let after_password = found.last().is_some_and(|(last, _)| *last == "password");
        if chars.next() != Some('=') {
            return match found.last() {
                Some((last, _)) => fault(
                    format!("what follows the value of {last:?} is no keyword with ="),
                    "a value that holds spaces or quotes is written in single quotes, with \\' for a quote",
                ),
                None => fault("it is neither a URI nor a list of keywords", FORMS),
            };
        }
        let name = known(&name, after_password)?;
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        if chars.next_if_eq(&'\'').is_some() {
            loop {
                match chars.next() {
                    Some('\'') => break,
                    Some('\\') => value.extend(chars.next()),
                    Some(c) => value.push(c),
                    None => {
                        return fault(
                            format!("the quote around the value of {name:?} is not closed"),
                            "a quote inside a value is written \\'",
                        );
                    }
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                if c == '\\' {
                    value.extend(chars.next());
                } else {
                    value.push(c);
                }
            }
        }
        found.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<(&'static str, String)> {
        parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn connection_strings_are_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("postgresql://", vec![]),
            ("postgres://localhost", vec![("host", "localhost")]),
            ("postgresql://localhost:5433", vec![("host", "localhost"), ("port", "5433")]),
            ("postgresql://localhost/mydb", vec![("host", "localhost"), ("dbname", "mydb")]),
            ("postgresql://alice@localhost", vec![("user", "alice"), ("host", "localhost")]),
            (
                "postgresql://alice:s%40c%2Fret@localhost",
                vec![("user", "alice"), ("password", "s@c/ret"), ("host", "localhost")],
            ),
            ("postgresql://u:p?x@h/d", vec![("user", "u"), ("password", "p?x"), ("host", "h"), ("dbname", "d")]),
            (
                "postgresql://host1:123,host2:456/somedb?target_session_attrs=any&application_name=my%20app",
                vec![
                    ("host", "host1,host2"),
                    ("port", "123,456"),
                    ("dbname", "somedb"),
                    ("target_session_attrs", "any"),
                    ("application_name", "my app"),
                ],
            ),
            ("postgresql://h1,h2:5433", vec![("host", "h1,h2"), ("port", ",5433")]),
            ("postgresql:///mydb?host=/tmp&port=5433", vec![("dbname", "mydb"), ("host", "/tmp"), ("port", "5433")]),
            ("postgresql://%2Fvar%2Frun%2Fpostgresql/db", vec![("host", "/var/run/postgresql"), ("dbname", "db")]),
            (
                "postgresql://[2001:db8::1234]:5433/d",
                vec![("host", "2001:db8::1234"), ("port", "5433"), ("dbname", "d")],
            ),
            ("postgresql://[::1]", vec![("host", "::1")]),
            ("postgresql://h?ssl=true", vec![("host", "h"), ("sslmode", "require")]),
            ("postgresql://h/d+x?options=-c%20a%3Db", vec![("host", "h"), ("dbname", "d+x"), ("options", "-c a=b")]),
            ("postgresql://u@?host=x", vec![("user", "u"), ("host", "x")]),
            ("", vec![]),
            ("host=localhost port=5432", vec![("host", "localhost"), ("port", "5432")]),
            (" host = localhost\n user='a b' ", vec![("host", "localhost"), ("user", "a b")]),
            ("password='it\\'s \\\\ it' dbname=''", vec![("password", "it's \\ it"), ("dbname", "")]),
            ("password=a\\ b\\'c dbname=x", vec![("password", "a b'c"), ("dbname", "x")]),
            ("password=a'b", vec![("password", "a'b")]),
            ("user=a user=b", vec![("user", "a"), ("user", "b")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn faults_say_where_and_hide_the_rest() {
        for (text, why) in [
            ("postgresql://u:hunter@2@host/db", "host holds an @"),
            ("postgresql://u:hunter/2@host/db", "port is not a number"),
            ("postgresql://hunter:2/x@host/db", "database holds an @"),
            ("postgresql://u:hunter%2@host/db", "password holds a %"),
            ("postgresql://u:hunter%zz@host/db", "password holds a %"),
            ("postgresql://u:hunter%00@host/db", "password is not UTF-8"),
            ("postgresql://u:hunter%ff@host/db", "password is not UTF-8"),
            ("postgresql://host:hunter/db", "port is not a number"),
            ("postgresql://[::1/db", "not closed"),
            ("postgresql://[::1]hunter/db", "follows the bracket"),
            ("postgresql://h?sslmode", "has no value"),
            ("postgresql://h?options=-c a=hunter", "more than one ="),
            ("postgresql://h?pgbouncer=true", "the keyword \"pgbouncer\" is unknown"),
            ("mysql://u:hunter@h/d", "unknown scheme"),
            ("postgres//u:hunter@h/d", "neither a URI nor"),
            ("host=h pgbouncer=true", "the keyword \"pgbouncer\" is unknown"),
            ("password=a hunter=2 host=h", "an unknown keyword follows the password"),
            ("password=a hunter host=h", "what follows the value of \"password\""),
            ("host=h hunter-two=x", "a keyword is unknown"),
            ("password='hunter host=h", "the quote around the value of \"password\" is not closed"),
            ("hunter2", "neither a URI nor"),
            ("=hunter2", "a keyword is unknown"),
        ] {
            let fault = parse(text).expect_err(text);
            assert!(fault.message.contains(why), "{text}: {}", fault.message);
            assert!(!format!("{fault:?}").contains("hunter"), "{text}: {fault:?}");
        }
    }

    proptest! {
        #[test]
        fn any_password_survives_both_forms(password in "[^\0]{1,20}") {
            let encoded = password.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
            let found = parsed(&format!("postgresql://u:{encoded}@h/d"));
            prop_assert!(found.contains(&("password", password.clone())));
            let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
            prop_assert_eq!(parsed(&format!("password='{quoted}' user=u")), vec![("password", password), ("user", "u".to_owned())]);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(postgres://)?\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
