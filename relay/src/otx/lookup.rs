//! One request's look-up: questions → `/general` → the pulses that matter → their listings → matches. Everything that
//! can be asked at once is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::{try_join, try_join_all};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::answer::{Known, Lookup, Match, Notice};
use super::cache::{GeneralKey, ListingKey, Remembered};
use super::client::Whole;
use super::endpoint::{Endpoint, Part, Section};
use super::failure::Failure;
use super::fetch::Listed;
use super::flights::Flight;
use super::listing::{Dates, Listing};
use super::passive_dns::{self, Resolution};
use super::pulse::Pulse;
use super::time::Moment;
use super::types::General;
use super::{Ask, Shared, fetch};
use crate::observable::{Class, Observable, Question};
use crate::trace::span::{self, Span};

type ListingFlight = Flight<Result<Arc<Listing>, Failure>>;

/// One request under way.
struct Request {
    shared: Arc<Shared>,
    ask: Ask,
    /// The listings this request has asked for, so that without a cache, too, each is asked for once.
    listings: Mutex<HashMap<ListingKey, ListingFlight>>,
    /// A call that OTX checks the key on is under way or done.
    key_checked: AtomicBool,
}

pub(super) async fn run(
    shared: &Arc<Shared>,
    ask: Ask,
    observables: Vec<Observable>,
) -> Result<Vec<Lookup>, Failure> {
    let accepted = shared.client.gate.key(ask.key.scope()).is_accepted();
    let request = Request {
        shared: Arc::clone(shared),
        ask,
        listings: Mutex::default(),
        key_checked: AtomicBool::new(accepted),
    };
    let asked: Vec<(Observable, Option<Question>)> = observables
        .into_iter()
        .map(|observable| {
            let question = observable.question();
            (observable, question)
        })
        .collect();
    let mut distinct: Vec<(&Observable, &Question)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (observable, question) in &asked {
        if let Some(question) = question
            && seen.insert(question)
        {
            distinct.push((observable, question));
        }
    }
    // A refused key is the same for all of them: the first to learn it ends the others.
    let answers = try_join_all(distinct.iter().map(|(observable, question)| async {
        match request.traced_answer(observable, question).await {
            Err(Failure::KeyRefused) => Err(Failure::KeyRefused),
            outcome => Ok((*question, outcome.map(Arc::new))),
        }
    }))
    .await?;
    let answers: HashMap<&Question, Result<Arc<Known>, Failure>> = answers.into_iter().collect();
    let outcome = |question: Option<&Question>| {
        question.and_then(|question| answers.get(question)).cloned().unwrap_or_else(|| Ok(Arc::default()))
    };
    let outcomes: Vec<_> = asked.iter().map(|(_, question)| outcome(question.as_ref())).collect();
    Ok(asked.into_iter().zip(outcomes).map(|((observable, _), outcome)| Lookup { observable, outcome }).collect())
}

impl Request {
    async fn traced_answer(&self, observable: &Observable, question: &Question) -> Result<Known, Failure> {
        let span = Span::child(SpanKind::Internal, "relay.lookup", || {
            vec![KeyValue::new("relay.observable.type", observable.kind.as_str())]
        });
        span.set_observable("relay.observable.value", &question.value);
        let answer = span.around(self.answer(question)).await;
        match &answer {
            Ok(Known { general, matches, .. }) => {
                let count = |things: usize| i64::try_from(things).unwrap_or(i64::MAX);
                span.set("relay.result.pulses", count(general.pulses.len()));
                // Each match becomes a sighting and the indicator of its pulse, up to the caller's limit.
                span.set("relay.result.sightings", count(matches.len()));
                span.set("relay.result.indicators", count(matches.len()));
            }
            Err(failure) => span.fail(failure.label()),
        }
        answer
    }

    async fn answer(&self, question: &Question) -> Result<Known, Failure> {
        let (mut known, (resolutions, notice)) = try_join(self.pulses(question), self.resolutions(question)).await?;
        known.resolutions = resolutions;
        known.notices.extend(notice);
        Ok(known)
    }

    /// What passive DNS has, if it is asked for, and what keeps it from being all that there is.
    async fn resolutions(&self, question: &Question) -> Result<(Vec<Resolution>, Option<Notice>), Failure> {
        let most = self.shared.passive_dns;
        if most == 0 || matches!(question.class, Class::File | Class::Url) {
            return Ok((Vec::new(), None));
        }
        let mut notices = Vec::new();
        let (section, _) = sections(question.class);
        match self.said(section, Part::PassiveDns, question, &mut notices).await {
            Ok(said) => {
                let of_it = said.general.resolutions.iter().filter(|resolution| resolution.is_of(question));
                Ok((of_it.take(most).cloned().collect(), notices.pop()))
            }
            Err(Failure::KeyRefused) => Err(Failure::KeyRefused),
            Err(failure) => Ok((Vec::new(), Some(Notice::PassiveDnsNotAsked { failure }))),
        }
    }

    async fn pulses(&self, question: &Question) -> Result<Known, Failure> {
        let mut notices = Vec::new();
        let Remembered { general, at } = self.general(question, &mut notices).await?;
        if general.is_capped() {
            notices.push(Notice::Capped { listed: general.pulses.len() });
        }
        let (relevant, left_out): (Vec<_>, Vec<_>) = {
            let (filter, now) = (&self.shared.filter, Moment::now());
            let holders = general.pulses.iter().enumerate().filter(|(_, pulse)| may_hold(pulse, &general, question));
            holders.partition(|(_, pulse)| filter.admits(pulse, now))
        };
        let found = try_join_all(relevant.into_iter().map(|(index, pulse)| async move {
            match self.listing(pulse).await {
                Err(Failure::KeyRefused) => Err(Failure::KeyRefused),
                listing => Ok((index, pulse, listing)),
            }
        }));
        let left_out = left_out.len();
        let mut matches = Vec::new();
        for (index, pulse, listing) in found.await? {
            match listing {
                Ok(listing) => {
                    let row = listing.find(question, general.indicator.as_ref());
                    // A file may stand in a pulse under a hash that only OTX can tell to be its own.
                    let under_another = question.class == Class::File && pulse.related_active != Some(false);
                    let dates = row.or(under_another.then_some(Dates::UNKNOWN));
                    let Some(dates) = dates else { continue };
                    let of_pulse = |text: &Option<String>| text.as_deref().and_then(Moment::parse);
                    let since =
                        dates.created.or_else(|| of_pulse(&pulse.created)).or_else(|| of_pulse(&pulse.modified));
                    if let Some(since) = since {
                        matches.push(Match { pulse: index, since, until: dates.expiration });
                    } else {
                        notices.push(Notice::PulseNotAsked { pulse: pulse.id.clone(), failure: Failure::NotJson });
                    }
                }
                Err(failure) => notices.push(Notice::PulseNotAsked { pulse: pulse.id.clone(), failure }),
            }
        }
        Ok(Known { general, matches, notices, left_out, resolutions: Vec::new(), age: at.elapsed() })
    }

    /// What OTX knows of the question: for a name the section that it should be in, then the other.
    async fn general(&self, question: &Question, notices: &mut Vec<Notice>) -> Result<Remembered, Failure> {
        let (first, second) = sections(question.class);
        let answer = self.said(first, Part::General, question, notices).await?;
        match second {
            Some(second) if answer.general.is_empty() => {
                let other = self.said(second, Part::General, question, notices).await?;
                // What OTX notes on a name stands in the section that it is filed in, pulses or not.
                Ok(if other.general.is_empty() && answer.general.has_notes() { answer } else { other })
            }
            _ => Ok(answer),
        }
    }

    /// One part of what OTX says of the question: what is remembered, else what it says now, else what it said before.
    async fn said(
        &self,
        section: Section,
        part: Part,
        question: &Question,
        notices: &mut Vec<Notice>,
    ) -> Result<Remembered, Failure> {
        let Shared { client, memory, generals, .. } = &*self.shared;
        let key = GeneralKey { scope: self.ask.key.scope(), section, part, value: question.value.clone() };
        let remembered = memory.general(&key);
        let fresh = remembered.as_ref().filter(|known| memory.is_fresh(known));
        if part == Part::General {
            span::record("relay.cache.hit", fresh.is_some());
        }
        if let Some(fresh) = fresh {
            client.metrics.cache_event(part.as_str(), "hit");
            return Ok(fresh.clone());
        }
        let outcome = loop {
            let (flight, joined) = generals.join(key.clone(), || {
                let (shared, ask, key) = (Arc::clone(&self.shared), self.ask.clone(), key.clone());
                async move { fetch_general(&shared, &ask, key).await }
            });
            client.metrics.cache_event(part.as_str(), if joined { "joined" } else { "miss" });
            match self.land(flight).await {
                // The flight ended with the patience of whoever began it, which was not this request.
                Err(Failure::Deadline(_)) if Instant::now() < self.ask.deadline => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Err(failure) if failure != Failure::KeyRefused => {
                let stale = remembered.and_then(|known| Some((memory.usable_age(&known)?, known)));
                let Some((age, known)) = stale else { return Err(failure) };
                client.metrics.cache_event(part.as_str(), "stale");
                if !notices.iter().any(|notice| matches!(notice, Notice::Stale { .. })) {
                    notices.push(Notice::Stale { age, failure });
                }
                Ok(known)
            }
            outcome => outcome,
        }
    }

    async fn listing(&self, pulse: &Pulse) -> Result<Arc<Listing>, Failure> {
        let Shared { client, memory, .. } = &*self.shared;
        let key = ListingKey::of(pulse, self.ask.key.scope());
        if let Some(listing) = memory.listing(&key) {
            client.metrics.cache_event("listing", "hit");
            return Ok(listing);
        }
        loop {
            let flight = self.listing_flight(pulse, &key);
            match self.land(flight.clone()).await {
                // The flight ended with the patience of whoever began it, which was not this request.
                Err(Failure::Deadline(_)) if Instant::now() < self.ask.deadline => {
                    let mut asked = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
                    if asked.get(&key).is_some_and(|asked| asked.ptr_eq(&flight)) {
                        asked.remove(&key);
                    }
                }
                outcome => return outcome,
            }
        }
    }

    fn listing_flight(&self, pulse: &Pulse, key: &ListingKey) -> ListingFlight {
        let Shared { client, listings, .. } = &*self.shared;
        let mut asked = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = asked.get(key) {
            return flight.clone();
        }
        // Flights are kept apart by key: one tenant's refused key must not fail another's request.
        let (flight, joined) = listings.join((self.ask.key.scope(), key.clone()), || {
            let (shared, ask, key) = (Arc::clone(&self.shared), self.ask.clone(), key.clone());
            let (pulse, check_key) = (Listed::from(pulse), !self.key_checked.swap(true, Ordering::Relaxed));
            async move { fetch_listing(&shared, &ask, &pulse, key, check_key).await }
        });
        client.metrics.cache_event("listing", if joined { "joined" } else { "miss" });
        asked.insert(key.clone(), flight.clone());
        flight
    }

    /// Waits for a flight, but not beyond this request's own deadline.
    async fn land<V: Clone + Send + Sync>(&self, flight: Flight<Result<V, Failure>>) -> Result<V, Failure> {
        tokio::time::timeout_at(self.ask.deadline.into(), flight)
            .await
            .unwrap_or(Some(Err(Failure::Deadline(self.ask.patience))))
            .unwrap_or(Err(Failure::Internal))
    }
}

async fn fetch_general(shared: &Shared, ask: &Ask, key: GeneralKey) -> Result<Remembered, Failure> {
    let Shared { client, memory, tier, .. } = shared;
    if let Some(tier) = tier
        && let Some((general, age)) = tier.general(&key, &client.metrics).await
        && let Some(at) = Instant::now().checked_sub(age)
    {
        let known = Remembered { general: Arc::new(general), at };
        memory.keep_general(key, known.clone());
        return Ok(known);
    }
    let endpoint = Endpoint::Indicator { section: key.section, part: key.part, value: &key.value };
    let general = match client.call(ask, endpoint, shared.answer_bytes, Whole::default).await {
        Ok(body) => match key.part {
            Part::General => General::parse(&body).map_err(|_| Failure::NotJson)?,
            Part::PassiveDns => passive_dns::parse(&body).map_err(|_| Failure::NotJson)?,
        },
        // OTX calls an indicator it does not know malformed or not found.
        Err(Failure::Status(400 | 404)) => General::default(),
        Err(failure) => return Err(failure),
    };
    let known = Remembered { general: Arc::new(general), at: Instant::now() };
    if let Some(tier) = tier {
        tier.keep_general(&key, &known.general, memory.ttl_of(&known.general), &client.metrics).await;
    }
    memory.keep_general(key, known.clone());
    Ok(known)
}

async fn fetch_listing(
    shared: &Shared,
    ask: &Ask,
    pulse: &Listed,
    key: ListingKey,
    check_key: bool,
) -> Result<Arc<Listing>, Failure> {
    let Shared { client, memory, tier, .. } = shared;
    if let Some(tier) = tier
        && let Some(listing) = tier.listing(&key, &client.metrics).await
    {
        let listing = Arc::new(listing);
        memory.keep_listing(key, Arc::clone(&listing));
        return Ok(listing);
    }
    let listing = Arc::new(fetch::listing(client, ask, pulse, shared.sizes, check_key).await?);
    if check_key {
        client.gate.key(ask.key.scope()).set_accepted(true);
    }
    if let Some(tier) = tier {
        tier.keep_listing(&key, &listing, memory.listing_ttl(), &client.metrics).await;
    }
    memory.keep_listing(key, Arc::clone(&listing));
    Ok(listing)
}

pub(super) const fn sections(class: Class) -> (Section, Option<Section>) {
    match class {
        Class::Ipv4 => (Section::Ipv4, None),
        Class::Ipv6 => (Section::Ipv6, None),
        Class::File => (Section::File, None),
        Class::Url => (Section::Url, None),
        Class::RegistrableDomain => (Section::Domain, Some(Section::Hostname)),
        Class::Hostname => (Section::Hostname, Some(Section::Domain)),
    }
}

/// Whether the pulse's listing can hold a row of the indicator.
///
/// A listing holds active rows only, so where OTX says that the indicator is inactive in a pulse there is none. For
/// hashes the flag and the types may speak of another hash of the same file.
fn may_hold(pulse: &Pulse, general: &General, question: &Question) -> bool {
    let has_type = |is_it: &dyn Fn(&str) -> bool| {
        pulse.indicator_types.is_empty() || pulse.indicator_types.iter().any(|kind| is_it(kind))
    };
    if question.class == Class::File {
        return has_type(&|kind| kind.starts_with("FileHash") || matches!(kind, "MD5" | "SHA1" | "SHA256"));
    }
    let kind = general.indicator.as_ref().and_then(|indicator| indicator.kind.as_deref());
    pulse.related_active != Some(false) && kind.is_none_or(|kind| has_type(&|listed| listed == kind))
}
