//! Which of the pulses that hold an observable are shown, as the settings say. What is left out costs no call. Pure but
//! for the clock that is passed in; a filter that is not set admits every pulse.

use super::pulse::Pulse;
use super::time::Moment;
use crate::config::Filter;
use crate::ctim::Tlp;

impl Filter {
    /// Whether the pulse is shown.
    pub(super) fn admits(&self, pulse: &Pulse, now: Moment) -> bool {
        let Self { authors, ignored_authors, max_age_days, tlp, subscribed_only } = self;
        let is_by = |names: &[String]| {
            pulse.author.as_deref().is_some_and(|author| names.iter().any(|name| name.eq_ignore_ascii_case(author)))
        };
        let is_recent = |days: u32| {
            let changed =
                [&pulse.modified, &pulse.created].into_iter().flatten().find_map(|text| Moment::parse(text));
            changed.is_some_and(|changed| changed.plus_days(days) >= now)
        };
        // A pulse without a colour may be for anybody or for nobody.
        let colour = || pulse.tlp.as_deref().and_then(Tlp::parse).unwrap_or(Tlp::Red);
        (authors.is_empty() || is_by(authors))
            && !is_by(ignored_authors)
            && max_age_days.is_none_or(is_recent)
            && tlp.is_none_or(|most| colour() <= most)
            && (!subscribed_only || pulse.reception.is_subscribed)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use crate::otx::pulse::Reception;

    fn pulse() -> Pulse {
        Pulse {
            id: "p".into(),
            author: Some("North-Quay".into()),
            modified: Some("2026-10-02T16:45:09.102000".into()),
            tlp: Some("amber".into()),
            ..Pulse::default()
        }
    }

    #[test]
    fn each_filter_admits_what_it_says_and_none_is_on_by_default() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let off = Filter::default;
        let subscribed = Pulse { reception: Reception { is_subscribed: true, ..Reception::default() }, ..pulse() };
        let nameless = Pulse { author: None, tlp: None, modified: None, ..pulse() };
        for (what, filter, pulse, admitted) in [
            ("nothing set", off(), nameless.clone(), true),
            ("author wanted", Filter { authors: names(&["x", "north-quay"]), ..off() }, pulse(), true),
            ("author not wanted", Filter { authors: names(&["x"]), ..off() }, pulse(), false),
            ("no author where one is wanted", Filter { authors: names(&["x"]), ..off() }, nameless.clone(), false),
            ("author ignored", Filter { ignored_authors: names(&["NORTH-QUAY"]), ..off() }, pulse(), false),
            ("another ignored", Filter { ignored_authors: names(&["x"]), ..off() }, pulse(), true),
            ("young enough", Filter { max_age_days: Some(31), ..off() }, pulse(), true),
            ("too old", Filter { max_age_days: Some(29), ..off() }, pulse(), false),
            ("of no known age", Filter { max_age_days: Some(29), ..off() }, nameless.clone(), false),
            ("colour allowed", Filter { tlp: Some(Tlp::Amber), ..off() }, pulse(), true),
            ("colour too restricted", Filter { tlp: Some(Tlp::Green), ..off() }, pulse(), false),
            ("no colour", Filter { tlp: Some(Tlp::Amber), ..off() }, nameless, false),
            ("not subscribed", Filter { subscribed_only: true, ..off() }, pulse(), false),
            ("subscribed", Filter { subscribed_only: true, ..off() }, subscribed, true),
        ] {
            let now = Moment::parse("2026-11-01T00:00:00").unwrap();
            assert_eq!(filter.admits(&pulse, now), admitted, "{what}");
        }
    }
}
