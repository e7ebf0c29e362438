//! The images, built for real by buildah from the Dockerfile, without a registry: the static binaries come as the stage
//! `builder`, the base is empty. What is in them, how large they are, and that the relay's runs as anybody may run it.
//!
//! Making mounts and network namespaces needs root.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::binaries::{self, AUTHORITIES, BINARIES};
use tests::cluster::Cluster;
use tests::cluster::workload::restricted_pod;
use tests::eventually::Eventually;

const MEGABYTE: usize = 1 << 20;

/// An image as an archive, taken apart.
struct Built {
    archive: PathBuf,
    config: Value,
    /// Path and size of every file.
    files: BTreeMap<String, usize>,
}

/// buildah with a store of its own.
struct Builder {
    folder: TempDir,
}

impl Builder {
    /// A store that holds the static binaries as the image `localhost/builder:local`.
    fn with_binaries() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [graph, run] = ["graph", "run"].map(|name| at(name).display().to_string());
        let storage = format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{graph}\"\nrunroot = \"{run}\"\n");
        fs::write(at("storage.conf"), storage).unwrap();
        let out = at("context/out");
        fs::create_dir_all(out.join(architecture())).unwrap();
        fs::create_dir_all(out.join("licenses")).unwrap();
        let built = static_binaries();
        for name in ["threatrelay", "threatrelay-operator"] {
            fs::copy(built.join(name), out.join(architecture()).join(name)).unwrap();
        }
        fs::copy(AUTHORITIES, out.join("ca-certificates.crt")).unwrap();
        fs::copy(root().join("LICENSE"), out.join("licenses/LICENSE")).unwrap();
        fs::write(at("context/Dockerfile"), "FROM scratch\nCOPY out /out\n").unwrap();
        let context = at("context");
        let builder = Self { folder };
        builder.build(&["--tag", "localhost/builder:local"], &context);
        builder
    }

    fn build(&self, arguments: &[&str], context: &Path) {
        let context = context.display().to_string();
        self.run(&[&["build", "--isolation", "chroot"], arguments, &[&context]].concat());
    }

    fn run(&self, arguments: &[&str]) {
        // In a network namespace of its own: nothing can be pulled.
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "buildah"]).args(arguments);
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"));
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {arguments:?}: {printed}");
    }

    /// The image of a target, on an empty base.
    fn image(&self, target: &str, name: &str) -> Built {
        let tag = format!("docker.io/library/{name}:local");
        let architecture = format!("TARGETARCH={}", architecture());
        let mut arguments = vec!["--target", target, "--tag", &tag, "--build-arg", &architecture];
        for argument in ["BASE=scratch", "BUILDER=localhost/builder:local", "VERSION=1.2.3", "REVISION=abc"] {
            arguments.extend(["--build-arg", argument]);
        }
        self.build(&arguments, &root());
        let archive = self.folder.path().join(format!("{name}.tar"));
        self.run(&["push", &tag, &format!("docker-archive:{}:{tag}", archive.display())]);
        Built::read(archive)
    }
}

impl Built {
    fn read(archive: PathBuf) -> Self {
        let mut parts = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&archive).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let manifest: Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
        let config = serde_json::from_slice(&parts[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let mut files = BTreeMap::new();
        for layer in manifest[0]["Layers"].as_array().unwrap() {
            for entry in tar::Archive::new(&parts[layer.as_str().unwrap()][..]).entries().unwrap() {
                let entry = entry.unwrap();
                if entry.header().entry_type().is_file() {
                    let size = usize::try_from(entry.header().size().unwrap()).unwrap();
                    files.insert(entry.path().unwrap().display().to_string(), size);
                }
            }
        }
        Self { archive, config, files }
    }

    fn is_as_promised(&self, program: &str) {
        let names: Vec<_> = self.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["etc/ssl/certs/ca-certificates.crt", "licenses/LICENSE", program]);
        let size: usize = self.files.values().sum();
        println!("{program}: {size} bytes");
        assert!(size <= 20 * MEGABYTE, "{size} bytes");
        let config = &self.config["config"];
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["Entrypoint"], json!([format!("/{program}")]));
        assert_eq!(config["StopSignal"], "SIGTERM");
        let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
        assert_eq!([label("title"), label("version"), label("revision")], [program, "1.2.3", "abc"]);
        for name in ["description", "created", "vendor", "licenses", "source", "url", "documentation"] {
            assert!(label(name).as_str().is_some_and(|text| !text.is_empty()), "no label {name}");
        }
    }
}

/// Those that the suites were given, or built here.
fn static_binaries() -> PathBuf {
    std::env::var_os(BINARIES).map_or_else(|| binaries::build().unwrap(), PathBuf::from)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[tokio::test]
async fn the_images_hold_one_static_program_that_runs_with_no_right_at_all() {
    let builder = Builder::with_binaries();
    let relay = builder.image("relay", "threatrelay");
    relay.is_as_promised("threatrelay");
    let operator = builder.image("operator", "threatrelay-operator");
    operator.is_as_promised("threatrelay-operator");

    let cluster = Cluster::start().await.unwrap();
    for image in [&relay, &operator] {
        cluster.load_archive(&image.archive).unwrap();
    }
    let namespace = cluster.restricted_namespace("image").await.unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let container = json!({
        "name": "relay", "image": "docker.io/library/threatrelay:local",
        "env": [{"name": "THREATRELAY_AUTH_AUDIENCES", "value": "https://relay.soc.example"}],
        "readinessProbe": {"httpGet": {"path": "/livez", "port": 9091}, "periodSeconds": 1},
    });
    let command =
        json!({"name": "operator", "image": "docker.io/library/threatrelay-operator:local", "args": ["crd"]});
    for (name, container) in [("relay", container), ("operator", command)] {
        let mut pod = restricted_pod(container);
        pod["restartPolicy"] = "Never".into();
        pod["terminationGracePeriodSeconds"] = 40.into();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod});
        cluster.api().create(&path, &pod).await.unwrap();
    }
    let until = async |name: &str, pointer: &str, wanted: Value| {
        let status = async || cluster.api().field(&format!("{path}/{name}"), "/status").await.unwrap();
        let wait = Eventually::new(format!("{name}: {pointer} is {wanted}")).within(Duration::from_mins(1));
        wait.matches(status, |status| status.pointer(pointer) == Some(&wanted)).await.unwrap();
    };
    until("relay", "/containerStatuses/0/ready", json!(true)).await;
    until("operator", "/phase", json!("Succeeded")).await;
}
