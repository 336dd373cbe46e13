//! Watches `landfall.toml`: reads it at the start, and again whenever it or a secret it names changes. An invalid file
//! stops nothing: the last valid one stays in effect, or none at the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use error_text::chain;
use notifier::{Config, ConfigFile, ConfigFileError, SecretRef};
use secrecy::{ExposeSecret as _, SecretString};
use service::{detached, settings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A change is accepted when two polls in a row read the same content: an editor may truncate the file before it writes
/// it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A file that takes longer to read is considered hung. Fetching starts without it.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The file, and its last valid configuration.
pub(crate) struct TargetsFile {
    path: Option<PathBuf>,
    /// The content that was last evaluated: activated or rejected.
    evaluated: Option<Content>,
    /// Different content that one poll has read.
    candidate: Option<Content>,
    current: watch::Sender<Arc<Config>>,
    /// Whether a file has been activated.
    is_active: bool,
    /// Why no target is active although there is a file.
    problem: watch::Sender<Option<String>>,
}

/// The content of the file and its secrets.
#[derive(PartialEq, Eq)]
struct Content(Vec<Vec<u8>>);

/// One reading of the file.
struct Reading {
    config: Result<Config, ConfigFileError>,
    content: Content,
}

impl TargetsFile {
    /// Reads the file named by `LANDFALL_CONFIG`; without one there are no targets.
    pub(crate) async fn open(path: Option<PathBuf>) -> Self {
        let mut file = Self {
            path,
            evaluated: None,
            candidate: None,
            current: watch::Sender::default(),
            is_active: false,
            problem: watch::Sender::default(),
        };
        let Some(path) = file.path.clone() else { return file };
        match tokio::time::timeout(READ_TIMEOUT, detached::run(move || Reading::at(&path))).await {
            Ok(Ok(reading)) => file.apply(reading),
            Ok(Err(error)) => file.reject(chain(&error)),
            Err(_) => file.reject(hangs()),
        }
        file
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.current.subscribe()
    }

    /// Why no file is active.
    pub(crate) fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    /// Polls the file until `shutdown`.
    pub(crate) async fn follow(mut self, shutdown: CancellationToken) {
        let Some(path) = self.path.clone() else { return };
        let following = async {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let path = path.clone();
                let mut reading_task = std::pin::pin!(detached::run(move || Reading::at(&path)));
                let read = match tokio::time::timeout(READ_TIMEOUT, &mut reading_task).await {
                    Ok(read) => read,
                    Err(_) => {
                        tracing::warn!(error = hangs(), "changes of the targets are not noticed meanwhile");
                        reading_task.await
                    }
                };
                if let Ok(reading) = read {
                    self.observe(reading);
                }
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    /// Applies content that two polls in a row have read.
    fn observe(&mut self, reading: Reading) {
        if self.evaluated.as_ref() == Some(&reading.content) {
            self.candidate = None;
        } else if self.candidate.as_ref() == Some(&reading.content) {
            self.apply(reading);
        } else {
            self.candidate = Some(reading.content);
        }
    }

    fn apply(&mut self, reading: Reading) {
        self.evaluated = Some(reading.content);
        self.candidate = None;
        match reading.config {
            Ok(config) => self.activate(config),
            Err(error) => self.reject(chain(&error)),
        }
    }

    fn activate(&mut self, config: Config) {
        let before = self.current.send_replace(Arc::new(config));
        let had_problem = self.problem.send_replace(None).is_some();
        let was_active = std::mem::replace(&mut self.is_active, true);
        let config = self.current.borrow();
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        let is_named = |name: &&str| config.targets.iter().any(|target| target.name == *name);
        let names = before.targets.iter().map(|target| target.name.as_str());
        let removed: Vec<&str> = names.filter(|name| !is_named(name)).collect();
        if !removed.is_empty() {
            tracing::warn!(
                targets = removed.join(", "),
                path = %path,
                "targets were removed from the file: they get no new notifications; their pending ones are kept"
            );
        }
        if was_active || had_problem {
            tracing::info!(targets = config.targets.len(), path = %path, "the targets file was reloaded");
        }
    }

    fn reject(&self, error: String) {
        if self.is_active {
            tracing::error!(error, "the targets file is not valid; the previous one stays in effect");
            return;
        }
        tracing::error!(
            error,
            "the targets file is not valid; results are fetched and stored, but no target is notified"
        );
        self.problem.send_replace(Some(error));
    }
}

impl Reading {
    fn at(path: &Path) -> Self {
        let file = match ConfigFile::read(path) {
            Ok(file) => file,
            Err(error) => {
                let content = Content(vec![chain(&error).into_bytes()]);
                return Self { config: Err(error), content };
            }
        };
        let parts = Mutex::new(vec![file.text().as_bytes().to_vec()]);
        let config = file.parse(&|place| {
            let secret = read_secret(place);
            let part = match &secret {
                Ok(secret) => secret.expose_secret().as_bytes().to_vec(),
                Err(problem) => problem.clone().into_bytes(),
            };
            parts.lock().expect("no panic while the lock is held").push(part);
            secret
        });
        Self { config, content: Content(parts.into_inner().expect("no panic while the lock is held")) }
    }
}

fn hangs() -> String {
    format!(
        "LANDFALL_CONFIG: reading the file, or a secret that it names, takes longer than {} s",
        READ_TIMEOUT.as_secs()
    )
}

fn read_secret(place: SecretRef<'_>) -> Result<SecretString, String> {
    let read = match place {
        SecretRef::Variable(name) => settings::secret_in_variable(name),
        SecretRef::File(path) => settings::secret_in_file(path),
    };
    read.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: &str = "[[targets]]\nname = 5\n";

    fn target(name: &str) -> String {
        format!("[[targets]]\nname = \"{name}\"\nkind = \"redis-stream\"\n")
    }

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
        file: TargetsFile,
        current: watch::Receiver<Arc<Config>>,
    }

    impl Fixture {
        async fn open(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("landfall.toml");
            std::fs::write(&path, text).unwrap();
            let file = TargetsFile::open(Some(path.clone())).await;
            Self { _folder: folder, path, current: file.subscribe(), file }
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.path, text).unwrap();
        }

        /// Polls once.
        fn look(&mut self) -> Vec<String> {
            self.file.observe(Reading::at(&self.path));
            self.names()
        }

        fn names(&self) -> Vec<String> {
            self.current.borrow().targets.iter().map(|target| target.name.clone()).collect()
        }

        fn problem(&self) -> Option<String> {
            self.file.problem().borrow().clone()
        }
    }

    #[tokio::test]
    async fn a_file_that_is_truncated_for_a_moment_stays_active() {
        let mut fixture = Fixture::open(&target("one")).await;
        for half_written in ["", BROKEN, &target("one")[..20]] {
            fixture.write(half_written);
            assert_eq!(fixture.look(), ["one"], "{half_written:?}");
            fixture.write(&target("one"));
            assert_eq!(fixture.look(), ["one"]);
        }
        // An older candidate does not count.
        fixture.write("");
        assert_eq!(fixture.look(), ["one"]);
        assert!(!fixture.current.has_changed().unwrap(), "nothing was activated meanwhile");
    }

    #[tokio::test]
    async fn a_change_counts_when_two_polls_agree_and_a_broken_file_keeps_the_one_before() {
        let mut fixture = Fixture::open(&target("one")).await;
        fixture.write(&target("two"));
        assert_eq!(fixture.look(), ["one"]);
        assert_eq!(fixture.look(), ["two"]);
        fixture.write(BROKEN);
        for _ in 0..3 {
            assert_eq!(fixture.look(), ["two"]);
        }
        std::fs::remove_file(&fixture.path).unwrap();
        for _ in 0..3 {
            assert_eq!(fixture.look(), ["two"]);
        }
        assert_eq!(fixture.problem(), None, "the file before is still active");
        fixture.write("");
        fixture.look();
        assert!(fixture.look().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_at_the_start_is_a_problem_until_it_can() {
        let mut fixture = Fixture::open(BROKEN).await;
        let problem = fixture.problem().unwrap();
        assert!(problem.contains("landfall.toml: line 2: name: invalid type"), "{problem}");
        assert!(fixture.names().is_empty());
        std::fs::remove_file(&fixture.path).unwrap();
        fixture.look();
        fixture.look();
        assert!(fixture.problem().unwrap().contains("cannot read"), "{:?}", fixture.problem());
        fixture.write(&target("one"));
        fixture.look();
        assert_eq!(fixture.look(), ["one"]);
        assert_eq!(fixture.problem(), None);
        assert_eq!(*TargetsFile::open(None).await.problem().borrow(), None, "no file is no problem");
    }

    #[test]
    fn a_changed_secret_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join("landfall.toml"), folder.path().join("secret"));
        let text = format!(
            "[[targets]]\nname = \"a\"\nurl = \"https://a.example/\"\nsecret_file = \"{}\"\n",
            secret.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::write(&secret, test_support::signed_webhook::SECRET).unwrap();
        let before = Reading::at(&path);
        before.config.unwrap();
        assert!(Reading::at(&path).content == before.content);
        std::fs::write(&secret, "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=\n").unwrap();
        assert!(Reading::at(&path).content != before.content);
    }
}
