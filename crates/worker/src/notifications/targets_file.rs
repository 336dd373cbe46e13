//! Follows `landfall.toml`: read at the start, and again whenever it or a secret it names changes. A broken file keeps
//! the old one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notifier::{Config, ConfigFile, ConfigFileError, SecretPlace};
use secrecy::{ExposeSecret as _, SecretString};
use service::settings;
use service::telemetry::chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file, and what it said when it was last well.
pub(crate) struct TargetsFile {
    path: Option<PathBuf>,
    seen: Option<Seen>,
    current: watch::Sender<Arc<Config>>,
}

/// All that the file and its secrets were made of.
#[derive(PartialEq, Eq)]
struct Seen(Vec<Vec<u8>>);

impl TargetsFile {
    /// Reads the file of `LANDFALL_CONFIG`; without one there are no targets.
    pub(crate) fn read(path: Option<PathBuf>) -> Result<Self, ConfigFileError> {
        let (config, seen) = match &path {
            Some(path) => {
                let (config, seen) = load(path);
                (config?, Some(seen))
            }
            None => (Config::default(), None),
        };
        Ok(Self { path, seen, current: watch::Sender::new(Arc::new(config)) })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.current.subscribe()
    }

    /// Looks at the file now and then, until `shutdown`.
    pub(crate) async fn follow(mut self, shutdown: CancellationToken) {
        let Some(path) = self.path.take() else { return };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let at = path.clone();
            let Ok((config, seen)) = tokio::task::spawn_blocking(move || load(&at)).await else { continue };
            if self.seen.as_ref() == Some(&seen) {
                continue;
            }
            self.seen = Some(seen);
            match config {
                Ok(config) => {
                    tracing::info!(targets = config.targets.len(), path = %path.display(), "targets are read anew");
                    self.current.send_replace(Arc::new(config));
                }
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "the file of targets cannot be used: the one before it stays in force"
                ),
            }
        }
    }
}

fn load(path: &Path) -> (Result<Config, ConfigFileError>, Seen) {
    let file = match ConfigFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let seen = Seen(vec![chain(&error).into_bytes()]);
            return (Err(error), seen);
        }
    };
    let parts = Mutex::new(vec![file.text().as_bytes().to_vec()]);
    let config = file.parse(&|place| {
        let secret = read_secret(place);
        let part = match &secret {
            Ok(secret) => secret.expose_secret().as_bytes().to_vec(),
            Err(problem) => problem.clone().into_bytes(),
        };
        parts.lock().expect("nothing panics while it holds it").push(part);
        secret
    });
    (config, Seen(parts.into_inner().expect("nothing panics while it holds it")))
}

fn read_secret(place: SecretPlace<'_>) -> Result<SecretString, String> {
    let read = match place {
        SecretPlace::Variable(name) => settings::secret_in_variable(name),
        SecretPlace::File(path) => settings::secret_in_file(path),
    };
    read.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "[[targets]]\nname = \"NAME\"\nkind = \"redis-stream\"\n";

    #[tokio::test]
    async fn the_file_is_read_anew_and_a_broken_one_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        std::fs::write(&path, TARGET.replace("NAME", "one")).unwrap();
        let file = TargetsFile::read(Some(path.clone())).unwrap();
        let mut current = file.subscribe();
        assert_eq!(current.borrow_and_update().targets[0].name, "one");
        let shutdown = CancellationToken::new();
        let following = tokio::spawn(file.follow(shutdown.clone()));

        std::fs::write(&path, "[[targets]]\nname = 5\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, TARGET.replace("NAME", "two")).unwrap();
        current.changed().await.unwrap();
        assert_eq!(current.borrow_and_update().targets[0].name, "two");
        shutdown.cancel();
        following.await.unwrap();
    }

    #[test]
    fn a_broken_file_is_told_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("landfall.toml");
        let error = |path: &Path| chain(&TargetsFile::read(Some(path.to_owned())).map(drop).unwrap_err());
        assert!(error(&path).contains("cannot read"));
        std::fs::write(&path, "[[targets]]\nname = 5\n").unwrap();
        assert!(error(&path).contains("landfall.toml: line 2: name: invalid type"), "{}", error(&path));
        assert!(TargetsFile::read(None).unwrap().subscribe().borrow().targets.is_empty());
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
        let (config, before) = load(&path);
        config.unwrap();
        assert!(load(&path).1 == before);
        std::fs::write(&secret, "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=\n").unwrap();
        assert!(load(&path).1 != before);
    }
}
