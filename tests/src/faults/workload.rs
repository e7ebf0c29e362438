//! What people do to a `ThreatRelay`, as short stories. Faults strike in the steps that are marked; the others bring the
//! stage about, and each kind of step is marked in some story.

use serde_json::{Value, json};

/// A story.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What happens, one after the other; each step ends when everything is at rest.
    pub steps: Vec<Step>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What is done, at once.
    pub acts: Vec<Act>,
    /// Faults strike here.
    pub is_struck: bool,
}

/// One act of a person.
#[derive(Clone, Debug)]
pub enum Act {
    /// Creates the `ThreatRelay`, with this over the least that is needed.
    Create(Value),
    /// Changes its spec.
    Change(Value),
    /// Deletes it; its children are collected afterwards.
    Delete,
    /// Deletes it while somebody's finalizer holds it: it is there, being deleted.
    DeleteHeld,
    /// Takes that finalizer away.
    Release,
    /// Makes or changes the Secret that it refers to.
    Key(&'static str),
    /// Installs the operator's next version, which has another image for relays.
    Upgrade,
}

use Act::{Change, Create, Delete, DeleteHeld, Key, Release, Upgrade};

fn made(acts: Vec<Act>) -> Step {
    Step { name: "made", acts, is_struck: false }
}

fn step(name: &'static str, acts: Vec<Act>) -> Step {
    Step { name, acts, is_struck: true }
}

/// A spec that asks for every kind of child.
#[must_use]
pub fn everything() -> Value {
    json!({
        "autoscaling": {"minReplicas": 1, "maxReplicas": 3},
        "credentials": {"default": {"secretRef": {"name": "otx"}}},
        "gateway": gateway(),
        "ingress": ingress(),
        "monitoring": {"serviceMonitor": {}},
        "resources": {"requests": {"cpu": "1000m", "memory": "64Mi"}},
    })
}

fn ingress() -> Value {
    json!({"host": "otx.soc.example", "className": "traefik"})
}

fn gateway() -> Value {
    json!({"parentRefs": [{"name": "public"}], "hostnames": ["otx.soc.example"]})
}

fn with_key() -> Value {
    json!({"replicas": 1, "credentials": {"default": {"secretRef": {"name": "otx"}}}})
}

/// The stories.
#[must_use]
pub fn all() -> Vec<Workload> {
    let one = || json!({"replicas": 1});
    let of = |name, steps| Workload { name, steps };
    let scaled = json!({"replicas": null, "autoscaling": {"minReplicas": 1, "maxReplicas": 4}});
    let ways_in = json!({"ingress": ingress(), "gateway": gateway()});
    let monitored = json!({"serviceMonitor": {}});
    let guards = |enabled: bool, monitoring: &Value| {
        let switch = json!({"enabled": enabled});
        json!({"networkPolicy": switch, "podDisruptionBudget": switch, "monitoring": monitoring})
    };
    let image = json!({"image": {"repository": "registry.example/threatrelay", "tag": "2.0.0"}});
    vec![
        of("minimal", vec![step("create", vec![Create(one())])]),
        of("everything", vec![step("create", vec![Key("key-one"), Create(everything())])]),
        of("image", vec![made(vec![Create(one())]), step("change", vec![Change(image)])]),
        of(
            "autoscale",
            vec![
                made(vec![Create(json!({"replicas": 2}))]),
                step("on", vec![Change(scaled)]),
                step("off", vec![Change(json!({"replicas": 1, "autoscaling": null}))]),
            ],
        ),
        of(
            "ingress",
            vec![
                made(vec![Create(one())]),
                step("on", vec![Change(ways_in)]),
                step("off", vec![Change(json!({"ingress": null, "gateway": null}))]),
            ],
        ),
        of(
            "guards",
            vec![
                made(vec![Create(json!({"replicas": 2, "monitoring": monitored}))]),
                step("off", vec![Change(guards(false, &Value::Null))]),
                step("on", vec![Change(guards(true, &monitored))]),
            ],
        ),
        of(
            "rotation",
            vec![
                made(vec![Key("key-one"), Create(with_key())]),
                step("rotate", vec![Key("key-two")]),
                step("given-up", vec![Change(json!({"credentials": null}))]),
            ],
        ),
        of("corrected", vec![step("refused", vec![Create(with_key())]), step("corrected", vec![Key("key-one")])]),
        of(
            "pause",
            vec![
                made(vec![Create(one())]),
                step("paused", vec![Change(json!({"suspend": true, "replicas": 2}))]),
                step("resumed", vec![Change(json!({"suspend": false}))]),
            ],
        ),
        of(
            "delete",
            vec![
                made(vec![Key("key-one"), Create(everything())]),
                step("held", vec![DeleteHeld, Key("key-two")]),
                step("delete", vec![Release]),
            ],
        ),
        of(
            "recreate",
            vec![made(vec![Create(one())]), step("recreate", vec![Delete, Create(json!({"replicas": 2}))])],
        ),
        of("upgrade", vec![made(vec![Create(one())]), step("upgrade", vec![Upgrade])]),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_stories_and_their_steps_have_names_of_their_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|workload| workload.name).collect();
        assert_eq!((all.len(), names.len()), (12, 12));
        for workload in &all {
            let steps: BTreeSet<_> = workload.steps.iter().map(|step| step.name).collect();
            assert_eq!(steps.len(), workload.steps.len(), "{}", workload.name);
        }
    }
}
