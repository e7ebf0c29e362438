//! Container images made of files on this machine, without a registry and without a build tool.
//!
//! An image is one layer of static programs and other files. It is written as the archive that `docker save` makes,
//! which containerd, Docker, podman and kind import.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde_json::json;

use super::programs::hex;

/// An image to be.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    files: Vec<(PathBuf, String)>,
    entrypoint: Vec<String>,
    user: String,
}

impl Image {
    /// An image `docker.io/library/NAME:local` that runs the static `program` as user 65532. Pods name it in full, with
    /// `imagePullPolicy: Never`.
    pub fn of(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: format!("docker.io/library/{name}:local"),
            files: vec![(program.into(), format!("/{name}"))],
            entrypoint: vec![format!("/{name}")],
            user: "65532:65532".into(),
        }
    }

    /// As [`Image::of`], for a program as the compiler leaves it: the shared libraries it needs come along.
    ///
    /// # Errors
    /// When `ldd` cannot read the program.
    pub fn of_dynamic(name: &str, program: impl Into<PathBuf>) -> io::Result<Self> {
        let program = program.into();
        Self::of(name, &program).with_libraries(&program)
    }

    /// Adds another program, with the shared libraries that it needs.
    ///
    /// # Errors
    /// When `ldd` cannot read the program.
    pub fn with_program(self, outside: impl Into<PathBuf>, inside: impl Into<String>) -> io::Result<Self> {
        let outside = outside.into();
        self.with_file(&outside, inside).with_libraries(&outside)
    }

    fn with_libraries(self, program: &Path) -> io::Result<Self> {
        let output = Command::new("ldd").arg(program).output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("ldd {}: {}", program.display(), why.trim())));
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        // "libm.so.6 => /lib/libm.so.6 (0x0)" or "/lib64/ld-linux.so.2 (0x0)"
        let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
        let missing = |path: &String| !self.files.iter().any(|(_, inside)| inside == path);
        let libraries: Vec<_> = printed.lines().filter_map(path).filter(missing).collect();
        Ok(libraries.into_iter().fold(self, |image, path| image.with_file(path.clone(), path)))
    }

    /// Adds a file, readable and executable for all.
    #[must_use]
    pub fn with_file(mut self, outside: impl Into<PathBuf>, inside: impl Into<String>) -> Self {
        self.files.push((outside.into(), inside.into()));
        self
    }

    /// Runs as another numeric user.
    #[must_use]
    pub fn run_as(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Runs this file of it.
    #[must_use]
    pub fn starting_with(mut self, inside: impl Into<String>) -> Self {
        self.entrypoint = vec![inside.into()];
        self
    }

    /// Has another full name than `docker.io/library/NAME:local`.
    #[must_use]
    pub fn called(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the archive to `target`.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn archive(&self, target: &Path) -> io::Result<()> {
        let layer_path = target.with_extension("layer");
        let layer_digest = self.write_layer(&layer_path)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{"created_by": "threatrelay tests"}],
        })
        .to_string();
        let config_name = format!("{}.json", hex(digest(&SHA256, config.as_bytes()).as_ref()));
        let manifest = json!([{"Config": config_name, "RepoTags": [self.name], "Layers": ["layer.tar"]}]).to_string();
        let mut archive = tar::Builder::new(File::create(target)?);
        append(&mut archive, &config_name, config.as_bytes(), config.len() as u64, 0o644)?;
        append(&mut archive, "manifest.json", manifest.as_bytes(), manifest.len() as u64, 0o644)?;
        let layer = File::open(&layer_path)?;
        let size = layer.metadata()?.len();
        append(&mut archive, "layer.tar", layer, size, 0o644)?;
        archive.into_inner()?.sync_data().or(Ok::<_, io::Error>(()))?;
        fs::remove_file(layer_path)
    }

    fn write_layer(&self, path: &Path) -> io::Result<String> {
        let mut layer = tar::Builder::new(Hashed { file: File::create(path)?, hash: Context::new(&SHA256) });
        for (outside, inside) in &self.files {
            let file = File::open(outside)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", outside.display())))?;
            let size = file.metadata()?.len();
            append(&mut layer, inside.trim_start_matches('/'), file, size, 0o755)?;
        }
        Ok(hex(layer.into_inner()?.hash.finish().as_ref()))
    }
}

fn append<W: Write>(
    to: &mut tar::Builder<W>,
    name: &str,
    data: impl io::Read,
    size: u64,
    mode: u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    to.append_data(&mut header, name, data)
}

/// A file that is hashed while it is written.
struct Hashed {
    file: File,
    hash: Context,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The name images use for this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::io::Read;

    use super::*;

    #[test]
    fn the_archive_names_the_image_and_the_digest_of_its_layer() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "bytes").unwrap();
        let target = folder.path().join("image.tar");
        Image::of("web", &program).archive(&target).unwrap();

        let mut contents = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(File::open(&target).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            contents.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&contents["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "docker.io/library/web:local");
        let config: serde_json::Value =
            serde_json::from_slice(&contents[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let layer = hex(digest(&SHA256, &contents["layer.tar"]).as_ref());
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{layer}"));
    }
}
