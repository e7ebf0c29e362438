//! What nobody should do and somebody does: what the schema refuses, what it does not know, and what only shows when it is
//! tried. Of the last the status says what is wrong and what to do, the pods that serve go on, and the way back ends
//! where it began.

use std::time::{Duration, Instant};

use base64::Engine;
use kube::ResourceExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::fields::Base::{self, Fixed, Minimal};
use super::play::Campaign;
use super::stage::{NAME, Stage};
use crate::cluster::{Api, ApiError};
use crate::custom_resource::merge;
use crate::faults::history::Chronicle;
use crate::operator::{Health, condition};

/// The longest until the status says it. The aim is 30 s; on two processors with dozens of others it may take more.
const TOLD: Duration = Duration::from_mins(1);

/// The Secret that the base names.
const OTX: &str = "secrets/otx";
/// The one mistake that ends the pods that serve, as it says.
const NO_PODS: &str = "pods/none";

/// A mistake.
#[derive(Clone, Debug)]
pub struct Misoperation {
    /// Its name.
    pub name: &'static str,
    base: Base,
    act: Act,
    /// How new pods are on a node meanwhile.
    health: Health,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Act {
    /// A change of the spec.
    Spec(Value),
    /// A key of the Secret `otx`, the one that the base names.
    Key(&'static [u8]),
    /// An object beside, by version, collection and name, and then a change of the spec.
    Beside(&'static str, &'static str, Value, Value),
}

#[derive(Clone, Debug)]
enum Outcome {
    /// The API server refuses it, with these words.
    Refused(&'static str),
    /// This condition is so, and its message has these words: what is wrong, and what to do.
    Told(&'static str, &'static str, [&'static str; 2]),
}

use Act::{Beside, Key, Spec};
use Outcome::{Refused, Told};

/// All of them.
#[must_use]
#[rustfmt::skip]
pub fn all() -> Vec<Misoperation> {
    let of = |name, base, act, health, outcome| Misoperation { name, base, act, health, outcome };
    // The outcome does not hang on pods.
    let plain = |name, base, act, outcome| of(name, base, act, Health::Ready, outcome);
    let refused = |name, spec, words| plain(name, Fixed, Spec(spec), Refused(words));
    let ready = |reason, words| Told("Ready", reason, words);
    let key = |name: &str, key: &str| json!({"credentials": {"default": {"secretRef": {"name": name, "key": key}}}});
    let tag = json!({"image": {"tag": "9.9.9"}});
    let crash = |code, words: &str| Health::CrashLoop(code, words.to_owned());
    let pod_quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "beside"}, "spec": {"hard": {"pods": "3"}}});
    let memory_range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "beside"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}});
    let no_certificate = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}, "data": {"ca.crt": "none"}});
    let bundle = |name: &str| json!({"upstream": {"caBundle": {"configMapRef": {"name": name, "key": "ca.crt"}}}});
    vec![
        of("image/unpullable", Fixed, Spec(json!({"image": {"repository": "registry.example/absent"}})), Health::ImagePullBackOff,
            ready("False/ImagePullFailed", ["cannot get its image", "Look at spec.image"])),
        of("image/no-such-tag", Fixed, Spec(tag.clone()), Health::ImagePullBackOff,
            ready("False/ImagePullFailed", ["cannot get its image", "Look at spec.image"])),
        plain("image/not-allowed", Fixed, Spec(json!({"image": {"repository": "elsewhere.example/relay"}})),
            ready("False/ImageNotAllowed", ["does not allow", "remove it"])),
        of("scheduling/no-such-node", Fixed, Spec(json!({"scheduling": {"nodeSelector": {"disk": "absent"}}})),
            Health::Unschedulable("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
            ready("False/Unschedulable", ["didn't match", "Look at spec.scheduling"])),
        of("resources/a-million-cores", Fixed, Spec(json!({"resources": {"requests": {"cpu": "1000000"}, "limits": {"cpu": null}}})),
            Health::Unschedulable("0/3 nodes are available: 3 Insufficient cpu."),
            ready("False/Unschedulable", ["Insufficient cpu", "spec.resources"])),
        refused("resources/limit-below-request", json!({"resources": {"limits": {"memory": "1Mi"}}}), "requests.memory must not be greater"),
        refused("probe/wrong-path", json!({"probes": {"path": "/nowhere"}}), "unknown field \"spec.probes\""),
        refused("service/wrong-port", json!({"service": {"port": 1}}), "unknown field \"spec.service\""),
        refused("pods/missing-service-account", json!({"serviceAccountName": "absent"}), "unknown field \"spec.serviceAccountName\""),
        plain("keys/missing-secret", Fixed, Spec(key("absent", "main")),
            ready("False/SecretNotFound", ["is not there", "Create it with the key"])),
        plain("keys/missing-key", Fixed, Spec(key("otx", "absent")),
            ready("False/SecretKeyMissing", ["has no key \"absent\" (it has: ", "or add the key"])),
        plain("keys/empty", Fixed, Key(b"  "), ready("False/SecretKeyEmpty", ["is empty", "Write the value"])),
        plain("keys/not-text", Fixed, Key(b"\xff\xfe\x00"), ready("False/SecretKeyInvalid", ["what no OTX key has", "Write the bare key"])),
        plain("keys/of-two-lines", Fixed, Key(b"one\ntwo"), ready("False/SecretKeyInvalid", ["several lines", "Write the bare key"])),
        plain("ingress/missing-class", Minimal, Spec(json!({"ingress": {"host": "otx.soc.example", "className": "absent"}})),
            Told("RouteAccepted", "Unknown/RouteNotAccepted", ["no Ingress controller has written", "Look at spec.ingress.className"])),
        plain("gateway/missing-gateway", Minimal, Spec(json!({"gateway": {"parentRefs": [{"name": "absent"}], "hostnames": ["otx.soc.example"]}})),
            Told("RouteAccepted", "Unknown/RouteNotAccepted", ["no Gateway has said anything", "HTTPRoute"])),
        plain("scheduling/missing-priority-class", Fixed, Spec(json!({"scheduling": {"priorityClassName": "absent"}})),
            ready("False/AdmissionDenied", ["no PriorityClass with name absent", "Change the spec"])),
        refused("autoscaling/least-above-most", json!({"replicas": null, "autoscaling": {"minReplicas": 4, "maxReplicas": 3}}), "minReplicas must not be greater"),
        refused("budget/as-many-as-pods", json!({"podDisruptionBudget": {"minAvailable": 3}}), "unknown field \"spec.podDisruptionBudget.minAvailable\""),
        refused("security/root", json!({"podSecurity": {"runAsUser": 0}}), "spec.podSecurity.runAsUser"),
        refused("network/cuts-otx", json!({"networkPolicy": {"egress": []}}), "unknown field \"spec.networkPolicy.egress\""),
        plain("upstream/host-not-allowed", Fixed, Spec(json!({"upstream": {"baseUrl": "https://otx.example.net"}})),
            ready("False/DestinationNotAllowed", ["leads to otx.example.net:443", "change it"])),
        // Who mounts it does not start.
        of("upstream/missing-authorities", Fixed, Spec(bundle("absent")), Health::NeverReady,
            ready("False/ConfigMapNotFound", ["is not there", "Create it"])),
        plain("upstream/no-authority", Fixed, Beside("v1", "configmaps", no_certificate, bundle("beside")),
            ready("False/ConfigMapKeyInvalid", ["holds no PEM certificate", "Write one"])),
        plain(NO_PODS, Fixed, Spec(json!({"replicas": 0})),
            Told("Available", "False/DeploymentUnavailable", ["no pod answers", "spec.replicas is 0"])),
        plain("pods/more-than-the-quota", Fixed, Beside("v1", "resourcequotas", pod_quota, tag.clone()),
            ready("False/QuotaExceeded", ["exceeded quota", "Raise the ResourceQuota"])),
        plain("pods/beyond-the-range", Fixed, Beside("v1", "limitranges", memory_range, tag.clone()),
            ready("False/AdmissionDenied", ["maximum memory usage", "Change the spec or the policy"])),
        of("pods/settings-refused", Fixed, Spec(json!({"auth": {"jwks": "{\"keys\":{}}"}, "log": {"level": "info"}})),
            crash(78, r#"{"level":"ERROR","message":"auth.jwksFile: keys is no list"}"#),
            ready("False/SettingsRefused", ["the relay refuses its settings", "keys is no list"])),
        of("pods/crash", Fixed, Spec(tag.clone()), crash(101, "no memory"), ready("False/CrashLooping", ["last with code 101", "no memory"])),
        of("pods/never-ready", Fixed, Spec(tag), Health::NeverReady, ready("False/Progressing", ["pods are being replaced", "3 of 3 ready"])),
    ]
}

impl Misoperation {
    /// Makes the mistake, and takes it back. Tells how long the status took to say it, where it was not refused.
    ///
    /// # Errors
    /// What is not as it should be.
    pub async fn play(&self, campaign: &Campaign) -> Result<Option<Duration>, Vec<String>> {
        let stage = Stage::set(&campaign.ground).await;
        let found = self.made(campaign, &stage).await;
        campaign.ground.node.set(&stage.namespace, Health::Ready).await;
        stage.clear().await;
        found
    }

    async fn made(&self, campaign: &Campaign, stage: &Stage) -> Result<Option<Duration>, Vec<String>> {
        let one = |line: String| vec![line];
        let (api, node) = (&campaign.ground.api, &campaign.ground.node);
        let base = campaign.base(self.base).await;
        let base = base.get().ok_or_else(|| one("the base is not known".to_owned()))?;
        stage.create(&self.base.spec()).await;
        stage.becomes(base, &[]).await?;
        let (type_, verdict, words) = match &self.outcome {
            Refused(words) => {
                self.is_refused(api, stage, words).await.map_err(one)?;
                return stage.becomes(base, &[]).await.map(|()| None);
            }
            Told(type_, verdict, words) => (*type_, *verdict, words),
        };

        let before: Vec<String> = node.pods(&stage.namespace).await.into_iter().filter_map(|pod| pod.uid()).collect();
        node.set_for_new(&stage.namespace, self.health.clone()).await;
        let secret = api.get(&stage.path("v1", OTX)).await.map_err(|error| one(error.to_string()))?;
        let begun = Instant::now();
        self.make(api, stage).await.map_err(one)?;
        let is_told = |chronicle: &Chronicle| {
            chronicle.is_current()
                && chronicle.relays().any(|relay| {
                    let message = message(relay, type_);
                    condition(relay, type_) == verdict && words.iter().all(|words| message.contains(words))
                })
        };
        let told = tokio::time::timeout(TOLD, stage.chronicle.clone().wait_for(is_told)).await.is_ok();
        let took = begun.elapsed();
        if !told {
            let relay = stage.live("ThreatRelay", NAME).unwrap_or_default();
            return Err(one(format!("expected {type_} {verdict} with {words:?}, not {}", relay["status"])));
        }
        let pods = node.pods(&stage.namespace).await;
        let is_serving = |uid: &&String| {
            pods.iter().any(|pod| pod.uid().as_ref() == Some(*uid) && pod.metadata.deletion_timestamp.is_none())
        };
        let serving = before.iter().filter(is_serving).count();
        if serving < before.len() && self.name != NO_PODS {
            return Err(one(format!("of {} pods {serving} serve on", before.len())));
        }
        self.take_back(api, stage, &secret).await.map_err(one)?;
        stage.becomes(base, &[]).await?;
        Ok(Some(took))
    }

    fn spec(&self) -> Value {
        let mut spec = self.base.spec();
        if let Spec(more) | Beside(_, _, _, more) = &self.act {
            merge(&mut spec, more);
        }
        spec
    }

    async fn is_refused(&self, api: &Api, stage: &Stage, words: &str) -> Result<(), String> {
        let patch = json!([{"op": "replace", "path": "/spec", "value": self.spec()}]);
        let strictly = format!("{}?fieldValidation=Strict", stage.relay());
        let said = api.send(Method::PATCH, &strictly, Some(("application/json-patch+json", &patch))).await;
        let said = said.err().map(|error| error.to_string()).unwrap_or_default();
        if said.contains(words) { Ok(()) } else { Err(format!("expected {words:?}, the server says {said:?}")) }
    }

    async fn make(&self, api: &Api, stage: &Stage) -> Result<(), String> {
        let done = match &self.act {
            Spec(_) => Ok(Value::Null),
            Key(value) => {
                let value = base64::engine::general_purpose::STANDARD.encode(value);
                return in_words(api.merge(&stage.path("v1", OTX), &json!({"data": {"main": value}})).await);
            }
            Beside(version, plural, object, _) => api.create(&stage.path(version, plural), object).await,
        };
        in_words(done)?;
        stage.change(&self.spec()).await
    }

    async fn take_back(&self, api: &Api, stage: &Stage, secret: &Value) -> Result<(), String> {
        let done = match &self.act {
            Spec(_) => Ok(Value::Null),
            Key(_) => return in_words(api.merge(&stage.path("v1", OTX), &json!({"data": secret["data"]})).await),
            Beside(version, plural, _, _) => api.delete(&stage.path(version, &format!("{plural}/beside"))).await,
        };
        in_words(done)?;
        stage.change(&self.base.spec()).await
    }
}

fn in_words(done: Result<Value, ApiError>) -> Result<(), String> {
    done.map(drop).map_err(|error| error.to_string())
}

fn message<'a>(relay: &'a Value, type_: &str) -> &'a str {
    let mut conditions = relay["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == type_);
    found.and_then(|found| found["message"].as_str()).unwrap_or_default()
}
