//! Files that change while the relay runs: read at start, then looked at every two seconds and taken over when their
//! content differs. Content is compared, not time, because the kubelet replaces mounted Secrets by swapping the
//! `..data` link. What cannot be read later leaves the last good value in place and is logged once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretSlice};
use tokio_util::task::AbortOnDropHandle;

use super::metrics::PlaceMetrics;

/// Time between two looks at a place.
const PAUSE: Duration = Duration::from_secs(2);
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Contents by file name.
pub type Snapshot = BTreeMap<String, SecretSlice<u8>>;

/// Makes a value of a snapshot; the second argument is the value in use, absent at start. The error is the end of a
/// sentence about the place and repeats no content.
pub type Parse<T> = fn(&Snapshot, Option<&T>) -> Result<Parsed<T>, String>;

/// What was made of a snapshot.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The value to use.
    pub value: T,
    /// Files that had to be left out.
    pub left_out: u64,
}

impl<T> Parsed<T> {
    /// Made of all there is.
    pub const fn whole(value: T) -> Self {
        Self { value, left_out: 0 }
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub enum Place {
    /// One file.
    File(PathBuf),
    /// The files of a directory. Subdirectories and names that start with a dot are left out.
    Directory(PathBuf),
}

/// A place could not be read, or holds what it should not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Unusable {
    path: PathBuf,
    why: String,
}

/// A value that follows its files. Dropping it ends the task that looks at them.
pub struct Reloaded<T> {
    current: Arc<ArcSwap<T>>,
    _watch: AbortOnDropHandle<()>,
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads the value and follows it from then on. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`Unusable`] when the first reading fails.
    pub fn start(place: Place, parse: Parse<T>, metrics: PlaceMetrics) -> Result<Self, Unusable> {
        let mut watch = Watch::start(place, parse, metrics)?;
        let current = Arc::clone(&watch.current);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                // A blocking thread, because a network file system may hang.
                match tokio::task::spawn_blocking(|| {
                    watch.look();
                    watch
                })
                .await
                {
                    Ok(looked) => watch = looked,
                    Err(_) => return,
                }
            }
        });
        Ok(Self { current, _watch: AbortOnDropHandle::new(task) })
    }

    /// The value in use.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }
}

/// The state of following a place.
struct Watch<T> {
    place: Place,
    parse: Parse<T>,
    metrics: PlaceMetrics,
    current: Arc<ArcSwap<T>>,
    /// Of the last snapshot, whether it could be parsed or not.
    seen: Fingerprint,
    /// The last reading failed, and that was logged.
    unreadable: bool,
}

type Fingerprint = [u8; 32];

impl<T> Watch<T> {
    fn start(place: Place, parse: Parse<T>, metrics: PlaceMetrics) -> Result<Self, Unusable> {
        let snapshot = place.read()?;
        let parsed = parse(&snapshot, None).map_err(|why| place.unusable(&why))?;
        metrics.taken(parsed.left_out);
        let current = Arc::new(ArcSwap::from_pointee(parsed.value));
        Ok(Self { place, parse, metrics, current, seen: fingerprint(&snapshot), unreadable: false })
    }

    /// Takes over what has changed.
    fn look(&mut self) {
        let snapshot = match self.place.read() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    self.metrics.refused();
                    tracing::error!(%error, "cannot be read again; the last content stays in use");
                }
                return;
            }
        };
        self.unreadable = false;
        let now = fingerprint(&snapshot);
        if std::mem::replace(&mut self.seen, now) == now {
            return;
        }
        match (self.parse)(&snapshot, Some(&self.current.load())) {
            Ok(parsed) => {
                self.metrics.taken(parsed.left_out);
                self.current.store(Arc::new(parsed.value));
                tracing::info!(path = %self.place.path().display(), "changed content is in use");
            }
            Err(why) => {
                self.metrics.refused();
                let error = self.place.unusable(&why);
                tracing::error!(%error, "changed content is refused; the last good one stays in use");
            }
        }
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Directory(path) => path,
        }
    }

    pub(super) fn unusable(&self, why: &impl ToString) -> Unusable {
        Unusable { path: self.path().to_owned(), why: why.to_string() }
    }

    /// Its content now, once.
    pub(super) fn read(&self) -> Result<Snapshot, Unusable> {
        let read = |path: &Path| read_file(path).map_err(|why| Unusable { path: path.to_owned(), why });
        match self {
            Self::File(path) => Ok(Snapshot::from([(String::new(), read(path)?)])),
            Self::Directory(directory) => {
                let mut snapshot = Snapshot::new();
                for entry in std::fs::read_dir(directory).map_err(|error| self.unusable(&error))? {
                    let entry = entry.map_err(|error| self.unusable(&error))?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let path = entry.path();
                    if name.starts_with('.') {
                        continue;
                    }
                    // A link that leads nowhere is an error and not an absent file: the next look may find it whole.
                    let metadata =
                        path.metadata().map_err(|error| Unusable { path: path.clone(), why: error.to_string() })?;
                    if metadata.is_file() {
                        snapshot.insert(name, read(&path)?);
                    }
                }
                Ok(snapshot)
            }
        }
    }
}

fn read_file(path: &Path) -> Result<SecretSlice<u8>, String> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    let content = SecretSlice::from(content);
    if content.expose_secret().len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    Ok(content)
}

fn fingerprint(snapshot: &Snapshot) -> Fingerprint {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, content) in snapshot {
        for part in [name.as_bytes(), content.expose_secret()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
    }
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

/// A content without the one line break that editors and `echo` put at its end.
#[must_use]
pub fn without_last_break(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// All names and contents in one text; a content `bad` is refused.
    fn joined(snapshot: &Snapshot, _: Option<&String>) -> Result<Parsed<String>, String> {
        let parts = snapshot.iter().map(|(name, content)| {
            format!("{name}={}", String::from_utf8_lossy(without_last_break(content.expose_secret())))
        });
        let text = parts.collect::<Vec<_>>().join(" ");
        if text.contains("=bad") { Err("holds something bad".to_owned()) } else { Ok(Parsed::whole(text)) }
    }

    fn watch(place: Place) -> Watch<String> {
        Watch::start(place, joined, PlaceMetrics::default()).unwrap()
    }

    fn value(watch: &Watch<String>) -> String {
        watch.current.load_full().to_string()
    }

    #[test]
    fn changed_content_is_taken_over_and_bad_content_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "one\n").unwrap();
        let mut watch = watch(Place::File(file.clone()));
        assert_eq!(value(&watch), "=one");
        for (content, expected) in [("two", "=two"), ("bad", "=two"), ("three", "=three")] {
            fs::write(&file, content).unwrap();
            watch.look();
            assert_eq!(value(&watch), expected);
        }
        fs::remove_file(&file).unwrap();
        watch.look();
        assert_eq!(value(&watch), "=three");
        fs::write(&file, "four").unwrap();
        watch.look();
        assert_eq!(value(&watch), "=four");
    }

    #[test]
    fn a_mounted_secret_changes_by_the_swap_of_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, content) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("default"), content).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/default", at("default")).unwrap();
        let mut watch = watch(Place::Directory(dir.path().to_owned()));
        assert_eq!(value(&watch), "default=old");

        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at("..1")).unwrap();
        watch.look();
        assert_eq!(value(&watch), "default=new");
    }

    #[test]
    fn files_of_a_directory_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        fs::write(dir.path().join(".hidden"), "2").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        let mut watch = watch(Place::Directory(dir.path().to_owned()));
        assert_eq!(value(&watch), "a=1");
        fs::write(dir.path().join("b"), "3").unwrap();
        fs::remove_file(dir.path().join("a")).unwrap();
        watch.look();
        assert_eq!(value(&watch), "b=3");
    }

    #[test]
    fn a_first_reading_that_fails_names_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let said = |place| {
            Watch::start(place, joined, PlaceMetrics::default())
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(said(Place::File(file.clone())).ends_with("/secret: No such file or directory (os error 2)"));
        fs::write(&file, "bad").unwrap();
        assert!(said(Place::File(file.clone())).ends_with("/secret: holds something bad"));
        fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(said(Place::File(file)).ends_with("/secret: is larger than 1048576 bytes"));
        assert!(said(Place::Directory(dir.path().join("absent"))).contains("/absent: No such file"));
    }

    #[test]
    fn one_line_break_at_the_end_is_left_out() {
        for (content, expected) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a ", "a "), ("\n", ""), ("", "")]
        {
            assert_eq!(without_last_break(content.as_bytes()), expected.as_bytes());
        }
    }

    #[tokio::test]
    async fn dropping_the_value_ends_the_task() {
        let dir = tempfile::tempdir().unwrap();
        let reloaded =
            Reloaded::start(Place::Directory(dir.path().to_owned()), joined, PlaceMetrics::default()).unwrap();
        let current = Arc::downgrade(&reloaded.current);
        drop(reloaded);
        let gone = async {
            while current.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the task still holds the value after 5 s");
    }
}
