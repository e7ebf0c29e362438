//! What passive DNS has on an observable, as one sighting with a relation `Resolved_To` a record: from the name to the
//! address. It is no match: it belongs to no indicator, and no judgement rests on it.

use std::net::IpAddr;

use super::Telling;
use crate::api::refer::link;
use crate::ctim::{self, Relation, Sighting, Span, transient_id};
use crate::observable::{Observable, ObservableType};
use crate::otx::Known;
use crate::otx::passive_dns::Resolution;

/// The sighting, if there is something to tell.
pub(super) fn sighting<'a>(
    observable: &'a Observable,
    known: &'a Known,
    telling: &Telling<'_>,
) -> Option<Sighting<'a>> {
    let first = known.resolutions.iter().map(|resolution| resolution.first).min()?;
    let last = known.resolutions.iter().map(|resolution| resolution.last).max()?;
    let page = link(observable, telling.web);
    let relations = known.resolutions.iter().map(|resolution| relation(observable, resolution, &page)).collect();
    let Observable { kind, value } = observable;
    let id = transient_id("sighting", &format!("passive DNS of {kind} {value}"));
    let observed = Span { end_time: Some(last.to_rfc3339()), start_time: first.to_rfc3339() };
    Some(Sighting::resolved(id, asked(observable), observed, relations, page))
}

fn asked(observable: &Observable) -> ctim::Observable<'_> {
    ctim::Observable { kind: observable.kind.as_str(), value: &observable.value }
}

/// One record. What was asked about stands in it as it was received, so that the platform knows it again.
fn relation<'a>(observable: &'a Observable, resolution: &'a Resolution, page: &str) -> Relation<'a> {
    let Resolution { name, address, first, last } = resolution;
    let kind = match address.parse() {
        Ok(IpAddr::V6(_)) => ObservableType::Ipv6,
        _ => ObservableType::Ip,
    };
    let (mut source, mut related) = (
        ctim::Observable { kind: ObservableType::Domain.as_str(), value: name },
        ctim::Observable { kind: kind.as_str(), value: address },
    );
    if matches!(observable.kind, ObservableType::Ip | ObservableType::Ipv6) {
        related = asked(observable);
    } else if observable.value.trim().trim_end_matches('.').eq_ignore_ascii_case(name) {
        source = asked(observable);
    }
    Relation::resolved(source, related, (first.to_rfc3339(), last.to_rfc3339()), page)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::super::Answers;
    use super::super::fixture::moment;
    use super::*;

    fn told(kind: ObservableType, value: &str, resolutions: Vec<Resolution>) -> Option<serde_json::Value> {
        let web: Url = "https://otx.example".parse().unwrap();
        let telling = Telling { limit: 100, web: &web, answers: Answers::Parity };
        let known = Arc::new(Known { resolutions, ..Known::default() });
        sighting(&Observable { kind, value: value.into() }, &known, &telling)
            .map(|sighting| serde_json::to_value(sighting).unwrap())
    }

    fn record(name: &str, address: &str, first: &str, last: &str) -> Resolution {
        Resolution { name: name.into(), address: address.into(), first: moment(first), last: moment(last) }
    }

    #[test]
    fn the_span_holds_all_records_and_each_is_a_relation_from_the_name_to_the_address() {
        let records = vec![
            record("evil.example", "203.0.113.7", "2026-02-01T00:00:00", "2026-05-01T00:00:00"),
            record("www.evil.example", "2001:db8::66", "2026-01-01T00:00:00", "2026-03-01T00:00:00"),
        ];
        let told = told(ObservableType::Domain, "EVIL.example", records).unwrap();
        let observed = &told["observed_time"];
        assert_eq!(
            (&observed["start_time"], &observed["end_time"]),
            (&"2026-01-01T00:00:00Z".into(), &"2026-05-01T00:00:00Z".into())
        );
        assert_eq!(told["relations"][0]["source"], serde_json::json!({"type": "domain", "value": "EVIL.example"}));
        assert_eq!(
            told["relations"][1]["source"],
            serde_json::json!({"type": "domain", "value": "www.evil.example"})
        );
        assert_eq!(told["relations"][1]["related"], serde_json::json!({"type": "ipv6", "value": "2001:db8::66"}));
        assert_eq!(told["relations"][0]["relation_info"]["last"], "2026-05-01T00:00:00Z");
        assert!(told.get("external_ids").is_none() && told.get("tlp").is_none());
    }

    #[test]
    fn an_address_stands_in_its_relations_as_it_was_received() {
        let records = vec![record("evil.example", "2001:db8::66", "2026-02-01T00:00:00", "2026-05-01T00:00:00")];
        let told = told(ObservableType::Ipv6, "2001:DB8:0:0::66", records).unwrap();
        assert_eq!(told["relations"][0]["related"]["value"], "2001:DB8:0:0::66");
    }

    #[test]
    fn nothing_seen_is_nothing_told() {
        assert_eq!(told(ObservableType::Ip, "192.0.2.1", Vec::new()), None);
    }
}
