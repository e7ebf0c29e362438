//! The values of the charts: all are declared with a meaning, used, and bounded; what is wrong is refused by both Helms
//! with the name of the value.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use serde_json::Value;
use tests::chart::helm::{BOTH, Helm, KUBERNETES};
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

/// What nobody but the user knows.
fn required(chart: &str) -> &'static str {
    if chart == "threatrelay" { "auth: {audiences: [https://otx.soc.example]}" } else { "{}" }
}

#[test]
fn no_linter_complains() {
    for name in BOTH {
        let helm = Helm::named(name).unwrap();
        let values = helm.values_file(required("threatrelay")).unwrap();
        let chart = folder("threatrelay").display().to_string();
        let linted = helm.run(&["lint", &chart, "--strict", "--kube-version", KUBERNETES, "--values", &values]);
        assert!(linted.is_ok(), "{name}: {}", linted.unwrap_err());
    }
}

#[test]
fn the_relays_values_do_not_speak_of_an_operator() {
    let root = values::of("threatrelay").unwrap();
    let texts = root.all().into_iter().map(|(_, property)| property.description.clone());
    let about: Vec<_> =
        texts.flatten().filter(|text| text.contains("operator") && !text.contains("Prometheus")).collect();
    // The field of a toleration that is named so stands in an example.
    assert!(about.iter().all(|text| text.contains("operator: Equal")), "{about:?}");
}

#[test]
fn defaults_meet_the_schema() {
    for chart in CHARTS {
        for name in BOTH {
            Helm::named(name).unwrap().template(&folder(chart), "otx", required(chart)).unwrap();
        }
    }
}

/// Values of the operator's chart that are wrong, and what the refusal says.
const OPERATOR: &[(&str, &str)] = &[
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

/// Values of the relay's chart that are wrong, and what the refusal says.
const RELAY: &[(&str, &str)] = &[
    ("{}", "auth.audiences is empty: name at least one"),
    ("suspend: true", "suspend"),
    ("replicaCount: 2", "replicaCount"),
    ("replicas: 101", "/replicas"),
    ("answers: poor", "/answers"),
    ("auth: {audiences: ['']}", "/auth/audiences/0"),
    ("auth: {audiences: ['a b']}", "/auth/audiences/0"),
    ("auth: {jwksHosts: []}", "/auth/jwksHosts"),
    ("auth: {jwksHosts: ['https://a.example']}", "/auth/jwksHosts/0"),
    ("auth: {mode: none}", "/auth/mode"),
    ("auth: {mode: hs256}", "auth.hs256SecretRef.name is required in hs256 mode"),
    ("auth: {audiences: [a], hs256SecretRef: {name: s}}", "not allowed in jwks mode"),
    ("auth: {mode: hs256, hs256SecretRef: {name: s}, jwks: '{\"keys\":[]}'}", "auth.jwks is not allowed"),
    ("auth: {jwks: nothing that is JSON}", "/auth/jwks"),
    ("auth: {leeway: 1 minute}", "/auth/leeway"),
    ("autoscaling: {maxReplicas: 0}", "/autoscaling/maxReplicas"),
    ("auth: {audiences: [a]}\nautoscaling: {minReplicas: 3, maxReplicas: 2}", "must not be greater than"),
    ("autoscaling: {enabled: true}", "enabled"),
    ("cache: {maxBytes: 1}", "/cache/maxBytes"),
    ("cache: {generalTtl: 300}", "/cache/generalTtl"),
    ("cache: {shared: {url: 'http://valkey'}}", "/cache/shared/url"),
    ("credentials: {mode: direct}", "mode"),
    ("credentials: {keys: {default: 'two words'}}", "/credentials/keys/default"),
    ("credentials: {keys: {'a/b': key}}", "a/b"),
    ("credentials: {named: [{name: a}]}", "/credentials/named/0"),
    ("credentials: {named: [{name: a, secretRef: {}}]}", "/credentials/named/0/secretRef"),
    ("credentials: {default: {secretRef: {name: Upper}}}", "/credentials/default/secretRef/name"),
    (
        "auth: {audiences: [a]}\ncredentials: {keys: {default: k}, default: {secretRef: {name: otx}}}",
        "set one or the other",
    ),
    ("gateway: {hostnames: [a.example]}", "/gateway"),
    ("gateway: {parentRefs: [{name: public}]}", "/gateway"),
    ("gateway: {parentRefs: [{namespace: a}], hostnames: [a.example]}", "/gateway/parentRefs/0"),
    ("image: {tag: 'a:b'}", "/image/tag"),
    ("image: {digest: sha256:short}", "/image/digest"),
    ("ingress: {host: 'https://otx.example'}", "/ingress/host"),
    ("ingress: {host: '*.example'}", "/ingress/host"),
    ("ingress: {className: traefik}", "/ingress"),
    ("ingress: {enabled: true}", "enabled"),
    (
        "auth: {audiences: [a]}\ningress: {host: a.example, tls: {enabled: false, secretName: s}}",
        "ingress.tls.secretName",
    ),
    (
        "auth: {audiences: [a]}\ningress: {annotations: {nginx.ingress.kubernetes.io/server-snippet: x}}",
        "into the controller's configuration",
    ),
    ("log: {level: loud}", "/log/level"),
    ("log: {format: xml}", "/log/format"),
    ("monitoring: {serviceMonitor: {interval: soon}}", "/monitoring/serviceMonitor/interval"),
    ("networkPolicy: {egressCidrs: [anywhere]}", "/networkPolicy/egressCidrs/0"),
    ("podDisruptionBudget: {minAvailable: 1}", "minAvailable"),
    ("podSecurity: {runAsUser: 0}", "/podSecurity/runAsUser"),
    ("podSecurity: {privileged: true}", "privileged"),
    ("resources: {limits: {memory: lots}}", "/resources/limits/memory"),
    ("resources: {limits: {cpu: '0.5'}}", "/resources/limits/cpu"),
    ("scheduling: {tolerations: [{operator: Maybe}]}", "/scheduling/tolerations/0/operator"),
    ("service: {type: ExternalName}", "/service/type"),
    ("telemetry: {sampleRatio: '2'}", "/telemetry/sampleRatio"),
    ("telemetry: {otlp: {endpoint: collector:4317}}", "/telemetry/otlp/endpoint"),
    ("upstream: {baseUrl: ftp://otx.example}", "/upstream/baseUrl"),
    ("upstream: {baseUrl: 'https://user:pass@otx.example'}", "/upstream/baseUrl"),
    ("upstream: {hourlyBudget: 0}", "/upstream/hourlyBudget"),
    ("upstream: {caBundle: {configMapRef: {name: A}}}", "/upstream/caBundle/configMapRef/name"),
];

fn is_refused(by: &str) {
    let helm = Helm::named(by).unwrap();
    for (chart, refused) in [("threatrelay-operator", OPERATOR), ("threatrelay", RELAY)] {
        for (values, said) in refused {
            let refused = helm.template(&folder(chart), "otx", values).err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|text| text.contains(said)), "{chart}, {values}: {refused:?}");
        }
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
