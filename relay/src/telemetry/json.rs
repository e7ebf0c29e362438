//! A log event as one line of JSON: time, level and module, then the fields of the spans it stands in, then its own,
//! all in one flat object. Writing goes straight into the line, because the access line is a cost of every request.

use std::fmt::{self, Write};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The form of a line.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        write!(line, "{{\"timestamp\":\"{:.6}", Timestamp::now())?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(metadata.level().as_str())?;
        line.write_str("\",\"target\":\"")?;
        line.write_str(metadata.target())?;
        line.write_char('"')?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(members) = span.extensions().get::<FormattedFields<N>>() {
                line.write_str(members)?;
            }
        }
        members(&mut line, event)?;
        line.write_str("}\n")
    }
}

/// The fields of a span, kept as they will stand in lines.
impl<'writer> FormatFields<'writer> for Json {
    fn format_fields<R: RecordFields>(&self, mut line: Writer<'writer>, fields: R) -> fmt::Result {
        members(&mut line, fields)
    }

    fn add_fields(
        &self,
        known: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        members(&mut known.as_writer(), fields)
    }
}

/// `,"name":value` for each field.
fn members(line: &mut Writer<'_>, fields: impl RecordFields) -> fmt::Result {
    let mut members = Members { line, written: Ok(()) };
    fields.record(&mut members);
    members.written
}

struct Members<'a, 'w> {
    line: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Members<'_, '_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let mut write = || {
            self.line.write_str(",\"")?;
            self.line.write_str(field.name())?;
            self.line.write_str("\":")
        };
        self.written = self.written.and_then(|()| write()).and_then(|()| value(self.line));
    }

    fn text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        self.member(field, |line| {
            line.write_char('"')?;
            Escaped(line).write_fmt(text)?;
            line.write_char('"')
        });
    }
}

impl Visit for Members<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.member(field, |line| write!(line, "{value}"));
        } else {
            self.text(field, format_args!("{value}"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| {
            line.write_char('"')?;
            Escaped(line).write_str(value)?;
            line.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

/// Inside a JSON string.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = text.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            let (plain, rest) = text.split_at(at);
            let (special, rest) = rest.split_at(1);
            self.0.write_str(plain)?;
            match special {
                "\"" => self.0.write_str("\\\"")?,
                "\\" => self.0.write_str("\\\\")?,
                "\n" => self.0.write_str("\\n")?,
                _ => special.bytes().try_for_each(|byte| write!(self.0, "\\u{byte:04x}"))?,
            }
            text = rest;
        }
        self.0.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use serde_json::{Value, json};

    use crate::config::{Log, LogFormat};
    use crate::telemetry::{subscriber, tests::Captured};

    fn logged(events: impl FnOnce()) -> Value {
        let captured = Captured::default();
        let log = Log { level: "trace".to_owned(), format: LogFormat::Json };
        let (subscriber, _) = subscriber(&log, false, captured.writer());
        tracing::subscriber::with_default(subscriber, events);
        serde_json::from_str(&captured.text()).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_a_member_of_its_kind() {
        let mut line = logged(|| {
            let (none, some) = (None::<&str>, Some("s"));
            tracing::warn!(a = 1, b = -1, c = 0.5, d = true, e = "t", f = ?[1], g = none, h = some, i = f64::NAN, "m");
        });
        let object = line.as_object_mut().unwrap();
        assert!(object.remove("timestamp").unwrap().as_str().unwrap().ends_with('Z'));
        assert_eq!(
            line,
            json!({
                "level": "WARN", "target": module_path!(), "message": "m",
                "a": 1, "b": -1, "c": 0.5, "d": true, "e": "t", "f": "[1]", "h": "s", "i": "NaN",
            })
        );
    }

    #[test]
    fn fields_of_spans_stand_beside_those_of_the_event() {
        let line = logged(|| {
            let outer = tracing::info_span!("outer", a = 1, b = tracing::field::Empty).entered();
            outer.record("b", 2);
            let _inner = tracing::info_span!("inner", c = "\"").entered();
            tracing::info!(d = 4, "m");
        });
        assert_eq!((&line["a"], &line["b"], &line["c"], &line["d"]), (&json!(1), &json!(2), &json!("\""), &json!(4)));
    }

    #[test]
    fn no_text_breaks_out_of_its_string() {
        let text = "\"}\n\\\r\t\u{0}\u{1f}\u{7f}é\u{1f600}";
        let line = logged(|| tracing::info!(text, debug = ?text, "{text}"));
        assert_eq!((&line["text"], &line["message"]), (&text.into(), &text.into()));
        assert_eq!(line["debug"], format!("{text:?}"));
    }
}
