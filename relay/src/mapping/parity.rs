//! The original's documents: of each match a sighting, the indicator of its pulse, and the relationship of both.

use std::collections::HashMap;

use super::{Validity, bare, newest, page};
use crate::ctim::{
    self, Bond, Bundle, Confidence, Indicator, Relationship, SOURCE, Sighting, Title, Tlp, transient_id,
};
use crate::otx::Lookup;
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;

/// The bundle of some look-ups: of each observable the `limit` newest matches. Links for people start with `web`.
pub(super) fn bundle<'a>(lookups: &'a [Lookup], limit: usize, web: &str) -> Bundle<'a> {
    let mut bundle = Bundle::default();
    // A pulse that holds several of the observables is one indicator.
    let mut indicators: HashMap<&str, (usize, Validity)> = HashMap::new();
    for Lookup { observable, outcome } in lookups {
        let Ok(known) = outcome else { continue };
        let observable = ctim::Observable { kind: observable.kind.as_str(), value: &observable.value };
        for (matched, pulse) in newest(known, limit) {
            let indicator = transient_id("indicator", &pulse.id);
            let sighting = sighting(observable, matched.since, pulse, web);
            bundle.relationships.0.push(Relationship::plain(&sighting.id, Bond::MemberOf, &indicator));
            bundle.sightings.0.push(sighting);
            let validity = Validity { since: matched.since, until: matched.until };
            if let Some((index, known)) = indicators.get_mut(pulse.id.as_str()) {
                *known = known.or(validity);
                if let Some(indicator) = bundle.indicators.0.get_mut(*index) {
                    indicator.valid_time = known.span();
                }
            } else {
                indicators.insert(&pulse.id, (bundle.indicators.0.len(), validity));
                bundle.indicators.0.push(self::indicator(indicator, validity, pulse, web));
            }
        }
    }
    bundle
}

fn sighting<'a>(observable: ctim::Observable<'a>, since: Moment, pulse: &'a Pulse, web: &str) -> Sighting<'a> {
    let name = format!("{} in {} {}", pulse.id, observable.kind, observable.value);
    Sighting::from(ctim::sighting::Parts {
        id: transient_id("sighting", &name),
        external_id: &pulse.id,
        confidence: Confidence::High,
        external_reference: None,
        observable,
        observed: since.to_rfc3339(),
        description: ctim::Description::new(pulse.description.as_deref().unwrap_or_default()),
        title: title(pulse),
        source_uri: page(pulse, web),
        timestamp: None,
        tlp: pulse.tlp.as_deref().and_then(Tlp::parse),
    })
}

fn indicator<'a>(id: String, validity: Validity, pulse: &'a Pulse, web: &str) -> Indicator<'a> {
    Indicator::from(ctim::indicator::Parts {
        id,
        external_id: &pulse.id,
        confidence: Confidence::High,
        description: None,
        external_references: Vec::new(),
        indicator_type: Vec::new(),
        producer: Title::new(pulse.author.as_deref().filter(|author| !bare(author).is_empty()).unwrap_or(SOURCE)),
        short_description: ctim::ShortDescription::new(pulse.description.as_deref().unwrap_or_default()),
        tags: pulse.tags.iter().map(Title::new).collect(),
        title: title(pulse),
        source_uri: page(pulse, web),
        timestamp: None,
        tlp: pulse.tlp.as_deref().and_then(Tlp::parse),
        valid_time: validity.span(),
    })
}

fn title(pulse: &Pulse) -> Option<Title<'_>> {
    pulse.name.as_deref().map(Title::new)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::mapping::fixture::{lookup, pulse};

    fn json(lookups: &[Lookup], limit: usize) -> serde_json::Value {
        serde_json::to_value(bundle(lookups, limit, "https://otx.example")).unwrap()
    }

    #[test]
    fn a_match_is_the_originals_three_documents() {
        let bundle = json(&[lookup("192.0.2.1", vec![pulse("p1")], &[("2024-01-02T03:04:05", None)])], 100);
        let indicator = "transient:indicator-89705643-91cc-5de2-87fc-3fb94942babb";
        let sighting = bundle["sightings"]["docs"][0]["id"].clone();
        assert_eq!(
            bundle["sightings"],
            serde_json::json!({"count": 1, "docs": [{
                "confidence": "High", "count": 1, "description": "Words", "external_ids": ["p1"], "id": sighting,
                "internal": false, "observables": [{"type": "ip", "value": "192.0.2.1"}],
                "observed_time": {"end_time": "2024-01-02T03:04:05Z", "start_time": "2024-01-02T03:04:05Z"},
                "schema_version": "1.0.17", "source": "AlienVault OTX", "source_uri": "https://otx.example/pulse/p1",
                "title": "Campaign", "tlp": "green", "type": "sighting",
            }]})
        );
        assert_eq!(
            bundle["indicators"],
            serde_json::json!({"count": 1, "docs": [{
                "confidence": "High", "external_ids": ["p1"], "id": indicator, "producer": "rose",
                "schema_version": "1.0.17", "short_description": "Words", "source": "AlienVault OTX",
                "source_uri": "https://otx.example/pulse/p1", "tags": ["c2"], "title": "Campaign", "tlp": "green",
                "type": "indicator", "valid_time": {"start_time": "2024-01-02T03:04:05Z"},
            }]})
        );
        let relationship = &bundle["relationships"]["docs"][0];
        assert_eq!((&relationship["source_ref"], &relationship["target_ref"]), (&sighting, &indicator.into()));
        assert_eq!(relationship["relationship_type"], "member-of");
    }

    #[test]
    fn asking_twice_gives_the_same_bundle() {
        let ask = || json(&[lookup("192.0.2.1", vec![pulse("p1")], &[("2024-01-02T03:04:05", None)])], 100);
        assert_eq!(ask(), ask());
    }

    #[test]
    fn the_newest_matches_come_first_up_to_the_limit() {
        let pulses = vec![pulse("a"), pulse("b"), pulse("c"), pulse("d")];
        let times = [("2024-01-01", None), ("2024-03-01", None), ("2024-02-01", None), ("2024-03-01", None)];
        let bundle = json(&[lookup("192.0.2.1", pulses, &times)], 3);
        let order: Vec<_> = bundle["sightings"]["docs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sighting| &sighting["external_ids"][0])
            .collect();
        assert_eq!(order, ["b", "d", "c"]);
    }

    #[test]
    fn a_pulse_that_holds_several_observables_is_one_indicator_for_as_long_as_any_of_them() {
        let lookups = [
            lookup("192.0.2.1", vec![pulse("p")], &[("2024-02-01", Some("2024-03-01"))]),
            lookup("192.0.2.2", vec![pulse("p")], &[("2024-01-01", Some("2024-02-01"))]),
        ];
        let bundle = json(&lookups, 100);
        assert_eq!((&bundle["indicators"]["count"], &bundle["sightings"]["count"]), (&1.into(), &2.into()));
        assert_eq!(
            bundle["indicators"]["docs"][0]["valid_time"],
            serde_json::json!({"start_time": "2024-01-01T00:00:00Z", "end_time": "2024-03-01T00:00:00Z"})
        );
    }

    #[test]
    fn what_ctim_forbids_is_put_right() {
        let odd = Pulse {
            id: "a/b".into(),
            name: None,
            description: Some("d".repeat(6000)),
            tags: vec!["t".repeat(2000)],
            tlp: Some("ultraviolet".into()),
            author: None,
            ..Pulse::default()
        };
        let bundle = json(&[lookup("192.0.2.1", vec![odd], &[("2024-02-01", Some("2024-01-01"))])], 100);
        let (indicator, sighting) = (&bundle["indicators"]["docs"][0], &bundle["sightings"]["docs"][0]);
        let length = |text: &serde_json::Value| text.as_str().unwrap().len();
        assert_eq!((length(&sighting["description"]), length(&indicator["short_description"])), (5000, 2048));
        assert_eq!(length(&indicator["tags"][0]), 1024);
        assert_eq!((indicator.get("title"), indicator.get("tlp"), sighting.get("tlp")), (None, None, None));
        assert_eq!(indicator["producer"], "AlienVault OTX");
        assert_eq!(indicator["valid_time"]["end_time"], indicator["valid_time"]["start_time"]);
        assert_eq!(indicator["source_uri"], "https://otx.example/pulse/a%2Fb");
    }

    #[test]
    fn nothing_known_is_an_empty_bundle() {
        assert_eq!(json(&[lookup("192.0.2.1", Vec::new(), &[])], 100), serde_json::json!({}));
    }
}
