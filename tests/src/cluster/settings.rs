//! The flags and files with which a cluster's programs are started. Nothing is started here.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::api::Access;
use super::control_plane::History;
use super::sandbox::NODE_ADDRESS;

/// User, group and kubeconfig name of every identity. The kubelet's is a node credential, so what it may do is
/// bounded by the node authorizer and by NodeRestriction.
const IDENTITIES: [(&str, &str, &str); 5] = [
    ("admin", "system:masters", "admin"),
    ("system:kube-controller-manager", "", "kube-controller-manager"),
    ("system:kube-scheduler", "", "kube-scheduler"),
    ("system:node:node1", "system:nodes", "kubelet"),
    ("system:kube-proxy", "", "kube-proxy"),
];

/// Writes `tokens.csv` and a kubeconfig for each component inside; returns the token with all rights.
pub(super) fn write_identities(folder: &Path, ca: &str) -> io::Result<String> {
    let mut tokens = String::new();
    let mut admin = String::new();
    for (user, group, file) in IDENTITIES {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let _ = writeln!(tokens, "{token},{user},{user},\"{group}\"");
        let access = Access { server: "https://127.0.0.1:6443".into(), ca: ca.into(), token: token.clone() };
        fs::write(folder.join(format!("{file}.kubeconfig")), access.kubeconfig())?;
        if user == "admin" {
            admin = token;
        }
    }
    fs::write(folder.join("tokens.csv"), tokens)?;
    Ok(admin)
}

pub(super) const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
  "omitStages": ["RequestReceived", "ResponseStarted"],
  "rules": [{"level": "Metadata"}]
}"#;

pub(super) fn etcd_flags(folder: &Path) -> Vec<String> {
    flags(&[
        ("data-dir", &at(folder, "etcd")),
        ("listen-client-urls", "http://127.0.0.1:2379"),
        ("advertise-client-urls", "http://127.0.0.1:2379"),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
    ])
}

pub(super) fn apiserver_flags(folder: &Path, history: History) -> Vec<String> {
    let pki = |file| at(folder, &format!("pki/{file}"));
    let mut list = flags(&[
        ("etcd-servers", "http://127.0.0.1:2379"),
        ("etcd-compaction-interval", "0"),
        ("secure-port", "6443"),
        ("bind-address", "0.0.0.0"),
        ("advertise-address", NODE_ADDRESS),
        ("service-cluster-ip-range", "10.201.0.0/20"),
        ("tls-cert-file", &pki("apiserver.crt")),
        ("tls-private-key-file", &pki("apiserver.key")),
        ("client-ca-file", &pki("ca.crt")),
        ("token-auth-file", &at(folder, "tokens.csv")),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &pki("sa.pub")),
        ("service-account-signing-key-file", &pki("sa.key")),
        ("allow-privileged", "true"),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("kubelet-client-certificate", &pki("kubelet-client.crt")),
        ("kubelet-client-key", &pki("kubelet-client.key")),
        ("kubelet-certificate-authority", &pki("ca.crt")),
        ("requestheader-client-ca-file", &pki("front-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("proxy-client-cert-file", &pki("front-proxy.crt")),
        ("proxy-client-key-file", &pki("front-proxy.key")),
        ("enable-aggregator-routing", "true"),
        ("audit-policy-file", &at(folder, "audit-policy.json")),
        ("audit-log-path", &at(folder, "logs/audit.log")),
        ("audit-log-mode", "blocking-strict"),
    ]);
    if history == History::Compactable {
        list.push("--feature-gates=ListFromCacheSnapshot=false".into());
    }
    list
}

pub(super) fn controller_flags(folder: &Path) -> Vec<String> {
    let kubeconfig = at(folder, "kube-controller-manager.kubeconfig");
    flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("service-account-private-key-file", &at(folder, "pki/sa.key")),
        ("root-ca-file", &at(folder, "pki/ca.crt")),
        ("use-service-account-credentials", "true"),
        ("leader-elect", "false"),
        ("horizontal-pod-autoscaler-sync-period", "5s"),
        // The defaults keep a test's controllers waiting: 20 requests a second.
        ("kube-api-qps", "200"),
        ("kube-api-burst", "400"),
    ])
}

pub(super) fn containerd_flags(folder: &Path) -> Vec<String> {
    flags(&[("config", &at(folder, "containerd.toml"))])
}

pub(super) fn scheduler_flags(folder: &Path) -> Vec<String> {
    flags(&[("kubeconfig", &at(folder, "kube-scheduler.kubeconfig")), ("leader-elect", "false")])
}

pub(super) fn kubelet_flags(folder: &Path) -> Vec<String> {
    flags(&[
        ("config", &at(folder, "kubelet.json")),
        ("kubeconfig", &at(folder, "kubelet.kubeconfig")),
        ("hostname-override", "node1"),
        ("node-ip", NODE_ADDRESS),
    ])
}

pub(super) fn proxy_flags(folder: &Path) -> Vec<String> {
    flags(&[
        ("kubeconfig", &at(folder, "kube-proxy.kubeconfig")),
        ("proxy-mode", "nftables"),
        ("cluster-cidr", "10.202.0.0/24"),
        ("conntrack-max-per-core", "0"),
        ("hostname-override", "node1"),
    ])
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn at(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

/// Writes the settings of containerd, its network plugins and the kubelet, whose pods are below control group `cgroup`.
pub(super) fn write_node_settings(folder: &Path, cgroup: &str) -> io::Result<()> {
    fs::create_dir_all(folder.join("cni"))?;
    fs::write(folder.join("containerd.toml"), containerd_settings(folder))?;
    fs::write(folder.join("cni/10-bridge.conflist"), cni_settings().to_string())?;
    fs::write(folder.join("kubelet.json"), kubelet_settings(folder, cgroup).to_string())?;
    // Not the machine's: its search domains would end up in every pod.
    fs::write(folder.join("resolv.conf"), "nameserver 10.200.0.254\n")
}

fn containerd_settings(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:local"
# Without CAP_SYS_RESOURCE a container's OOM score cannot be lowered, and no container would start.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"#
    )
}

fn cni_settings() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.202.0.0/24"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn kubelet_settings(folder: &Path, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": at(folder, "pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": at(folder, "pki/kubelet-server.crt"),
        "tlsPrivateKeyFile": at(folder, "pki/kubelet-server.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "failSwapOn": false,
        "evictionHard": {},
        "enforceNodeAllocatable": [],
        "clusterDNS": ["10.201.0.10"],
        "clusterDomain": "cluster.local",
        "resolvConf": at(folder, "resolv.conf"),
        "shutdownGracePeriod": "0s",
        // How soon pods see a changed Secret that they mount; a minute by default.
        "syncFrequency": "5s",
    })
}
