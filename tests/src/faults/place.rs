//! Where in a step a fault strikes: the n-th request of one kind since the step began. Kinds and numbers are used rather
//! than a position among all requests, so that a request more or less elsewhere does not move the place.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::faultproxy::call::{Call, Verb};
use crate::faultproxy::plan::{Match, Occurrence};

/// A request of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// `apply`, `get`, `watch`, …
    pub verb: String,
    /// Plural resource; empty for discovery.
    pub resource: String,
    /// `status`, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Which of them, from 1.
    pub nth: u32,
}

impl Place {
    /// The place of request number `nth` of the kind of `call`.
    #[must_use]
    pub fn of(call: &Call, nth: u32) -> Self {
        let verb = format!("{:?}", call.verb).to_lowercase();
        Self { verb, resource: call.resource.clone(), subresource: call.subresource.clone(), nth }
    }

    /// For the proxy.
    #[must_use]
    pub fn matching(&self) -> (Match, Occurrence) {
        let verb: Option<Verb> = serde_json::from_value(self.verb.as_str().into()).ok();
        let matching = Match {
            verb,
            resource: Some(self.resource.clone()),
            subresource: Some(self.subresource.clone()),
            ..Match::default()
        };
        (matching, Occurrence::Nth(self.nth))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, subresource, nth } = self;
        let dot = if subresource.is_empty() { "" } else { "." };
        write!(f, "{verb}-{resource}{dot}{subresource}-{nth}")
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('-').collect();
        let [verb, resource, nth] = parts[..] else {
            return Err(format!("a place is VERB-RESOURCE-N, not {text:?}"));
        };
        let (resource, subresource) = resource.split_once('.').unwrap_or((resource, ""));
        let nth = nth.parse().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { verb: verb.into(), resource: resource.into(), subresource: subresource.into(), nth })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn a_place_reads_back_the_same() {
        for text in ["apply-threatrelays.status-2", "get-secrets-1", "delete-ingresses-1", "other--1"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        assert!("apply-services".parse::<Place>().is_err());
    }
}
