//! What OTX's content says of an observable, worked out the slow and obvious way: no calls, no pages, no caches. It
//! shares no code with the engine, not even the notion of what spellings are one value.
//!
//! Content and a reader's name go in; every pulse that holds the observable comes out, with its dates. It knows the
//! observables that the generators of these tests make, not everything that can stand in a pulse.

use std::net::Ipv6Addr;

use threatrelay::demo::upstream::{Content, IndicatorType, Pulse, Row};
use threatrelay::observable::{Observable, ObservableType};

use crate::engine::Hit;

/// What must be known of `observable` by the reader of this name, sorted by pulse.
#[must_use]
pub fn hits(content: &Content, reader: &str, observable: &Observable) -> Vec<Hit> {
    let aliases = aliases(content, observable);
    let visible = content.pulses.iter().filter(|pulse| {
        let owner = pulse.visible_to.as_deref();
        owner.is_none_or(|owner| owner == reader)
    });
    let mut hits: Vec<Hit> = visible.filter_map(|pulse| hit(pulse, observable, &aliases)).collect();
    hits.sort();
    hits
}

/// The types and canonical values under which the observable may stand in a pulse, the best first. For a file: the hash
/// that OTX keeps it by, the asked one, then the others, which only OTX can tell to be its own.
struct Aliases {
    dated: Vec<(IndicatorType, String)>,
    undated: Vec<(IndicatorType, String)>,
}

fn aliases(content: &Content, observable: &Observable) -> Aliases {
    let asked = (kind_of(observable), observable.value.as_str());
    let asked = (asked.0, canonical(asked.0, asked.1));
    let hashes = |group: &threatrelay::demo::upstream::HashGroup| {
        [(IndicatorType::Md5, &group.md5), (IndicatorType::Sha1, &group.sha1), (IndicatorType::Sha256, &group.sha256)]
            .map(|(kind, hash)| (kind, canonical(kind, hash)))
    };
    let Some(group) = content.files.iter().find(|group| hashes(group).contains(&asked)) else {
        return Aliases { dated: vec![asked], undated: Vec::new() };
    };
    let (base, others): (Vec<_>, Vec<_>) = hashes(group).into_iter().partition(|(kind, _)| *kind == group.base);
    let others = others.into_iter().filter(|alias| *alias != asked).collect();
    let mut dated = base;
    if !dated.contains(&asked) {
        dated.push(asked);
    }
    Aliases { dated, undated: others }
}

fn hit(pulse: &Pulse, observable: &Observable, aliases: &Aliases) -> Option<Hit> {
    let newest = |alias: &(IndicatorType, String)| {
        let rows = pulse.indicators.iter().filter(|row| row.is_active && is(row, alias));
        rows.max_by_key(|row| &row.created)
    };
    let zoned = |time: &str| format!("{time}Z");
    let (since, until) = if let Some(row) = aliases.dated.iter().find_map(newest) {
        (zoned(&row.created), row.expiration.as_deref().map(zoned))
    } else {
        aliases.undated.iter().find_map(newest)?;
        (zoned(&pulse.created), None)
    };
    Some(Hit { value: observable.value.clone(), pulse: pulse.id.clone(), since, until })
}

fn is(row: &Row, alias: &(IndicatorType, String)) -> bool {
    row.kind == alias.0 && canonical(row.kind, &row.indicator) == alias.1
}

/// The type that OTX files the observable under. A name of two labels is a domain here, a longer one a host name.
fn kind_of(observable: &Observable) -> IndicatorType {
    match observable.kind {
        ObservableType::Ip => IndicatorType::Ipv4,
        ObservableType::Ipv6 => IndicatorType::Ipv6,
        ObservableType::Url => IndicatorType::Url,
        ObservableType::Md5 => IndicatorType::Md5,
        ObservableType::Sha1 => IndicatorType::Sha1,
        ObservableType::Sha256 => IndicatorType::Sha256,
        ObservableType::Email => IndicatorType::Email,
        ObservableType::Domain if observable.value.trim_end_matches('.').matches('.').count() == 1 => {
            IndicatorType::Domain
        }
        ObservableType::Domain => IndicatorType::Hostname,
    }
}

/// One spelling for all spellings of a value.
fn canonical(kind: IndicatorType, value: &str) -> String {
    match kind {
        IndicatorType::Ipv6 => value.parse::<Ipv6Addr>().map_or_else(|_| value.to_owned(), |ip| format!("{ip:?}")),
        IndicatorType::Url => match value.split_once("://").and_then(|(scheme, rest)| {
            let (host, path) = rest.split_once('/')?;
            Some(format!("{}://{}/{path}", scheme.to_lowercase(), host.to_lowercase()))
        }) {
            Some(url) => url,
            None => value.to_owned(),
        },
        IndicatorType::Domain | IndicatorType::Hostname => value.to_lowercase().trim_end_matches('.').to_owned(),
        _ => value.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{OWNER, content, domain, pulse, row};

    #[test]
    fn a_pulse_holds_what_stands_in_it_active_and_may_be_read() {
        let expired = Row { is_active: false, ..row(IndicatorType::Domain, "evil.example") };
        let newer = Row { created: "2026-03-03T03:03:03".into(), ..row(IndicatorType::Domain, "evil.example") };
        let others = Pulse { visible_to: Some("somebody else".into()), ..pulse(2, vec![newer.clone()]) };
        let pulses = vec![
            pulse(0, vec![expired]),
            pulse(1, vec![row(IndicatorType::Domain, "EVIL.example"), newer]),
            others,
            pulse(3, vec![row(IndicatorType::Hostname, "evil.example")]),
        ];
        let found = hits(&content(pulses), OWNER, &domain("evil.example."));
        let found: Vec<_> = found.iter().map(|hit| (hit.pulse.ends_with('1'), hit.since.as_str())).collect();
        assert_eq!(found, [(true, "2026-03-03T03:03:03Z")]);
    }
}
