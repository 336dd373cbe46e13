//! `landfall secret install`: the first thing that docker-compose.yml runs. A secret's file belongs to whoever wrote it, and
//! should be readable by nobody else; containers run as other users. So each user gets a copy of what it needs, and of
//! nothing more. What is missing is said here, once, before anything starts that would need it. The copies are a mirror:
//! a secret that is removed from the folder is removed from them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use service::settings::{self, Fetch, NamedSecretError};
use webhook::{SigningSecret, Verifier};

use super::random;
use crate::exit::{Answer, Failure};

/// Only its owner reads a secret, and nobody changes it.
const SECRET_MODE: u32 = 0o400;
/// It lies among the secrets, and explains them.
const NO_SECRET: &str = "README.md";
/// How editors, packages and people call a copy of what they change.
const COPIES: [&str; 12] =
    ["bak", "backup", "copy", "new", "old", "orig", "rej", "save", "swp", "tmp", "dpkg-old", "rpmsave"];

/// Give each user of docker-compose.yml a copy of its secrets, which nobody else can read
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// The folder that holds openai_webhook_secret, openai_api_key and database_password
    #[arg(long, value_name = "DIR", default_value = "secrets", conflicts_with = "generate")]
    from: PathBuf,
    /// Make up all of them instead, the first time; for trying
    #[arg(long)]
    generate: bool,
    /// The folder whose folders ingest, worker and database get the copies
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The user, by number, that ingest and worker run as
    #[arg(long, value_name = "UID", default_value_t = 65532)]
    owner: u32,
    /// The user, by number, that the database runs as
    #[arg(long, value_name = "UID", default_value_t = 999)]
    database_owner: u32,
    /// With off, no API key is needed
    #[arg(long, env = "FETCH", value_name = "ON_OR_OFF", value_enum, default_value_t = Fetch::On)]
    fetch: Fetch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    Webhook,
    ApiKey,
    DatabasePassword,
    RedisPassword,
}

const ALL: [Secret; 4] = [Secret::Webhook, Secret::ApiKey, Secret::DatabasePassword, Secret::RedisPassword];

impl Secret {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Webhook => "openai_webhook_secret",
            Self::ApiKey => "openai_api_key",
            Self::DatabasePassword => "database_password",
            Self::RedisPassword => "redis_password",
        }
    }

    const fn what_it_is(self) -> &'static str {
        match self {
            Self::Webhook => "the signing secret that OpenAI showed when the webhook was made (whsec_...)",
            Self::ApiKey => "an API key of the project that sends the webhooks (sk-...)",
            Self::DatabasePassword | Self::RedisPassword => "a long random password",
        }
    }

    /// Whose folders get it.
    const fn users(self) -> &'static [User] {
        match self {
            Self::Webhook => &[User::Ingest],
            Self::ApiKey => &[User::Worker],
            Self::DatabasePassword => &[User::Worker, User::Database],
            Self::RedisPassword => &[User::Ingest, User::Worker],
        }
    }

    /// A Redis of docker-compose.yml has no password.
    const fn is_needed(self, fetch: Fetch) -> bool {
        match self {
            Self::Webhook | Self::DatabasePassword => true,
            Self::ApiKey => matches!(fetch, Fetch::On),
            Self::RedisPassword => false,
        }
    }

    const fn is_optional(self) -> bool {
        matches!(self, Self::RedisPassword)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Ingest,
    Worker,
    Database,
}

impl User {
    const ALL: [Self; 3] = [Self::Ingest, Self::Worker, Self::Database];

    const fn folder(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Worker => "worker",
            Self::Database => "database",
        }
    }
}

/// Copies or makes the secrets.
pub(super) fn run(args: &Install) -> Result<Answer, Failure> {
    if args.generate {
        for secret in ALL.into_iter().filter(|secret| secret.is_needed(args.fetch) && !args.has(*secret)) {
            args.give(secret, &made_up(secret)?)?;
        }
        return Ok(Answer::Yes);
    }
    let is_there = |secret: Secret| args.from.join(secret.file_name()).exists();
    let wanted = ALL
        .into_iter()
        .filter(|secret| secret.is_needed(args.fetch) || secret.is_optional() && is_there(*secret));
    let mut faults = Vec::new();
    let mut ready = Vec::new();
    for secret in wanted {
        match read(&args.from, secret) {
            Ok(text) => ready.push((secret, text)),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(Failure::WrongUse(faults.join("; ")));
    }
    let mut given = Vec::new();
    for (secret, text) in &ready {
        args.give(*secret, text)?;
        given.extend(secret.users().iter().map(|user| args.file(*secret, *user)));
    }
    given.extend(args.give_workers_the_rest()?);
    args.remove_all_but(&given)?;
    Ok(Answer::Yes)
}

impl Install {
    fn file(&self, secret: Secret, user: User) -> PathBuf {
        self.to.join(user.folder()).join(secret.file_name())
    }

    const fn owner_of(&self, user: User) -> u32 {
        match user {
            User::Ingest | User::Worker => self.owner,
            User::Database => self.database_owner,
        }
    }

    /// Whether all who need it have it. What was made up once stays: the database keeps its first password.
    fn has(&self, secret: Secret) -> bool {
        secret.users().iter().all(|user| self.file(secret, *user).exists())
    }

    fn give(&self, secret: Secret, text: &SecretString) -> Result<(), Failure> {
        for &user in secret.users() {
            self.put(&self.file(secret, user), text, user)?;
        }
        Ok(())
    }

    /// What else lies in the folder is for workers, such as the key of a bucket. Gives the copies.
    fn give_workers_the_rest(&self) -> Result<Vec<PathBuf>, Failure> {
        let cannot_read = |source| Failure::Unreadable { path: self.from.clone(), source };
        let mut given = Vec::new();
        for entry in fs::read_dir(&self.from).map_err(cannot_read)? {
            let name = entry.map_err(cannot_read)?.file_name();
            let path = self.from.join(&name);
            let known = ALL.iter().any(|secret| name == secret.file_name());
            let hidden = name.to_string_lossy().starts_with('.');
            if known || hidden || name == NO_SECRET || !path.is_file() {
                continue;
            }
            if is_copy(&name.to_string_lossy()) {
                eprintln!("landfall: {} looks like a copy: workers do not get it", shown(&path));
                continue;
            }
            let file = self.to.join(User::Worker.folder()).join(&name);
            let text = fs::read_to_string(&path).map_err(|source| Failure::Unreadable { path, source })?;
            self.put(&file, &SecretString::from(settings::trimmed(&text)), User::Worker)?;
            given.push(file);
        }
        Ok(given)
    }

    /// What was given before, and is a secret no more.
    fn remove_all_but(&self, given: &[PathBuf]) -> Result<(), Failure> {
        for folder in User::ALL.map(|user| self.to.join(user.folder())) {
            let failed = |source| Failure::unreachable(format!("cannot tidy {}", folder.display()), source);
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                // A volume may have a folder of its file system's own.
                let is_folder = entry.file_type().map_err(failed)?.is_dir();
                if !is_folder && !given.contains(&entry.path()) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, file: &Path, text: &SecretString, user: User) -> Result<(), Failure> {
        write(file, text, self.owner_of(user))
            .map_err(|source| Failure::unreachable(format!("cannot write {}", file.display()), source))
    }
}

/// A container sees the folder at the top; its user sees it beside docker-compose.yml.
fn shown(path: &Path) -> String {
    path.strip_prefix("/").unwrap_or(path).display().to_string()
}

fn is_copy(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    name.starts_with('#') || name.ends_with('~') || extension.is_some_and(|it| COPIES.contains(&it.as_str()))
}

/// What the file holds, if it can be right; else what is wrong, and what to write. The secret is never repeated.
fn read(folder: &Path, secret: Secret) -> Result<SecretString, String> {
    let file = folder.join(secret.file_name());
    let shown = shown(&file);
    let what = secret.what_it_is();
    let secret_text = match settings::secret_in_file(&file) {
        Ok(text) => text,
        Err(NamedSecretError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{shown} is missing: run scripts/setup, or write {what} into it"));
        }
        Err(NamedSecretError::Unreadable { source, .. }) => {
            return Err(format!("{shown} cannot be read: {source}"));
        }
        Err(NamedSecretError::Empty(_) | NamedSecretError::NotSet(_)) => {
            return Err(format!("{shown} is empty: write {what} into it"));
        }
    };
    let text = secret_text.expose_secret();
    match secret {
        Secret::Webhook => {
            Verifier::from_setting(text).map_err(|error| format!("{shown} {error}"))?;
        }
        Secret::ApiKey => {
            settings::check_api_key(text).map_err(|error| format!("{shown} is wrong: {error}"))?
        }
        Secret::DatabasePassword | Secret::RedisPassword => {
            if !text.chars().all(|c| c.is_ascii_graphic()) {
                return Err(format!("{shown} has a blank or a special character in it: write {what}"));
            }
        }
    }
    Ok(secret_text)
}

fn made_up(secret: Secret) -> Result<SecretString, Failure> {
    let random = SigningSecret::encode(&random::key()?);
    Ok(SecretString::from(match secret {
        Secret::Webhook => random,
        Secret::ApiKey => random.replacen("whsec_", "sk-demo-", 1),
        Secret::DatabasePassword | Secret::RedisPassword => random.replacen("whsec_", "", 1),
    }))
}

/// In one step, so that nobody reads half of it.
fn write(file: &Path, text: &SecretString, owner: u32) -> io::Result<()> {
    let new = file.with_extension("new");
    if new.exists() {
        fs::remove_file(&new)?;
    }
    let mut options = OpenOptions::new();
    let mut open = options.write(true).create_new(true).mode(0o600).open(&new)?;
    open.write_all(text.expose_secret().as_bytes())?;
    open.sync_all()?;
    fs::set_permissions(&new, Permissions::from_mode(SECRET_MODE))?;
    chown(&new, Some(owner), None)?;
    fs::rename(&new, file)
}
