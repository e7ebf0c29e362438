//! `/indicators/{slug}/{value}/general`: OTX's page about one indicator, with the pulses it is in.
//!
//! An [`Asked`] and the data set go in; the body goes out. It never says more than 50 pulses, and its counts are of
//! active indicators alone: a pulse can relate an indicator whose type its counts do not have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::dataset::{Account, Base, Dataset, Hit, Place, Validation};
use super::indicator::{Asked, IndicatorType, Refusal};
use super::pulse::{AttackId, Author, FalsePositive, Group, MalwareFamily, Pulse};

/// More pulses than this OTX neither lists nor counts.
const PULSE_CAP: usize = 50;

/// The body.
#[derive(Serialize)]
pub(super) struct General<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    whois: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alexa: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reputation: Option<u8>,
    indicator: String,
    r#type: &'static str,
    type_title: &'static str,
    base_indicator: BaseIndicator<'a>,
    pulse_info: PulseInfo<'a>,
    false_positive: &'a [FalsePositive],
    validation: &'a [Validation],
    #[serde(flatten)]
    place: Option<Geo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'static str>,
    sections: &'static [&'static str],
}

/// `{}` when OTX has no such indicator.
#[derive(Serialize)]
#[serde(untagged)]
enum BaseIndicator<'a> {
    Unknown {},
    Known {
        id: u64,
        indicator: &'a str,
        r#type: IndicatorType,
        title: &'static str,
        description: &'static str,
        content: &'static str,
        access_type: &'static str,
        access_reason: &'static str,
    },
}

#[derive(Serialize)]
struct PulseInfo<'a> {
    count: usize,
    pulses: Vec<RelatedPulse<'a>>,
    references: BTreeSet<&'a str>,
    related: Related<'a>,
}

#[derive(Serialize)]
struct Related<'a> {
    alienvault: Themes<'a>,
    other: Themes<'a>,
}

/// What a set of pulses is about.
#[derive(Default, Serialize)]
struct Themes<'a> {
    adversary: BTreeSet<&'a str>,
    malware_families: BTreeSet<&'a str>,
    industries: BTreeSet<&'a str>,
}

/// A pulse as it stands beside an indicator: 39 keys, and no `revision`.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys are OTX's")]
struct RelatedPulse<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    modified: &'a str,
    created: &'a str,
    tags: &'a [String],
    references: &'a [String],
    public: u8,
    adversary: &'a str,
    targeted_countries: &'a [String],
    malware_families: &'a [MalwareFamily],
    attack_ids: &'a [AttackId],
    industries: &'a [String],
    #[serde(rename = "TLP")]
    tlp: &'a str,
    cloned_from: Option<&'a str>,
    export_count: u64,
    upvotes_count: u64,
    downvotes_count: u64,
    votes_count: u64,
    locked: bool,
    pulse_source: &'a str,
    validator_count: u64,
    comment_count: u64,
    follower_count: u64,
    vote: u8,
    author: AuthorView<'a>,
    indicator_type_counts: BTreeMap<IndicatorType, usize>,
    indicator_count: usize,
    is_author: bool,
    is_subscribing: Option<bool>,
    subscriber_count: u64,
    modified_text: &'a str,
    is_modified: bool,
    groups: &'a [Group],
    in_group: bool,
    threat_hunter_scannable: bool,
    threat_hunter_has_agents: u8,
    related_indicator_type: IndicatorType,
    related_indicator_is_active: u8,
}

/// An author as every answer shows one.
#[derive(Serialize)]
pub(super) struct AuthorView<'a> {
    username: &'a str,
    id: &'a str,
    avatar_url: &'a str,
    is_subscribed: bool,
    is_following: bool,
}

/// Where an address is; any of it may be null.
#[derive(Default, Serialize)]
struct Geo<'a> {
    asn: Option<&'a str>,
    city_data: bool,
    city: Option<&'a str>,
    region: Option<&'a str>,
    continent_code: Option<&'a str>,
    country_code3: Option<&'a str>,
    country_code2: Option<&'a str>,
    subdivision: Option<&'a str>,
    latitude: Option<f64>,
    postal_code: Option<&'a str>,
    longitude: Option<f64>,
    accuracy_radius: Option<u32>,
    country_code: Option<&'a str>,
    country_name: Option<&'a str>,
    dma_code: u32,
    charset: u32,
    area_code: u32,
    flag_url: &'static str,
    flag_title: Option<&'a str>,
}

impl<'a> General<'a> {
    /// What OTX says of `asked` to `viewer`.
    ///
    /// # Errors
    /// 404 for a hash OTX does not have; every other unknown indicator is answered with an empty page.
    pub(super) fn about(asked: &Asked, dataset: &'a Dataset, viewer: Option<&Account>) -> Result<Self, Refusal> {
        let kind = asked.kind;
        let (base, hits) =
            if asked.wrong_sort { (None, Vec::new()) } else { (dataset.base(asked), dataset.hits(asked, viewer)) };
        if base.is_none() && kind.is_hash() {
            return Err(Refusal::unknown("indicator not found"));
        }
        let remark = dataset.remark(asked);
        let is_address = matches!(kind, IndicatorType::Ipv4 | IndicatorType::Ipv6);
        let is_name = matches!(kind, IndicatorType::Domain | IndicatorType::Hostname);
        let site = host_of(&asked.value);
        Ok(Self {
            whois: (!kind.is_hash()).then(|| format!("http://whois.example/{site}")),
            alexa: (is_name || kind == IndicatorType::Url).then(|| format!("http://rank.example/siteinfo/{site}")),
            reputation: is_address.then_some(0),
            r#type: kind.answer_type(),
            type_title: kind.title(),
            base_indicator: base.map_or(BaseIndicator::Unknown {}, Into::into),
            pulse_info: PulseInfo::of(hits, viewer),
            false_positive: remark.map_or(&[], |remark| &remark.false_positive),
            validation: remark.map_or(&[], |remark| &remark.validation),
            place: is_address.then(|| remark.map_or_else(Geo::default, |remark| Geo::of(&remark.place))),
            domain: (kind == IndicatorType::Url).then(|| site.to_owned()),
            hostname: (kind == IndicatorType::Url).then_some("Unavailable"),
            sections: kind.sections(),
            indicator: asked.value.clone(),
        })
    }
}

impl<'a> From<Base<'a>> for BaseIndicator<'a> {
    fn from(base: Base<'a>) -> Self {
        Self::Known {
            id: base.id,
            indicator: base.value,
            r#type: base.kind,
            title: "",
            description: "",
            content: "",
            access_type: "public",
            access_reason: "",
        }
    }
}

impl<'a> PulseInfo<'a> {
    fn of(mut hits: Vec<Hit<'a>>, viewer: Option<&Account>) -> Self {
        hits.truncate(PULSE_CAP);
        let (mut alienvault, mut other) = (Themes::default(), Themes::default());
        for Hit { pulse, .. } in &hits {
            let themes = if pulse.author.username == "AlienVault" { &mut alienvault } else { &mut other };
            themes.adversary.extend((!pulse.adversary.is_empty()).then_some(pulse.adversary.as_str()));
            themes.malware_families.extend(pulse.malware_families.iter().map(|family| family.display_name.as_str()));
            themes.industries.extend(pulse.industries.iter().map(String::as_str));
        }
        Self {
            count: hits.len(),
            references: hits.iter().flat_map(|hit| &hit.pulse.references).map(String::as_str).collect(),
            pulses: hits.into_iter().map(|hit| RelatedPulse::of(hit, viewer)).collect(),
            related: Related { alienvault, other },
        }
    }
}

impl<'a> RelatedPulse<'a> {
    fn of(Hit { pulse, row }: Hit<'a>, viewer: Option<&Account>) -> Self {
        let counts = active_counts(pulse);
        let reception = pulse.reception;
        Self {
            id: &pulse.id,
            name: &pulse.name,
            description: &pulse.description,
            modified: &pulse.modified,
            created: &pulse.created,
            tags: &pulse.tags,
            references: &pulse.references,
            public: pulse.visible_to.is_none().into(),
            adversary: &pulse.adversary,
            targeted_countries: &pulse.targeted_countries,
            malware_families: &pulse.malware_families,
            attack_ids: &pulse.attack_ids,
            industries: &pulse.industries,
            tlp: &pulse.tlp,
            cloned_from: pulse.cloned_from.as_deref(),
            export_count: reception.export_count,
            upvotes_count: reception.upvotes_count,
            downvotes_count: reception.downvotes_count,
            votes_count: reception.upvotes_count + reception.downvotes_count,
            locked: false,
            pulse_source: &pulse.pulse_source,
            validator_count: reception.validator_count,
            comment_count: reception.comment_count,
            follower_count: reception.follower_count,
            vote: 0,
            author: (&pulse.author).into(),
            indicator_count: counts.values().sum(),
            indicator_type_counts: counts,
            is_author: viewer.is_some_and(|viewer| viewer.username == pulse.author.username),
            is_subscribing: None,
            subscriber_count: reception.subscriber_count,
            modified_text: &pulse.modified_text,
            is_modified: pulse.modified != pulse.created,
            groups: &pulse.groups,
            in_group: !pulse.groups.is_empty(),
            threat_hunter_scannable: true,
            threat_hunter_has_agents: 1,
            related_indicator_type: row.kind,
            related_indicator_is_active: row.is_active.into(),
        }
    }
}

impl<'a> From<&'a Author> for AuthorView<'a> {
    fn from(author: &'a Author) -> Self {
        Self {
            username: &author.username,
            id: &author.id,
            avatar_url: &author.avatar_url,
            is_subscribed: false,
            is_following: false,
        }
    }
}

impl<'a> Geo<'a> {
    fn of(place: &'a Place) -> Self {
        Self {
            asn: place.asn.as_deref(),
            city_data: true,
            country_code: place.country_code.as_deref(),
            country_code2: place.country_code.as_deref(),
            country_name: place.country_name.as_deref(),
            flag_title: place.country_name.as_deref(),
            ..Self::default()
        }
    }
}

fn active_counts(pulse: &Pulse) -> BTreeMap<IndicatorType, usize> {
    let mut counts = BTreeMap::new();
    for row in pulse.indicators.iter().filter(|row| row.is_active) {
        *counts.entry(row.kind).or_default() += 1;
    }
    counts
}

fn host_of(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}
