//! The calls of the OTX API that the relay makes, as request targets. A value always is exactly one path segment.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::broken::{self, Defect};
use crate::trace::span;

/// What stays as it is in a segment: the unreserved characters of RFC 3986 and, as in the original, `@` and `:`.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':');

/// A section of indicators, in OTX's own spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Section {
    Ipv4,
    Ipv6,
    Domain,
    Hostname,
    File,
    Url,
}

impl Section {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Domain => "domain",
            Self::Hostname => "hostname",
            Self::File => "file",
            Self::Url => "url",
        }
    }
}

/// What of an indicator is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    General,
    PassiveDns,
}

impl Part {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::PassiveDns => "passive_dns",
        }
    }
}

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Endpoint<'a> {
    /// The account of the key; the one endpoint that always tells a wrong key.
    Me,
    /// A part of what OTX knows of an indicator.
    Indicator { section: Section, part: Part, value: &'a str },
    /// A pulse with its whole listing; answers without a key.
    Pulse { id: &'a str },
    /// One page of a pulse's listing, newest first.
    Page { id: &'a str, limit: u32, page: u32 },
}

impl Endpoint<'_> {
    /// The URL below `base`.
    pub(super) fn url(&self, base: &Url) -> Url {
        let set = if broken::is(Defect::SegmentNotEncoded) { CONTROLS } else { SEGMENT };
        let encode = |value| utf8_percent_encode(value, set);
        let (path, query) = match *self {
            Self::Me => ("user/me".to_owned(), None),
            Self::Indicator { section, part, value } => {
                (format!("indicators/{}/{}/{}", section.as_str(), encode(value), part.as_str()), None)
            }
            Self::Pulse { id } => (format!("pulses/{}", encode(id)), None),
            Self::Page { id, limit, page } => (
                format!("pulses/{}/indicators", encode(id)),
                Some(format!("sort=-created&limit={limit}&page={page}")),
            ),
        };
        let mut url = base.clone();
        url.set_path(&format!("{}/api/v1/{path}", base.path().trim_end_matches('/')));
        url.set_query(query.as_deref());
        url
    }

    /// Method and path, with names for the values in it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Me => "GET /api/v1/user/me",
            Self::Indicator { .. } => "GET /api/v1/indicators/{type}/{value}/{section}",
            Self::Pulse { .. } => "GET /api/v1/pulses/{id}",
            Self::Page { .. } => "GET /api/v1/pulses/{id}/indicators",
        }
    }

    /// The path, with names for the values in it.
    pub(super) fn template(&self) -> &'static str {
        self.name().trim_start_matches("GET ")
    }

    /// The URL as it may be told: without what was asked about, unless that may be told.
    pub(super) fn shown_url(&self, base: &Url, tells_observables: bool) -> Url {
        match *self {
            Self::Indicator { section, part, value } => {
                Self::Indicator { section, part, value: span::shown(value, tells_observables) }.url(base)
            }
            other => other.url(base),
        }
    }

    /// A closed word for metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Indicator { part, .. } => part.as_str(),
            Self::Pulse { .. } => "pulse",
            Self::Page { .. } => "page",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn target(base: &str, endpoint: Endpoint<'_>) -> String {
        endpoint.url(&base.parse().unwrap()).to_string()
    }

    #[test]
    fn targets_are_the_originals() {
        let base = "https://otx.example";
        for (endpoint, expected) in [
            (Endpoint::Me, "/api/v1/user/me"),
            (
                Endpoint::Indicator {
                    section: Section::Url,
                    part: Part::General,
                    value: "http://a.b/c d?e=f&g=%20#h",
                },
                "/api/v1/indicators/url/http:%2F%2Fa.b%2Fc%20d%3Fe%3Df%26g%3D%2520%23h/general",
            ),
            (
                Endpoint::Indicator { section: Section::Ipv6, part: Part::PassiveDns, value: "2001:db8::1" },
                "/api/v1/indicators/IPv6/2001:db8::1/passive_dns",
            ),
            (Endpoint::Pulse { id: "54d65cc1" }, "/api/v1/pulses/54d65cc1"),
            (
                Endpoint::Page { id: "54d65cc1", limit: 10_000, page: 2 },
                "/api/v1/pulses/54d65cc1/indicators?sort=-created&limit=10000&page=2",
            ),
        ] {
            assert_eq!(target(base, endpoint), format!("{base}{expected}"));
        }
    }

    #[test]
    fn a_path_prefix_is_kept() {
        assert_eq!(target("http://192.0.2.1:8080/otx/", Endpoint::Me), "http://192.0.2.1:8080/otx/api/v1/user/me");
    }

    #[test]
    fn a_pulse_id_cannot_leave_its_segment() {
        let url = target("https://otx.example", Endpoint::Pulse { id: "../user/me?x#y" });
        assert_eq!(url, "https://otx.example/api/v1/pulses/..%2Fuser%2Fme%3Fx%23y");
    }
}
