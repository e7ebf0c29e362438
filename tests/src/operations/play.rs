//! An operation on the plane: done where its base is, taken back there, and done from the start elsewhere. Says what is
//! not as it should be: a field of a child that does not say what the spec says, two ends that differ, a way back that does
//! not end where it began.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use threatrelay_operator::api::ThreatRelay;
use threatrelay_operator::build::build;
use threatrelay_operator::observed::{Observed, OptionalApis};
use threatrelay_operator::settings::Settings;
use threatrelay_operator::validate::validate;
use tokio::sync::{Mutex, OnceCell};

use super::fields::Base;
use super::operation::{Operation, world};
use super::stage::Stage;
use crate::custom_resource::{list, lost};
use crate::faults::ground::Ground;
use crate::faults::masks::{Mask, OF_AUTOSCALERS, State, differences, without};
use crate::faults::operator::{Log, Operator, settings};

/// The settings of the operator: what the bases name is allowed.
const FLAGS: [&str; 4] = [
    "--allowed-repositories",
    "registry.example/",
    "--allowed-destinations",
    "*.example,*.svc,192.0.2.7,192.0.2.8,192.0.2.9,192.0.2.77,[2001:db8::7]",
];

/// A plane with every kind that the operator knows, one operator for all its namespaces, and what each base comes to.
pub struct Campaign {
    /// The plane.
    pub ground: Arc<Ground>,
    /// What the operator logs.
    pub log: Log,
    settings: Settings,
    _operator: Operator,
    bases: Mutex<HashMap<Base, Arc<OnceCell<State>>>>,
}

impl Campaign {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start() -> Self {
        let ground = Ground::start().await;
        for (name, value) in [("business", 1000), ("low", 10)] {
            let class = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            });
            ground.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", &class).await.expect("a PriorityClass");
        }
        let (settings, log) = (settings(&FLAGS), Log::default());
        let operator = Operator::start(&ground.operator, settings.clone(), None, &log);
        Self { ground: Arc::new(ground), log, settings, _operator: operator, bases: Mutex::default() }
    }

    /// What a base comes to.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub async fn base(&self, base: Base) -> Arc<OnceCell<State>> {
        let cell = Arc::clone(self.bases.lock().await.entry(base).or_default());
        cell.get_or_init(async || {
            let stage = Stage::set(&self.ground).await;
            stage.create(&base.spec()).await;
            stage.rests().await.expect("a base that comes to rest");
            let come_to = stage.state(&[]);
            stage.clear().await;
            come_to
        })
        .await;
        cell
    }

    /// Does an operation in all three ways.
    ///
    /// # Errors
    /// What is not as it should be, a line each.
    pub async fn play(&self, operation: &Operation) -> Result<(), Vec<String>> {
        let here = Stage::set(&self.ground).await;
        let there = Stage::set(&self.ground).await;
        let found = self.ways(operation, &here, &there).await;
        here.clear().await;
        there.clear().await;
        found
    }

    async fn ways(&self, operation: &Operation, here: &Stage, there: &Stage) -> Result<(), Vec<String>> {
        let (before, after) = (operation.base.spec(), &operation.after);
        let masks = masks(&before, after);
        let base = self.base(operation.base).await;
        let base = base.get().ok_or_else(|| vec!["the base is not known".to_owned()])?;
        here.create(&before).await;
        here.becomes(base, &[]).await.map_err(|lines| told("at the start", lines))?;
        let base = &without(base.clone(), masks);

        if after["suspend"] == true {
            here.change(after).await.map_err(|line| vec![line])?;
            here.rests().await?;
            let (kept, was) = (children(here.state(masks)), children(base.clone()));
            let lines = differences(&was, &kept);
            if !lines.is_empty() {
                return Err(told("suspended", lines));
            }
        } else {
            there.create(after).await;
            here.change(after).await.map_err(|line| vec![line])?;
            here.ends_as(there, masks).await.map_err(|lines| told("changed, not as from the start", lines))?;
            let lines = self.unsaid(here);
            if !lines.is_empty() {
                return Err(told("changed", lines));
            }
        }
        here.change(&before).await.map_err(|line| vec![line])?;
        here.becomes(base, masks).await.map_err(|lines| told("taken back", lines))
    }

    /// What the spec asks of children and they do not say.
    pub(super) fn unsaid(&self, stage: &Stage) -> Vec<String> {
        let Some(relay) = stage.live("ThreatRelay", super::stage::NAME) else {
            return vec!["the resource is gone".to_owned()];
        };
        let relay: ThreatRelay = match serde_json::from_value((*relay).clone()) {
            Ok(relay) => relay,
            Err(error) => return vec![error.to_string()],
        };
        let observed = Observed { apis: OptionalApis { gateway: true, service_monitor: true }, ..world().clone() };
        let objects = match validate(&relay, &observed, &self.settings.policy()) {
            Ok(validated) => build(&validated),
            Err(refused) => return vec![refused.to_string()],
        };
        let mut lines = Vec::new();
        for (_, wanted) in list(&objects) {
            let named = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
            let (kind, name) = (named("kind"), wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned());
            match stage.live(&kind, &name) {
                Some(live) => lost(&wanted, &live, &format!("{kind}/{name}"), &is_same, &mut lines),
                None => lines.push(format!("{kind}/{name} is missing")),
            }
        }
        lines
    }
}

/// What the two ways may differ in beside: how many pods there are, where an autoscaler's bounds change.
fn masks(before: &Value, after: &Value) -> &'static [Mask] {
    let bounds =
        |spec: &Value| [&spec["autoscaling"]["minReplicas"], &spec["autoscaling"]["maxReplicas"]].map(Clone::clone);
    if bounds(before) == bounds(after) { &[] } else { OF_AUTOSCALERS }
}

fn told(when: &str, lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("{when}: {line}")).collect()
}

fn children(mut state: State) -> State {
    state.retain(|name, _| !name.starts_with("ThreatRelay/"));
    state
}

/// Equal, or the same amount in another notation, as the API server writes amounts in its own.
fn is_same(wanted: &Value, stored: &Value) -> bool {
    let amount = |value: &Value| {
        let text = value.as_str()?;
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" => 1.0,
            "m" => 0.001,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "Ki" => 1024.0,
            "Mi" => 1024.0 * 1024.0,
            "Gi" => 1024.0 * 1024.0 * 1024.0,
            _ => return None,
        };
        Some(digits.parse::<f64>().ok()? * factor)
    };
    wanted == stored
        || amount(wanted).zip(amount(stored)).is_some_and(|(wanted, stored)| (wanted - stored).abs() < 1e-9 * wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_the_same_in_any_notation_and_others_are_not() {
        for (one, two, same) in [
            ("1000m", "1", true),
            ("81920Ki", "80Mi", true),
            ("1Gi", "1G", false),
            ("100m", "1", false),
            ("a", "b", false),
        ] {
            assert_eq!(is_same(&json!(one), &json!(two)), same, "{one} {two}");
        }
    }
}
