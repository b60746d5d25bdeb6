//! Array literals, as the server prints them, as nested lists of text.

/// An element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Null.
    Null,
    /// The element's text form.
    Text(String),
    /// One more dimension.
    List(Vec<Self>),
}

/// How deep arrays are read. The server's own have at most six dimensions.
const MAX_DEPTH: usize = 32;

/// Reads `{1,NULL,"a b"}`, `{{1,2},{3,4}}` or `[0:1]={1,2}`; `None` when the text is no such literal.
pub(super) fn parse(text: &str, delimiter: char) -> Option<Vec<Element>> {
    let body = if text.starts_with('[') { &text[text.find('=')? + 1..] } else { text };
    let mut reader = Reader { rest: body, delimiter, depth: 0 };
    let elements = reader.list()?;
    reader.rest.is_empty().then_some(elements)
}

struct Reader<'a> {
    rest: &'a str,
    delimiter: char,
    depth: usize,
}

impl Reader<'_> {
    fn take(&mut self, expected: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn list(&mut self) -> Option<Vec<Element>> {
        self.take('{')?;
        self.depth = Some(self.depth + 1).filter(|depth| *depth <= MAX_DEPTH)?;
        let mut elements = Vec::new();
        if self.take('}').is_some() {
            self.depth -= 1;
            return Some(elements);
        }
        loop {
            elements.push(self.element()?);
            if self.take('}').is_some() {
                self.depth -= 1;
                return Some(elements);
            }
            self.take(self.delimiter)?;
        }
    }

    fn element(&mut self) -> Option<Element> {
        if self.rest.starts_with('{') {
            return self.list().map(Element::List);
        }
        let quoted = self.take('"').is_some();
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        let end = loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => text.push(chars.next()?.1),
                '"' if quoted => break at + 1,
                '}' if !quoted => break at,
                c if !quoted && c == self.delimiter => break at,
                c => text.push(c),
            }
        };
        self.rest = &self.rest[end..];
        Some(if !quoted && text == "NULL" { Element::Null } else { Element::Text(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(elements: &[Element]) -> String {
        let one = |element: &Element| match element {
            Element::Null => "null".to_owned(),
            Element::Text(text) => format!("{text:?}"),
            Element::List(inner) => shown(inner),
        };
        format!("[{}]", elements.iter().map(one).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn literals_are_read() {
        for (text, list) in [
            ("{}", "[]"),
            ("{1,NULL,3}", "[\"1\",null,\"3\"]"),
            ("{\"NULL\",\"\",\"a,b\",\"d\\\"e\",\"\\\\\"}", "[\"NULL\",\"\",\"a,b\",\"d\\\"e\",\"\\\\\"]"),
            ("{{1,2},{3,4}}", "[[\"1\",\"2\"],[\"3\",\"4\"]]"),
            ("[0:1][2:3]={{1,2},{3,4}}", "[[\"1\",\"2\"],[\"3\",\"4\"]]"),
            ("{\"[1,2]\",NULL}", "[\"[1,2]\",null]"),
        ] {
            assert_eq!(shown(&parse(text, ',').unwrap()), list, "{text}");
        }
        assert_eq!(shown(&parse("{(1,2),(0,0);(3,4),(0,0)}", ';').unwrap()), "[\"(1,2),(0,0)\",\"(3,4),(0,0)\"]");
    }

    #[test]
    fn other_texts_are_no_literals() {
        for text in ["", "{", "{1", "{\"1}", "{1}x", "[1,2]", "1"] {
            assert_eq!(parse(text, ','), None, "{text}");
        }
    }
}
