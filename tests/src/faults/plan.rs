//! A plan: one fault at one place of one step of one workload. Its name says all of it and reads back, so a plan that
//! found a defect is replayed by `cargo xtask faults --plan NAME`, or kept as a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::place::Place;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Name of the workload.
    pub workload: String,
    /// Name of its step.
    pub step: String,
    /// Where.
    pub place: Place,
    /// What.
    #[serde(with = "word")]
    pub fault: Fault,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, step, place, fault } = self;
        write!(f, "{workload}/{step}/{place}/{fault}")
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [workload, step, place, fault] = parts[..] else {
            return Err(format!("a plan is WORKLOAD/STEP/PLACE/FAULT, not {text:?}"));
        };
        Ok(Self { workload: workload.into(), step: step.into(), place: place.parse()?, fault: fault.parse()? })
    }
}

/// A fault in a file is its word.
mod word {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Fault;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(fault: &Fault, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(fault)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fault, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn a_plan_reads_back_from_its_name_and_from_a_file() {
        let name = "ingress/off/apply-threatrelays.status-2/answer-504-done";
        let plan: Plan = name.parse().unwrap();
        assert_eq!(plan.to_string(), name);
        let file = serde_saphyr::to_string(&plan).unwrap();
        assert_eq!(serde_saphyr::from_str::<Plan>(&file).unwrap(), plan, "{file}");
    }
}
