//! What went wrong, in the words that a user needs: what we tried, on which object, what the server said, what to do.

use std::fmt;

/// Why an operation failed.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    doing: String,
    message: String,
    server: Option<ServerError>,
    statement: Option<String>,
    advice: Option<String>,
    blame: Option<Blame>,
    closed: bool,
    unreachable: bool,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerError {
    /// The five characters of the SQLSTATE.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// CONTEXT.
    pub context: Option<String>,
    /// Position in the statement, in characters from 1.
    pub position: Option<u32>,
    /// The table it is about.
    pub table: Option<String>,
    /// The column it is about.
    pub column: Option<String>,
    /// The constraint it is about.
    pub constraint: Option<String>,
}

/// The part of the declaration that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A named attribute of the declaration, such as `primary_key` or `setup_sql`.
    Attribute(&'static str),
    /// An element of a map attribute, such as one of `column_overrides`.
    Element(&'static str, String),
    /// A column, and of it the attribute (`type`, `nullable`, …), where one is to blame.
    Column(String, Option<&'static str>),
    /// An inline row by its label or index, and the column, where one is to blame.
    Row(RowLabel, Option<String>),
}

/// How the declaration names an inline row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowLabel {
    /// Position in a list, from 0.
    Index(usize),
    /// Key of a map.
    Key(String),
}

/// Everything that is wrong, where more than one thing can be at once; at least one error.
#[derive(Clone, Debug)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl From<Vec<Error>> for Errors {
    fn from(errors: Vec<Error>) -> Self {
        Self(errors)
    }
}

impl Error {
    /// An error of our own. `doing` completes "Cannot …": "create table public.products".
    pub fn new(doing: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            doing: doing.into(),
            message: message.into(),
            server: None,
            statement: None,
            advice: None,
            blame: None,
            closed: false,
            unreachable: false,
        }))
    }

    /// An error that the server or the connection reported.
    pub fn postgres(doing: impl Into<String>, error: &tokio_postgres::Error) -> Self {
        let mut this = Self::new(doing, String::new());
        this.0.closed = error.is_closed();
        if let Some(db) = error.as_db_error() {
            db.message().clone_into(&mut this.0.message);
            this.0.server = Some(ServerError {
                sqlstate: db.code().code().to_owned(),
                message: db.message().to_owned(),
                detail: db.detail().map(str::to_owned),
                hint: db.hint().map(str::to_owned),
                context: db.where_().map(str::to_owned),
                position: match db.position() {
                    Some(tokio_postgres::error::ErrorPosition::Original(position)) => Some(*position),
                    _ => None,
                },
                table: db.table().map(str::to_owned),
                column: db.column().map(str::to_owned),
                constraint: db.constraint().map(str::to_owned),
            });
        } else {
            let mut message = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            this.0.message = message;
        }
        this
    }

    /// Adds the statement that failed. Literals in it must be masked already where they can hold a secret.
    #[must_use]
    pub fn statement(mut self, sql: impl Into<String>) -> Self {
        self.0.statement = Some(sql.into());
        self
    }

    /// Says better what happened than the server did, whose words remain in [`Error::server`].
    #[must_use]
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Says otherwise what was tried.
    #[must_use]
    pub fn doing_instead(mut self, doing: impl Into<String>) -> Self {
        self.0.doing = doing.into();
        self
    }

    /// Passes everything that the server said through a function that takes secrets out.
    #[must_use]
    pub(crate) fn map_texts(mut self, clean: impl Fn(&str) -> String) -> Self {
        self.0.message = clean(&self.0.message);
        if let Some(server) = &mut self.0.server {
            server.message = clean(&server.message);
            for text in [&mut server.detail, &mut server.hint, &mut server.context].into_iter().flatten() {
                *text = clean(text);
            }
        }
        self
    }

    /// Leaves out DETAIL, where it would show data.
    #[must_use]
    pub(crate) fn without_detail(mut self) -> Self {
        if let Some(server) = &mut self.0.server {
            server.detail = None;
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Adds what part of the declaration is to blame.
    #[must_use]
    pub fn blame(mut self, blame: Blame) -> Self {
        self.0.blame = Some(blame);
        self
    }

    /// Adds what to do next, where that is known.
    #[must_use]
    pub(crate) fn advice_if(self, advice: Option<impl Into<String>>) -> Self {
        match advice {
            Some(advice) => self.advice(advice),
            None => self,
        }
    }

    /// Adds what part of the declaration is to blame, where that is known.
    #[must_use]
    pub(crate) fn blame_if(self, blame: Option<Blame>) -> Self {
        match blame {
            Some(blame) => self.blame(blame),
            None => self,
        }
    }

    /// Says that no connection could be made at all.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.0.unreachable = true;
        self
    }

    /// What we tried; completes "Cannot …".
    pub fn doing(&self) -> &str {
        &self.0.doing
    }

    /// What happened, on one level.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the server said, when it was the server.
    pub fn server(&self) -> Option<&ServerError> {
        self.0.server.as_ref()
    }

    /// The statement that failed.
    pub fn failed_statement(&self) -> Option<&str> {
        self.0.statement.as_deref()
    }

    /// What to do next.
    pub fn advised(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The part of the declaration to blame.
    pub fn blamed(&self) -> Option<&Blame> {
        self.0.blame.as_ref()
    }

    /// The SQLSTATE, when the server answered.
    pub fn sqlstate(&self) -> Option<&str> {
        self.server().map(|s| s.sqlstate.as_str())
    }

    /// Whether no connection could be made at all.
    pub fn is_unreachable(&self) -> bool {
        self.0.unreachable
    }

    /// Whether the connection was lost.
    pub fn is_closed(&self) -> bool {
        self.0.closed
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.0.doing, self.0.message)
    }
}

impl std::error::Error for Error {}
