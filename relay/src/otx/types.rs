//! What OTX says of an indicator (`/general`; [`super::passive_dns`] reads the other section), reduced to what answers are made of. Reading is tolerant: whatever is
//! missing or malformed is absent here; only an answer that is not an object at all is refused by the caller.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::lenient::{self, List, Number, Object};
use super::passive_dns::Resolution;
use super::pulse::{Pulse, WirePulse};
use super::surrogates;

/// OTX lists 50 pulses at most; `pulse_info.count` then says 50, which means "50 or more" (measured 2026-08).
const PULSE_CAP: usize = 50;

/// No answer of OTX lists more pulses than this; what a hostile one adds is not kept.
const PULSES_KEPT: usize = 1000;
/// Notes on an indicator that are kept.
const NOTES_KEPT: usize = 20;

/// One answer about an indicator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct General {
    /// The indicator as OTX filed it; absent when OTX has none (`base_indicator: {}`).
    pub indicator: Option<BaseIndicator>,
    /// The pulses it is in, newest first, at most 50 from the real OTX.
    pub pulses: Vec<Pulse>,
    /// `pulse_info.count`.
    pub count: u64,
    /// What OTX itself notes on the indicator: the lists it stands on, most of them of harmless ones.
    pub validation: Vec<Validation>,
    /// What became of reports that it is no threat: `accepted`, `pending` and the like.
    pub false_positives: Vec<String>,
    /// What passive DNS has, the newest first; in an answer of that section, which has nothing else.
    pub resolutions: Vec<Resolution>,
}

/// A note of OTX's own on an indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// The list: `whitelist`, `false_positive`, `majestic`, `alexa`, `akamai`, `aws`, `suspicious` are known.
    pub source: String,
    /// A sentence, e.g. `Whitelisted domain example.com`.
    pub message: Option<String>,
}

/// `base_indicator`: the identity of an indicator across pulses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseIndicator {
    /// The global id, the same in every pulse's listing.
    pub id: Option<u64>,
    /// OTX's type name, e.g. `IPv4`, `FileHash-SHA1`.
    pub kind: Option<String>,
    /// The value as OTX spells it; for a hash maybe another hash of the same file.
    pub value: Option<String>,
}

/// The answer was an object without the parts every `/general` answer has.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is no answer of `/general`")]
pub struct NotGeneral;

impl General {
    /// Reads a body. `null` is an answer that knows nothing, as in the original.
    ///
    /// # Errors
    /// [`NotGeneral`].
    pub fn parse(body: &[u8]) -> Result<Self, NotGeneral> {
        let answer: Option<WireGeneral> = match serde_json::from_slice(body) {
            Ok(answer) => answer,
            Err(_) => serde_json::from_slice(&surrogates::mend(body).ok_or(NotGeneral)?).map_err(|_| NotGeneral)?,
        };
        let Some(answer) = answer else { return Ok(Self::default()) };
        let info = answer.pulse_info.0.ok_or(NotGeneral)?;
        let mut pulses: Vec<Pulse> = info.pulses.0.into_iter().filter_map(|pulse| pulse.0?.into_domain()).collect();
        let mut listed = HashSet::new();
        pulses.retain(|pulse| listed.insert(pulse.id.clone()));
        Ok(Self {
            indicator: answer.base_indicator.0.and_then(WireIndicator::into_domain),
            count: info.count.0.unwrap_or(0),
            pulses,
            validation: answer.validation.0.into_iter().filter_map(|note| note.0?.into_domain()).collect(),
            false_positives: answer.false_positive.0.into_iter().filter_map(|report| report.0?.assessment).collect(),
            resolutions: Vec::new(),
        })
    }

    /// True when OTX has neither a pulse on the indicator nor, where that was asked, passive DNS.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pulses.is_empty() && self.resolutions.is_empty()
    }

    /// True when OTX notes something on the indicator, in a pulse or not.
    #[must_use]
    pub fn has_notes(&self) -> bool {
        !self.validation.is_empty() || !self.false_positives.is_empty()
    }

    /// True when there may be pulses OTX did not list.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        let listed = self.pulses.len();
        listed >= PULSE_CAP || self.count > u64::try_from(listed).unwrap_or(u64::MAX)
    }

    /// Rough bytes held, for the cache's bound.
    pub(super) fn weight(&self) -> usize {
        let notes =
            self.validation.iter().map(|note| note.source.len() + note.message.as_ref().map_or(0, String::len));
        let reports = self.false_positives.iter().map(String::len);
        let texts = notes.chain(reports).map(|bytes| bytes + 48).sum::<usize>();
        let resolutions = self.resolutions.iter().map(Resolution::weight).sum::<usize>();
        size_of::<Self>() + 96 + texts + resolutions + self.pulses.iter().map(Pulse::weight).sum::<usize>()
    }
}

#[derive(Deserialize)]
struct WireGeneral {
    #[serde(default)]
    base_indicator: Object<WireIndicator>,
    #[serde(default)]
    pulse_info: Object<WireInfo>,
    #[serde(default)]
    validation: List<Object<WireValidation>, NOTES_KEPT>,
    #[serde(default)]
    false_positive: List<Object<WireFalsePositive>, NOTES_KEPT>,
}

#[derive(Deserialize)]
struct WireValidation {
    #[serde(default, deserialize_with = "lenient::text")]
    source: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    message: Option<String>,
}

impl WireValidation {
    fn into_domain(self) -> Option<Validation> {
        Some(Validation { source: self.source.filter(|source| !source.is_empty())?, message: self.message })
    }
}

#[derive(Deserialize)]
struct WireFalsePositive {
    #[serde(default, deserialize_with = "lenient::text")]
    assessment: Option<String>,
}

#[derive(Deserialize)]
struct WireIndicator {
    #[serde(default)]
    id: Number,
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(default, rename = "indicator", deserialize_with = "lenient::text")]
    value: Option<String>,
}

impl WireIndicator {
    fn into_domain(self) -> Option<BaseIndicator> {
        let Self { id: Number(id), kind, value } = self;
        (id.is_some() || kind.is_some() || value.is_some()).then_some(BaseIndicator { id, kind, value })
    }
}

#[derive(Deserialize)]
struct WireInfo {
    #[serde(default)]
    count: Number,
    #[serde(default)]
    pulses: List<Object<WirePulse>, PULSES_KEPT>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_null_or_of_another_type_is_absent() {
        let body = r#"{"base_indicator": {"id": "12", "type": null, "indicator": 7}, "pulse_info": {"count": "2", "pulses": [
            {"id": "a", "name": null, "tags": ["x", null, 3, ["y"]], "author": "nobody", "public": true,
             "indicator_type_counts": {"IPv4": 1, "domain": "many"}, "related_indicator_is_active": 0, "TLP": ["red"]},
            {"name": "no id"}, null, 5, {"id": 17, "description": {}, "indicator_count": -1, "public": 2}]}}"#;
        let general = General::parse(body.as_bytes()).unwrap();
        let indicator = BaseIndicator { id: Some(12), kind: None, value: Some("7".into()) };
        assert_eq!((general.indicator.as_ref(), general.count), (Some(&indicator), 2));
        let first = Pulse {
            id: "a".into(),
            tags: vec!["x".into(), "3".into()],
            public: true,
            indicator_types: vec!["IPv4".into(), "domain".into()],
            related_active: Some(false),
            ..Pulse::default()
        };
        assert_eq!(general.pulses, [first, Pulse { id: "17".into(), ..Pulse::default() }]);
    }

    #[test]
    fn notes_and_reports_are_read_and_what_is_none_of_them_left_out() {
        let body = r#"{"pulse_info": {}, "validation": [{"source": "whitelist", "message": "Whitelisted domain"}, {"name": "x"},
            null, {"source": "majestic"}], "false_positive": [{"assessment": "accepted"}, {"assessment": null}, 3]}"#;
        let general = General::parse(body.as_bytes()).unwrap();
        let note = |source: &str, message: Option<&str>| Validation {
            source: source.into(),
            message: message.map(Into::into),
        };
        assert_eq!(general.validation, [note("whitelist", Some("Whitelisted domain")), note("majestic", None)]);
        assert_eq!(general.false_positives, ["accepted"]);
        assert!(general.has_notes() && !General::default().has_notes());
    }

    #[test]
    fn a_pulse_that_is_listed_twice_is_one() {
        let body = r#"{"pulse_info": {"pulses": [{"id": "a", "name": "1"}, {"id": "b"}, {"id": "a", "name": "2"}]}}"#;
        let pulses = General::parse(body.as_bytes()).unwrap().pulses;
        let pulses: Vec<_> = pulses.iter().map(|pulse| (pulse.id.as_str(), pulse.name.as_deref())).collect();
        assert_eq!(pulses, [("a", Some("1")), ("b", None)]);
    }

    #[test]
    fn an_answer_that_knows_nothing_is_empty() {
        for body in
            ["null", r#"{"base_indicator": {}, "pulse_info": {"count": 0, "pulses": []}}"#, r#"{"pulse_info": {}}"#]
        {
            assert_eq!(General::parse(body.as_bytes()).unwrap(), General::default(), "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in ["", "{}", "[]", "7", "\"x\"", "<html></html>", r#"{"pulse_info": []}"#, r#"{"pulse_info": {}"#] {
            assert!(General::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_hides_nothing() {
        let body = r#"{"pulse_info": {"pulses": [{"id": "a", "name": "\ud83d!"}]}}"#;
        let general = General::parse(body.as_bytes()).unwrap();
        assert_eq!(general.pulses[0].name.as_deref(), Some("\u{fffd}!"));
    }

    #[test]
    fn a_full_list_or_a_larger_count_may_hide_pulses() {
        let general = |pulses: usize, count| General {
            pulses: (0..pulses).map(|id| Pulse { id: id.to_string(), ..Pulse::default() }).collect(),
            count,
            ..General::default()
        };
        assert!(general(50, 50).is_capped() && general(1, 29).is_capped());
        assert!(!general(49, 49).is_capped() && !general(0, 0).is_capped());
    }
}
