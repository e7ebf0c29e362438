//! `/pulses/{id}/indicators`: the rows of one pulse, page by page.
//!
//! A pulse and the query go in; one page goes out, with `next` and `previous` as full URLs. Only active rows are
//! listed unless `include_inactive=1` is asked. Any `limit` is taken; a page past the end is empty.

use serde::Serialize;

use super::indicator::IndicatorType;
use super::pulse::{FalsePositive, Pulse, Row};

/// Rows in a page nobody gave a `limit` for.
const DEFAULT_LIMIT: usize = 100;

/// A listed row: 12 keys.
#[derive(Clone, Debug, Serialize)]
pub struct ListedRow<'a> {
    pulse_key: &'a str,
    id: u64,
    indicator: &'a str,
    r#type: IndicatorType,
    created: &'a str,
    content: &'static str,
    title: &'a str,
    description: &'a str,
    expiration: Option<&'a str>,
    is_active: u8,
    false_positive: &'a FalsePositive,
    slug: &'static str,
}

/// One page of anything.
#[derive(Debug, Serialize)]
pub(in crate::demo) struct Page<T> {
    results: Vec<T>,
    count: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// Which page was asked for, and of what.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Paging {
    /// URL of the resource, without query.
    pub(in crate::demo) url: String,
    /// The query, decoded, in the order it came.
    pub(in crate::demo) query: Vec<(String, String)>,
}

impl Paging {
    fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of `sort`, or an empty string.
    pub(in crate::demo) fn sort(&self) -> &str {
        self.get("sort").unwrap_or_default()
    }

    /// The value of `q`, or an empty string.
    pub(super) fn words(&self) -> &str {
        self.get("q").unwrap_or_default()
    }

    fn include_inactive(&self) -> bool {
        self.get("include_inactive").is_some_and(|value| value == "1" || value == "true")
    }

    fn number(&self, name: &str, default: usize) -> usize {
        self.get(name).and_then(|value| value.parse().ok()).filter(|&number| number > 0).unwrap_or(default)
    }

    /// The asked page of `items`.
    pub(in crate::demo) fn cut<T>(&self, mut items: Vec<T>, default_limit: usize) -> Page<T> {
        let (limit, page) = (self.number("limit", default_limit), self.number("page", 1));
        let count = items.len();
        let start = limit.saturating_mul(page - 1).min(count);
        let end = start.saturating_add(limit).min(count);
        items.truncate(end);
        items.drain(..start);
        Page {
            results: items,
            count,
            previous: (page > 1).then(|| self.url_of(page - 1)),
            next: (end < count).then(|| self.url_of(page + 1)),
        }
    }

    fn url_of(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.query.iter().filter(|(key, _)| key != "page"));
        query.append_pair("page", &page.to_string());
        format!("{}?{}", self.url, query.finish())
    }
}

/// The asked page of a pulse's rows.
pub(super) fn page<'a>(pulse: &'a Pulse, paging: &Paging) -> Page<ListedRow<'a>> {
    let mut rows: Vec<&Row> =
        pulse.indicators.iter().filter(|row| row.is_active || paging.include_inactive()).collect();
    match paging.sort() {
        "created" => rows.sort_by(|a, b| a.created.cmp(&b.created)),
        "-created" => rows.sort_by(|a, b| b.created.cmp(&a.created)),
        _ => {}
    }
    paging.cut(rows.into_iter().map(|row| ListedRow::of(&pulse.id, row)).collect(), DEFAULT_LIMIT)
}

impl<'a> ListedRow<'a> {
    /// How `row` of the pulse with this id is listed.
    #[must_use]
    pub fn of(pulse_id: &'a str, row: &'a Row) -> Self {
        Self {
            pulse_key: pulse_id,
            id: row.id,
            indicator: &row.indicator,
            r#type: row.kind,
            created: &row.created,
            content: "",
            title: &row.title,
            description: &row.description,
            expiration: row.expiration.as_deref(),
            is_active: row.is_active.into(),
            false_positive: &row.false_positive,
            slug: row.kind.slug(),
        }
    }
}
