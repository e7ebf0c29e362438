//! The values of the charts: all are declared with a meaning, used, and bounded; what is wrong is refused by both Helms
//! with the name of the value.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use serde_json::Value;
use tests::chart::helm::{BOTH, Helm};
use tests::chart::{CHARTS, folder, usage, values};

#[test]
fn every_value_has_a_meaning() {
    for chart in CHARTS {
        let root = values::of(chart).unwrap();
        let silent = root.all().into_iter().filter(|(_, property)| property.description.is_none());
        assert_eq!(silent.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<String>::new(), "{chart}");
    }
}

#[test]
fn every_group_but_global_is_closed() {
    for chart in CHARTS {
        let root = values::of(chart).unwrap();
        let open = |property: &values::Property| property.is_group() && property.others != Some(Value::Bool(false));
        let open: Vec<_> =
            root.all().into_iter().filter(|(_, property)| open(property)).map(|(path, _)| path).collect();
        assert_eq!(open, ["global"], "{chart}");
        assert_eq!(root.others, Some(Value::Bool(false)), "{chart}");
    }
}

#[test]
fn every_declared_value_is_used() {
    for chart in CHARTS {
        let root = values::of(chart).unwrap();
        let templates = usage::templates(chart).unwrap();
        let used = usage::used(&templates);
        let is_idle = |path: &str| path != "enabled" && !usage::is_used(path, &used, &templates);
        let idle = root.all().into_iter().filter(|(path, property)| !property.is_group() && is_idle(path));
        assert_eq!(idle.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<String>::new(), "{chart}");
    }
}

#[test]
fn every_used_value_is_declared() {
    for chart in CHARTS {
        let root = values::of(chart).unwrap();
        let declared: BTreeSet<_> = root.all().into_iter().map(|(path, _)| path).collect();
        let unknown: Vec<_> = usage::used(&usage::templates(chart).unwrap())
            .into_iter()
            .filter(|path| !declared.contains(path))
            .collect();
        assert_eq!(unknown, Vec::<String>::new(), "{chart}");
    }
}

#[test]
fn defaults_meet_the_schema() {
    for chart in CHARTS {
        for name in BOTH {
            Helm::named(name).unwrap().template(&folder(chart), "otx", "{}").unwrap();
        }
    }
}

/// Values that are wrong, and what the refusal says.
const REFUSED: &[(&str, &str)] = &[
    ("unknown: 1", "unknown"),
    ("Image: {}", "Image"),
    ("enabled: yes please", "/enabled"),
    ("nameOverride: Upper", "/nameOverride"),
    ("nameOverride: 7up", "/nameOverride"),
    ("fullnameOverride: under_score", "/fullnameOverride"),
    ("fullnameOverride: a-name-that-is-far-too-long-for-the-suffixes-of-objects", "/fullnameOverride"),
    ("namespaceOverride: -dash", "/namespaceOverride"),
    ("commonLabels: {a: 1}", "/commonLabels/a"),
    ("commonLabels: {a: spaces are wrong}", "/commonLabels/a"),
    ("commonLabels: {-a: b}", "-a"),
    ("commonLabels: [a]", "/commonLabels"),
    ("commonAnnotations: {a: true}", "/commonAnnotations/a"),
    ("commonAnnotations: {'a b': c}", "a b"),
    ("global: {imageRegistry: 'https://registry.example'}", "/global/imageRegistry"),
    ("global: {imagePullSecrets: [name]}", "/global/imagePullSecrets/0"),
    ("image: {registry: 'http://x'}", "/image/registry"),
    ("image: {repository: Upper/Case}", "/image/repository"),
    ("image: {repository: ''}", "/image/repository"),
    ("image: {tag: 1.0}", "/image/tag"),
    ("image: {tag: 'a:b'}", "/image/tag"),
    ("image: {digest: 'sha256:short'}", "/image/digest"),
    ("image: {digest: 'md5:0123456789abcdef0123456789abcdef'}", "/image/digest"),
    ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
    ("image: {name: x}", "name"),
    ("imagePullSecrets: [{name: ''}]", "/imagePullSecrets/0/name"),
    ("imagePullSecrets: [{secret: x}]", "/imagePullSecrets/0"),
    ("relay: {image: {pullPolicy: always}}", "/relay/image/pullPolicy"),
    ("relay: {allowedRepositories: ['']}", "/relay/allowedRepositories/0"),
    ("relay: {allowedRepositories: registry.example/}", "/relay/allowedRepositories"),
    ("relay: {allowedDestinations: ['https://otx.example']}", "/relay/allowedDestinations/0"),
    ("relay: {allowedDestinations: ['a.*.example']}", "/relay/allowedDestinations/0"),
    ("relay: {replicas: 2}", "replicas"),
    ("replicaCount: '2'", "/replicaCount"),
    ("replicaCount: -1", "/replicaCount"),
    ("replicaCount: 6", "/replicaCount"),
    ("replicaCount: 1.5", "/replicaCount"),
    ("replicaCount: 2\nleaderElection: {enabled: false}", "Set leaderElection.enabled=true"),
    ("crds: {enabled: 'true'}", "/crds/enabled"),
    ("crds: {keep: 1}", "/crds/keep"),
    ("crds: {create: true}", "create"),
    ("watchNamespaces: soc", "/watchNamespaces"),
    ("watchNamespaces: ['']", "/watchNamespaces/0"),
    ("watchNamespaces: [Soc]", "/watchNamespaces/0"),
    ("watchNamespaces: ['*']", "/watchNamespaces/0"),
    ("credentials: {managed: maybe}", "/credentials/managed"),
    ("credentials: {mode: direct}", "mode"),
    ("rbac: {create: 0}", "/rbac/create"),
    ("rbac: {clusterAdmin: true}", "clusterAdmin"),
    ("serviceAccount: {name: Upper}", "/serviceAccount/name"),
    ("serviceAccount: {automount: true}", "automount"),
    ("leaderElection: {leaseName: a_b}", "/leaderElection/leaseName"),
    ("log: {level: 'info; rm'}", "/log/level"),
    ("log: {level: ''}", "/log/level"),
    ("log: {format: xml}", "/log/format"),
    ("metrics: {port: 80}", "/metrics/port"),
    ("metrics: {port: 65536}", "/metrics/port"),
    ("metrics: {service: {ipFamilyPolicy: Dual}}", "/metrics/service/ipFamilyPolicy"),
    ("metrics: {serviceMonitor: {renderMode: never}}", "/metrics/serviceMonitor/renderMode"),
    ("metrics: {serviceMonitor: {interval: 30 seconds}}", "/metrics/serviceMonitor/interval"),
    ("metrics: {podMonitor: {scrapeTimeout: fast}}", "/metrics/podMonitor/scrapeTimeout"),
    ("metrics: {podMonitor: {additionalLabels: {release: [a]}}}", "/metrics/podMonitor/additionalLabels/release"),
    (
        "metrics: {serviceMonitor: {enabled: true, renderMode: failIfMissing}}",
        "install the Prometheus operator first",
    ),
    ("metrics: {serviceMonitor: {enabled: true}, service: {enabled: false}}", "metrics.service.enabled=true"),
    ("metrics: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "enable one"),
    ("podDisruptionBudget: {maxUnavailable: 0}", "/podDisruptionBudget/maxUnavailable"),
    ("podDisruptionBudget: {maxUnavailable: half}", "/podDisruptionBudget/maxUnavailable"),
    ("podDisruptionBudget: {minAvailable: 1}", "minAvailable"),
    ("networkPolicy: {apiServerPorts: [https]}", "/networkPolicy/apiServerPorts/0"),
    ("networkPolicy: {apiServerPorts: [0]}", "/networkPolicy/apiServerPorts/0"),
    ("networkPolicy: {metricsFrom: {}}", "/networkPolicy/metricsFrom"),
    ("hostUsers: 'no'", "/hostUsers"),
    ("revisionHistoryLimit: -1", "/revisionHistoryLimit"),
    ("terminationGracePeriodSeconds: 0", "/terminationGracePeriodSeconds"),
    ("priorityClassName: Very_Important", "/priorityClassName"),
    ("nodeSelector: {disk: [ssd]}", "/nodeSelector/disk"),
    ("tolerations: [Exists]", "/tolerations/0"),
    ("topologySpreadConstraints: [{maxSkew: 1}]", "/topologySpreadConstraints/0"),
    ("extraArgs: ['']", "/extraArgs/0"),
    ("extraEnv: [{value: x}]", "/extraEnv/0"),
    ("extraEnv: {A: b}", "/extraEnv"),
    ("extraVolumeMounts: [{name: x}]", "/extraVolumeMounts/0"),
    ("extraObjects: [1]", "/extraObjects/0"),
];

fn is_refused(by: &str) {
    let helm = Helm::named(by).unwrap();
    let chart = folder("threatrelay-operator");
    for (values, said) in REFUSED {
        let refused = helm.template(&chart, "otx", values).err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|text| text.contains(said)), "{values}: {refused:?}");
    }
}

#[test]
fn helm_3_refuses_what_is_wrong_and_names_it() {
    is_refused("helm3");
}

#[test]
fn helm_4_refuses_what_is_wrong_and_names_it() {
    is_refused("helm4");
}
