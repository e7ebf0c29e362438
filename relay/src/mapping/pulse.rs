//! A pulse as an indicator, with all that CTIM has a place for: whole text, references, lists by the types in it. What
//! has no field of its own becomes a tag.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use url::Url;

use super::threats::actor_name;
use super::{Validity, bare, is_web_address, page};
use crate::ctim::{
    self, Confidence, Description, ExternalReference, Indicator, SOURCE, ShortDescription, Title, Tlp,
};
use crate::otx::pulse::Pulse;
use crate::otx::time::Moment;

/// The indicator that a pulse is.
pub(super) fn indicator<'a>(
    id: String,
    validity: Validity,
    confidence: Confidence,
    pulse: &'a Pulse,
    site: &str,
) -> Indicator<'a> {
    let description = pulse.description.as_deref().unwrap_or_default();
    Indicator::from(ctim::indicator::Parts {
        id,
        external_id: &pulse.id,
        confidence,
        description: Some(Description::of_words(description)).filter(|text| !text.as_str().is_empty()),
        external_references: references(pulse, site),
        indicator_type: lists(pulse),
        producer: Title::of_words(author(pulse).unwrap_or(SOURCE)),
        short_description: ShortDescription::of_words(first_line(description)),
        tags: tags(pulse),
        title: title(pulse),
        source_uri: page(pulse, site),
        timestamp: timestamp(pulse),
        tlp: tlp(pulse),
        valid_time: validity.span_with_end(),
    })
}

/// Who made it, if that is told.
pub(super) fn author(pulse: &Pulse) -> Option<&str> {
    pulse.author.as_deref().map(bare).filter(|author| !author.is_empty())
}

pub(super) fn title(pulse: &Pulse) -> Option<Title<'_>> {
    pulse.name.as_deref().map(Title::of_words).filter(|title| !title.as_str().is_empty())
}

pub(super) fn tlp(pulse: &Pulse) -> Option<Tlp> {
    pulse.tlp.as_deref().and_then(Tlp::parse)
}

/// When it last changed.
pub(super) fn timestamp(pulse: &Pulse) -> Option<String> {
    pulse.modified.as_deref().and_then(Moment::parse).map(Moment::to_rfc3339)
}

/// The pulse's own page.
pub(super) fn own_reference<'a>(pulse: &'a Pulse, site: &str) -> ExternalReference<'a> {
    ExternalReference {
        description: None,
        external_id: Some(Cow::Borrowed(&pulse.id)),
        source_name: ShortDescription::new(SOURCE),
        url: Some(page(pulse, site).into()),
    }
}

/// The pulse's own page, then what its author refers to: pages under the name of their host, all else as a text.
fn references<'a>(pulse: &'a Pulse, site: &str) -> Vec<ExternalReference<'a>> {
    let mut seen = HashSet::new();
    let named = pulse.threat.references.iter().map(|text| text.trim()).filter(|text| seen.insert(*text));
    std::iter::once(own_reference(pulse, site)).chain(named.map(reference)).collect()
}

fn reference(text: &str) -> ExternalReference<'_> {
    let url = Url::parse(text).ok().filter(is_web_address);
    let host = url.as_ref().and_then(Url::host_str).filter(|host| !host.is_empty()).map(str::to_owned);
    let (Some(url), Some(host)) = (url, host) else {
        return ExternalReference {
            description: Some(Description::of_words(text)),
            external_id: None,
            source_name: ShortDescription::new(SOURCE),
            url: None,
        };
    };
    ExternalReference {
        description: None,
        external_id: None,
        source_name: ShortDescription::new(host),
        url: Some(if url.as_str() == text { Cow::Borrowed(text) } else { String::from(url).into() }),
    }
}

/// The author's tags, each once, then the countries, industries and the prose about an adversary, with their names.
fn tags(pulse: &Pulse) -> Vec<Title<'_>> {
    let threat = &pulse.threat;
    let own = pulse.tags.iter().map(|tag| Cow::Borrowed(tag.as_str()));
    let named = |name: &'static str, words: &'_ [String]| {
        words.iter().map(|word| Cow::Owned(format!("{name}:{}", word.trim()))).collect::<Vec<Cow<'_, str>>>()
    };
    let prose = threat.adversary.as_deref().filter(|adversary| actor_name(adversary).is_none());
    let prose = prose.map(|adversary| Cow::Owned(format!("adversary:{}", adversary.trim())));
    let mut seen = HashSet::new();
    own.chain(named("targeted-country", &threat.countries))
        .chain(named("industry", &threat.industries))
        .chain(prose)
        .map(Title::of_words)
        .filter(|tag| !tag.as_str().is_empty() && seen.insert(tag.as_str().to_owned()))
        .collect()
}

/// CTIM's words for what a pulse is a list of.
fn lists(pulse: &Pulse) -> Vec<&'static str> {
    let list = |kind: &String| {
        Some(match kind.as_str() {
            "IPv4" | "IPv6" | "CIDR" => "IP Watchlist",
            "domain" | "hostname" => "Domain Watchlist",
            "URL" | "URI" => "URL Watchlist",
            "email" => "Malicious E-mail",
            kind if kind.starts_with("FileHash") => "File Hash Watchlist",
            "MD5" | "SHA1" | "SHA256" => "File Hash Watchlist",
            _ => return None,
        })
    };
    let private = (!pulse.public).then_some("Private Threat Feed");
    pulse.indicator_types.iter().filter_map(list).chain(private).collect::<BTreeSet<_>>().into_iter().collect()
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}
