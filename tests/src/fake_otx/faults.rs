//! Ready-made faults, each a thing that OTX or a proxy before it is known, or must be expected, to do.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use threatrelay::demo::upstream::Content;

use super::script::{Answer, Fault};

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

impl Fault {
    /// This status with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Status {
            status,
            headers: vec![header("content-type", "application/json")],
            body: body.to_string().into(),
        }
    }

    /// This status with a body that is no JSON: a proxy's page for 5xx, text for others.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let title = format!("{status} {}", phrase.unwrap_or("Unknown"));
        let page = format!("<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n");
        let empty = matches!(status, 204 | 304);
        Self::Status {
            status,
            headers: vec![header("content-type", "text/html")],
            body: if empty { Bytes::new() } else { page.into() },
        }
    }

    /// 429 as OTX words it, with `Retry-After` if given.
    #[must_use]
    pub fn throttled(retry_after: Option<&str>) -> Self {
        let mut headers = vec![header("content-type", "application/json")];
        headers.extend(retry_after.map(|value| header("retry-after", value)));
        let body = json!({"detail": "Over throttling limit (100/hour)"}).to_string().into();
        Self::Status { status: 429, headers, body }
    }

    /// 429 as OTX words it to those without a key.
    #[must_use]
    pub fn anonymous_throttled() -> Self {
        Self::json(429, &json!({"detail": "Anonymous access to this endpoint is limited. Please authenticate."}))
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Status { status, headers: vec![header("location", location)], body: Bytes::new() }
    }

    /// 200 with this body, called JSON.
    #[must_use]
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::Status { status: 200, headers: vec![header("content-type", "application/json")], body: body.into() }
    }

    /// Changes the honest JSON.
    #[must_use]
    pub fn rewrite(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Change(Arc::new(move |_, answer: &mut Answer| {
            let mut body = answer.json();
            change(&mut body);
            answer.set_json(&body);
        }))
    }

    /// Changes every pulse of an answer about an indicator.
    #[must_use]
    pub fn in_pulses(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::rewrite(move |body| {
            body["pulse_info"]["pulses"].as_array_mut().into_iter().flatten().for_each(&change);
        })
    }

    /// Changes every row of a listing or of a pulse given whole.
    #[must_use]
    pub fn in_rows(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::rewrite(move |body| {
            for rows in ["results", "indicators"] {
                if let Some(rows) = body.get_mut(rows).and_then(Value::as_array_mut) {
                    rows.iter_mut().for_each(&change);
                }
            }
        })
    }

    /// Leaves a key out of the body.
    #[must_use]
    pub fn without(key: &'static str) -> Self {
        Self::rewrite(move |body| {
            body.as_object_mut().map(|body| body.remove(key));
        })
    }

    /// `next` never ends: it leads to one more page for ever.
    #[must_use]
    pub fn endless_next() -> Self {
        Self::Change(Arc::new(|request, answer| {
            let mut body = answer.json();
            body["next"] = format!("http://localhost{}&page=next", request.target).into();
            answer.set_json(&body);
        }))
    }

    /// A page past the end is 404, not empty.
    #[must_use]
    pub fn past_the_end_is_404() -> Self {
        Self::Change(Arc::new(|_, answer| {
            if answer.json()["results"].as_array().is_some_and(Vec::is_empty) {
                answer.status = 404;
                answer.set_json(&json!({"detail": "Invalid page."}));
            }
        }))
    }

    /// After the answer, the pulse is gone.
    #[must_use]
    pub fn then_delete(pulse: &str) -> Self {
        let pulse = pulse.to_owned();
        Self::Then(Arc::new(move |content: &mut Content| content.pulses.retain(|known| known.id != pulse)))
    }

    /// After the answer, the pulse has a new newest row, so that all others move down by one.
    #[must_use]
    pub fn then_insert_row(pulse: &str) -> Self {
        let pulse = pulse.to_owned();
        Self::Then(Arc::new(move |content: &mut Content| {
            for known in content.pulses.iter_mut().filter(|known| known.id == pulse) {
                let Some(mut row) = known.indicators.first().cloned() else { continue };
                row.id = 0;
                row.indicator = format!("drift-{}.example", known.indicators.len());
                row.kind = threatrelay::demo::upstream::IndicatorType::Domain;
                "2026-11-24T12:00:00".clone_into(&mut row.created);
                known.indicators.insert(0, row);
            }
        }))
    }
}
