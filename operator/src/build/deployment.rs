//! The Deployment. Its pods follow the restricted Pod Security Standard; a rollout starts a pod before it ends one, and
//! a pod that ends first stops being ready, then answers what is under way. Nothing in the template depends on the
//! operator's version, so that a new operator restarts no relay.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, Container, ContainerPort, EnvVar, HTTPGetAction, LocalObjectReference,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
    Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations::{CA_HASH, SETTINGS_HASH, digest};
use super::config_map::SETTINGS_KEY;
use super::labels::{labels, metadata, pairs, pods_of};
use super::{MOUNT, replicas, volumes};
use crate::api::v1alpha1;
use crate::validate::{Certificates, Validated};

/// Port of the relay's endpoints, named `http`.
pub const HTTP_PORT: i32 = 9090;
/// Port of probes and metrics, named `admin`.
pub const ADMIN_PORT: i32 = 9091;
/// More than the lame-duck time and the drain together.
const GRACE_SECONDS: i64 = 40;

pub(super) fn build(validated: &Validated, settings: &ConfigMap) -> Deployment {
    let owner = &validated.owner;
    Deployment {
        metadata: metadata(owner, owner.name.clone()),
        spec: Some(DeploymentSpec {
            // An autoscaler's are decided when the Deployment is written.
            replicas: validated.spec.autoscaling.is_none().then(|| replicas(&validated.spec)),
            revision_history_limit: Some(5),
            selector: pods_of(&owner.name),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(&owner.name)),
                    annotations: Some(hashes(validated, settings)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(validated)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// What rolls the pods when it changes: what the relay reads only at its start.
fn hashes(validated: &Validated, settings: &ConfigMap) -> std::collections::BTreeMap<String, String> {
    let text = settings.data.as_ref().and_then(|data| data.get(SETTINGS_KEY)).map(String::as_bytes);
    let mut hashes = pairs(&[(SETTINGS_HASH, &digest(text))]);
    if let Certificates::Known(hash) | Certificates::Missing(Some(hash)) = &validated.ca {
        hashes.insert(CA_HASH.to_owned(), hash.clone());
    }
    hashes
}

fn pod(validated: &Validated) -> PodSpec {
    let (spec, name) = (&validated.spec, &validated.owner.name);
    let (volumes, mounts) = volumes::build(validated);
    let pull_secrets: Vec<_> =
        validated.policy.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    PodSpec {
        service_account_name: Some(name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(spec.pod_security.run_as_user),
            run_as_group: Some(spec.pod_security.fs_group),
            fs_group: Some(spec.pod_security.fs_group),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container { volume_mounts: Some(mounts), ..container(validated) }],
        volumes: Some(volumes),
        node_selector: (!spec.scheduling.node_selector.is_empty()).then(|| spec.scheduling.node_selector.clone()),
        tolerations: (!spec.scheduling.tolerations.is_empty())
            .then(|| spec.scheduling.tolerations.iter().map(toleration).collect()),
        priority_class_name: spec.scheduling.priority_class_name.clone(),
        topology_spread_constraints: Some(
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(|key| spread(key, name)).to_vec(),
        ),
        ..PodSpec::default()
    }
}

fn container(validated: &Validated) -> Container {
    Container {
        name: "relay".to_owned(),
        image: Some(validated.image.reference.clone()),
        image_pull_policy: Some(validated.image.pull_policy.word().to_owned()),
        args: Some(vec!["serve".to_owned()]),
        env: Some(vec![EnvVar {
            name: "THREATRELAY_CONFIG".to_owned(),
            value: Some(format!("{MOUNT}/config/{SETTINGS_KEY}")),
            value_from: None,
        }]),
        ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
        // A slow start is no reason to end a pod, so liveness has no say before: two minutes, then it is one.
        startup_probe: Some(Probe { failure_threshold: Some(120), ..probe("/livez", 1) }),
        readiness_probe: Some(probe("/readyz", 5)),
        liveness_probe: Some(probe("/livez", 10)),
        resources: Some(resources(&validated.spec.resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        // What a relay says that does not start is the message of its end.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

fn resources(wanted: &v1alpha1::Resources) -> ResourceRequirements {
    let quantity = |name: &str, text: &str| (name.to_owned(), Quantity(text.to_owned()));
    let cpu = wanted.limits.cpu.as_deref().map(|cpu| quantity("cpu", cpu));
    ResourceRequirements {
        requests: Some([quantity("cpu", &wanted.requests.cpu), quantity("memory", &wanted.requests.memory)].into()),
        limits: Some(cpu.into_iter().chain([quantity("memory", &wanted.limits.memory)]).collect()),
        claims: None,
    }
}

/// Pods of one template spread as evenly as nodes and zones allow.
fn spread(topology: &str, name: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(pods_of(name)),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

fn toleration(wanted: &v1alpha1::Toleration) -> Toleration {
    Toleration {
        key: wanted.key.clone(),
        operator: Some(wanted.operator.word().to_owned()),
        value: wanted.value.clone(),
        effect: wanted.effect.map(|effect| effect.word().to_owned()),
        toleration_seconds: wanted.toleration_seconds,
    }
}
