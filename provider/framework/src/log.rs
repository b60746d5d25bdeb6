//! What a provider tells about its work: `tracing` events as the JSON lines that hosts read from standard error.
//!
//! **Invariant:** a line is one JSON object below 64 KiB whose `@level` and `@message` are strings and whose
//! `@timestamp` has six fraction digits; hosts drop, misread or crash on anything else.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Debug};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::secrets;

/// The longest text of one field. Hosts read lines of up to 64 KiB.
const TEXT_LIMIT: usize = 8 << 10;

/// The longest line, before the message alone is kept.
const LINE_LIMIT: usize = 60 << 10;

/// Crates whose events tell about bytes on the wire, not about a provider's work.
const NOISE: [&str; 5] = ["h2", "hyper", "hyper_util", "tonic", "tower"];

/// Sends this process's events to standard error, as many as `TF_LOG_PROVIDER` or else `TF_LOG` asks for.
pub(crate) fn init() {
    let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let level = level(text("TF_LOG_PROVIDER").or_else(|| text("TF_LOG")).as_deref());
    let write = |line: &str| {
        // Nobody is left to tell when standard error is gone.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    };
    // Fails when the program has set up logging of its own, which is then right.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Hclog { level, write }));
}

/// Sends panics to the log too. Requests survive them, so a line that begins as Go's panics do would be wrong: the CLI
/// would say that the plugin crashed. Only a panic of the main thread ends the process, and then that is what it should say.
pub(crate) fn catch_panics() {
    let main = thread::current().id();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let ends_process = thread::current().id() == main;
        let message = panic_message(info, ends_process);
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        if ends_process {
            let backtrace = backtrace.unwrap_or_default();
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr().lock(), "panic: {message}\n\n{location}\n{backtrace}");
        } else {
            let request = secrets::request();
            tracing::error!(request, location, backtrace, "a task panicked: {message}");
        }
    }));
}

/// What a panic says, without what must not be shown. Of the texts that a program holds itself nothing is hidden; neither
/// is anything on the main thread, which never sees a user's values.
fn panic_message(info: &PanicHookInfo<'_>, all_may_be_shown: bool) -> String {
    let Some(message) = info.payload_as_str() else { return "no message".to_owned() };
    if all_may_be_shown || info.payload().is::<&'static str>() {
        return message.to_owned();
    }
    secrets::masked(message).unwrap_or_else(|| "its message holds values, and is not shown".to_owned())
}

/// The level that a CLI's variable asks for. Unset, the CLI shows nothing, so only errors are worth a line.
fn level(text: Option<&str>) -> LevelFilter {
    match text.map(str::to_ascii_uppercase).as_deref() {
        None | Some("ERROR") => LevelFilter::ERROR,
        Some("OFF") => LevelFilter::OFF,
        Some("WARN") => LevelFilter::WARN,
        Some("INFO") => LevelFilter::INFO,
        Some("DEBUG") => LevelFilter::DEBUG,
        // JSON means everything, and so does a word that the CLI does not know.
        Some(_) => LevelFilter::TRACE,
    }
}

struct Hclog<W> {
    level: LevelFilter,
    write: W,
}

impl<W> Hclog<W> {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let crate_name = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= self.level && !NOISE.contains(&crate_name)
    }
}

impl<S, W> Layer<S> for Hclog<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.put_around(outer);
            }
        }
        event.record(&mut fields);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (self.write)(&line(*event.metadata().level(), event.metadata().target(), fields, now));
    }
}

/// The fields of an event, or of a span around it.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    /// Adds the fields of a span further out; the nearer ones win.
    fn put_around(&mut self, outer: &Self) {
        for (name, value) in &outer.others {
            self.others.entry(name.as_str()).or_insert_with(|| value.clone());
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        // Names with an at sign belong to the format.
        self.others.insert(field.name().trim_start_matches('@').to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let text = shorten(text, TEXT_LIMIT);
        if field.name() == "message" { self.message = text } else { self.put(field, text) }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

fn line(level: Level, target: &str, fields: Fields, since_epoch: Duration) -> String {
    let mut object = Map::new();
    object.insert("@level".to_owned(), level.as_str().to_ascii_lowercase().into());
    object.insert("@message".to_owned(), fields.message.into());
    object.insert("@module".to_owned(), target.replace("::", ".").into());
    object.insert("@timestamp".to_owned(), Timestamp(since_epoch).to_string().into());
    let short = object.clone();
    object.extend(fields.others);
    let mut line = Value::Object(object).to_string();
    if line.len() > LINE_LIMIT {
        line = Value::Object(short).to_string();
    }
    line.push('\n');
    line
}

fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(limit)])
}

/// A moment in UTC, as Go's layout `2006-01-02T15:04:05.000000Z07:00` has it.
struct Timestamp(Duration);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Counts from 1 March of year 0 in eras of 400 years, so that a leap day is the last day of its year.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let (year, micros) = (era * 400 + year + carry, self.0.subsec_micros());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn logged(filter: LevelFilter, work: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let write = {
            let lines = Arc::clone(&lines);
            move |line: &str| {
                assert!(line.ends_with('\n') && line.len() < 64 << 10);
                lines.lock().unwrap().push(serde_json::from_str(line).unwrap());
            }
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Hclog { level: filter, write }), work);
        Arc::try_unwrap(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn timestamps_have_six_digits_and_the_right_date() {
        for (seconds, micros, expected) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000001Z"),
            (951_868_799, 999_999, "2000-02-29T23:59:59.999999Z"),
            (1_735_689_599, 120_000, "2024-12-31T23:59:59.120000Z"),
            (1_735_689_600, 0, "2025-01-01T00:00:00.000000Z"),
            (4_107_542_400, 5, "2100-03-01T00:00:00.000005Z"),
        ] {
            assert_eq!(Timestamp(Duration::new(seconds, micros * 1_000)).to_string(), expected);
        }
    }

    #[test]
    fn levels_are_what_the_cli_calls_them() {
        for (text, expected) in [
            (None, LevelFilter::ERROR),
            (Some("off"), LevelFilter::OFF),
            (Some("Warn"), LevelFilter::WARN),
            (Some("INFO"), LevelFilter::INFO),
            (Some("DEBUG"), LevelFilter::DEBUG),
            (Some("JSON"), LevelFilter::TRACE),
            (Some("loud"), LevelFilter::TRACE),
        ] {
            assert_eq!(level(text), expected, "{text:?}");
        }
    }

    #[test]
    fn events_carry_their_fields_and_those_of_their_spans() {
        let lines = logged(LevelFilter::DEBUG, || {
            let _outer = tracing::info_span!("rpc", rpc = "Read", shared = "outer").entered();
            let _inner = tracing::info_span!("table", shared = "inner").entered();
            tracing::info!(rows = 3, done = true, "@level" = "mine", "read {} rows", 3);
            tracing::trace!("not asked for");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["@level"], "info");
        assert_eq!(line["@message"], "read 3 rows");
        assert_eq!(line["@module"], "tfplugin.log.tests");
        assert_eq!(line["rpc"], "Read");
        assert_eq!(line["shared"], "inner");
        assert_eq!(line["rows"], 3);
        assert_eq!(line["done"], true);
        assert_eq!(line["level"], "mine");
        assert_eq!(line["@timestamp"].as_str().unwrap().split('.').nth(1).unwrap().len(), "123456Z".len());
    }

    #[test]
    fn a_message_that_is_missing_is_still_a_string() {
        let lines = logged(LevelFilter::ERROR, || tracing::error!(code = 1));
        assert_eq!(lines[0]["@message"], "");
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_long_lines_keep_their_message() {
        let text = "ü".repeat(TEXT_LIMIT);
        let lines = logged(LevelFilter::ERROR, || {
            tracing::error!(text, "short");
            tracing::error!(a = text, b = text, c = text, d = text, e = text, f = text, g = text, h = text, "kept");
        });
        assert_eq!(lines[0]["text"].as_str().unwrap().len(), TEXT_LIMIT + "...".len());
        assert_eq!(lines[1]["@message"], "kept");
        assert!(lines[1].get("a").is_none());
    }

    #[test]
    fn the_wire_is_not_logged() {
        let lines = logged(LevelFilter::TRACE, || {
            tracing::trace!(target: "h2::codec", "a frame");
            tracing::trace!(target: "h2o", "not the same");
        });
        assert_eq!(lines.len(), 1);
    }
}
