//! `landfall secret install`: the first step of docker-compose.yml. The source files are readable only by their owner, but
//! containers run as other users, so each container user gets a copy of the secrets that it needs and no others. Missing
//! and malformed secrets are reported here, before any program starts. The copies mirror the source folder: removed
//! secrets are removed from them.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use service::settings::{self, Fetch, NamedSecretError};
use webhook::{SigningSecret, Verifier};

use super::random;
use crate::exit::{CliError, ExitStatus};

/// Readable by the owner only.
const SECRET_MODE: u32 = 0o400;
/// The file in the folder that is not a secret.
const README: &str = "README.md";
/// Extensions of backup files.
const BACKUP_EXTENSIONS: [&str; 12] =
    ["bak", "backup", "copy", "new", "old", "orig", "rej", "save", "swp", "tmp", "dpkg-old", "rpmsave"];

/// Give each container user of docker-compose.yml a private copy of its secrets
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// Source folder with openai_webhook_secret, openai_api_key and database_password
    #[arg(long, value_name = "DIR", default_value = "secrets", conflicts_with = "generate")]
    from: PathBuf,
    /// Generate missing secrets instead, for a demo
    #[arg(long)]
    generate: bool,
    /// Target folder, with subfolders ingest, worker, database and console
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// User ID that ingest, worker and console run as
    #[arg(long, value_name = "UID", default_value_t = 65532)]
    owner: u32,
    /// User ID that the database runs as
    #[arg(long, value_name = "UID", default_value_t = 999)]
    database_owner: u32,
    /// With off, no API key is required
    #[arg(long, env = "FETCH", value_name = "ON_OR_OFF", value_enum, default_value_t = Fetch::On)]
    fetch: Fetch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    Webhook,
    ApiKey,
    DatabasePassword,
    /// Of the role landfall_reader.
    ReaderPassword,
    /// Of operators of the console.
    ConsolePassword,
    RedisPassword,
}

const ALL: [Secret; 6] = [
    Secret::Webhook,
    Secret::ApiKey,
    Secret::DatabasePassword,
    Secret::ReaderPassword,
    Secret::ConsolePassword,
    Secret::RedisPassword,
];

impl Secret {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Webhook => "openai_webhook_secret",
            Self::ApiKey => "openai_api_key",
            Self::DatabasePassword => "database_password",
            Self::ReaderPassword => "reader_password",
            Self::ConsolePassword => "console_password",
            Self::RedisPassword => "redis_password",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Webhook => "the signing secret that OpenAI showed when you created the webhook (whsec_...)",
            Self::ApiKey => "an API key of the project that sends the webhooks (sk-...)",
            Self::DatabasePassword | Self::ReaderPassword | Self::ConsolePassword | Self::RedisPassword => {
                "a long random password"
            }
        }
    }

    /// The users that get a copy.
    const fn users(self) -> &'static [User] {
        match self {
            Self::Webhook => &[User::Ingest],
            Self::ApiKey => &[User::Worker],
            Self::DatabasePassword => &[User::Worker, User::Database],
            Self::ReaderPassword => &[User::Database],
            Self::ConsolePassword => &[User::Console],
            Self::RedisPassword => &[User::Ingest, User::Worker],
        }
    }

    /// The Redis of docker-compose.yml has no password, and its PostgreSQL has a reader only with docker-compose.sql.yml.
    const fn is_needed(self, fetch: Fetch) -> bool {
        match self {
            Self::Webhook | Self::DatabasePassword => true,
            Self::ApiKey => matches!(fetch, Fetch::On),
            Self::ReaderPassword | Self::ConsolePassword | Self::RedisPassword => false,
        }
    }

    const fn is_optional(self) -> bool {
        matches!(self, Self::ReaderPassword | Self::ConsolePassword | Self::RedisPassword)
    }

    /// For a demo.
    const fn is_generated(self, fetch: Fetch) -> bool {
        self.is_needed(fetch) || matches!(self, Self::ReaderPassword | Self::ConsolePassword)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Ingest,
    Worker,
    Database,
    Console,
}

impl User {
    const ALL: [Self; 4] = [Self::Ingest, Self::Worker, Self::Database, Self::Console];

    const fn folder(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Worker => "worker",
            Self::Database => "database",
            Self::Console => "console",
        }
    }
}

/// Copies or generates the secrets.
pub(super) fn run(args: &Install) -> Result<ExitStatus, CliError> {
    if args.generate {
        for secret in
            ALL.into_iter().filter(|secret| secret.is_generated(args.fetch) && !args.is_installed(*secret))
        {
            args.copy(secret, &generated(secret)?)?;
        }
        let console_password = args.file(Secret::ConsolePassword, User::Console);
        let text = fs::read_to_string(&console_password)
            .map_err(|source| CliError::Unreadable { path: console_password, source })?;
        eprintln!(
            "landfall: log in to the console of this demo, http://127.0.0.1:8090, with the password {text}"
        );
        return Ok(ExitStatus::Success);
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
        return Err(CliError::Usage(faults.join("; ")));
    }
    let mut copied = Vec::new();
    for (secret, text) in &ready {
        args.copy(*secret, text)?;
        copied.extend(secret.users().iter().map(|user| args.file(*secret, *user)));
    }
    copied.extend(args.copy_other_secrets()?);
    if !is_there(Secret::ConsolePassword) {
        // An installation from before there was a console: its API works, and only logins have to wait.
        args.copy(Secret::ConsolePassword, &generated(Secret::ConsolePassword)?)?;
        copied.push(args.file(Secret::ConsolePassword, User::Console));
        eprintln!(
            "landfall: for logins to the console, run scripts/setup, which writes secrets/console_password"
        );
    }
    args.remove_stale(&copied)?;
    Ok(ExitStatus::Success)
}

impl Install {
    fn file(&self, secret: Secret, user: User) -> PathBuf {
        self.to.join(user.folder()).join(secret.file_name())
    }

    const fn owner_of(&self, user: User) -> u32 {
        match user {
            User::Ingest | User::Worker | User::Console => self.owner,
            User::Database => self.database_owner,
        }
    }

    /// Whether all its users have it. Generated secrets are kept, because the database keeps its first password.
    fn is_installed(&self, secret: Secret) -> bool {
        secret.users().iter().all(|user| self.file(secret, *user).exists())
    }

    fn copy(&self, secret: Secret, text: &SecretString) -> Result<(), CliError> {
        for &user in secret.users() {
            self.put(&self.file(secret, user), text, user)?;
        }
        Ok(())
    }

    /// Copies all other files for the workers, such as a bucket's key. Returns the copies.
    fn copy_other_secrets(&self) -> Result<Vec<PathBuf>, CliError> {
        let cannot_read = |source| CliError::Unreadable { path: self.from.clone(), source };
        let mut copied = Vec::new();
        for entry in fs::read_dir(&self.from).map_err(cannot_read)? {
            let name = entry.map_err(cannot_read)?.file_name();
            let path = self.from.join(&name);
            let known = ALL.iter().any(|secret| name == secret.file_name());
            let hidden = name.to_string_lossy().starts_with('.');
            if known || hidden || name == README || !path.is_file() {
                continue;
            }
            if is_backup(&name.to_string_lossy()) {
                eprintln!("landfall: {} looks like a backup file and is skipped", shown(&path));
                continue;
            }
            let file = self.to.join(User::Worker.folder()).join(&name);
            let text = fs::read_to_string(&path).map_err(|source| CliError::Unreadable { path, source })?;
            self.put(&file, &SecretString::from(settings::trimmed(&text)), User::Worker)?;
            copied.push(file);
        }
        Ok(copied)
    }

    /// Removes copies of secrets that no longer exist.
    fn remove_stale(&self, copied: &[PathBuf]) -> Result<(), CliError> {
        for folder in User::ALL.map(|user| self.to.join(user.folder())) {
            let failed = |source| {
                CliError::unreachable(format!("cannot remove old secrets from {}", folder.display()), source)
            };
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                // The root of a volume may contain a folder such as lost+found.
                let is_folder = entry.file_type().map_err(failed)?.is_dir();
                if !is_folder && !copied.contains(&entry.path()) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, file: &Path, text: &SecretString, user: User) -> Result<(), CliError> {
        write(file, text, self.owner_of(user))
            .map_err(|source| CliError::unreachable(format!("cannot write {}", file.display()), source))
    }
}

/// The folder is mounted at the root of the container; the user sees it next to docker-compose.yml.
fn shown(path: &Path) -> String {
    path.strip_prefix("/").unwrap_or(path).display().to_string()
}

fn is_backup(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    name.starts_with('#')
        || name.ends_with('~')
        || extension.is_some_and(|it| BACKUP_EXTENSIONS.contains(&it.as_str()))
}

/// Reads and validates a secret. The error says what is wrong and what to write, without the secret.
fn read(folder: &Path, secret: Secret) -> Result<SecretString, String> {
    let file = folder.join(secret.file_name());
    let shown = shown(&file);
    let what = secret.description();
    let secret_text = match settings::secret_in_file(&file) {
        Ok(text) => text,
        Err(NamedSecretError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{shown} is missing: run scripts/setup, or write {what} to it"));
        }
        Err(NamedSecretError::Unreadable { source, .. }) => {
            return Err(format!("{shown} cannot be read: {source}"));
        }
        Err(NamedSecretError::Empty(_) | NamedSecretError::NotSet(_)) => {
            return Err(format!("{shown} is empty: write {what} to it"));
        }
    };
    let text = secret_text.expose_secret();
    match secret {
        Secret::Webhook => {
            Verifier::from_setting(text).map_err(|error| format!("{shown} {error}"))?;
        }
        Secret::ApiKey => {
            settings::check_api_key(text).map_err(|error| format!("{shown} is invalid: {error}"))?
        }
        Secret::DatabasePassword
        | Secret::ReaderPassword
        | Secret::ConsolePassword
        | Secret::RedisPassword => {
            if !text.chars().all(|c| c.is_ascii_graphic()) {
                return Err(format!("{shown} contains a space or a special character: write {what}"));
            }
        }
    }
    Ok(secret_text)
}

fn generated(secret: Secret) -> Result<SecretString, CliError> {
    let random = SigningSecret::encode(&random::key()?);
    Ok(SecretString::from(match secret {
        Secret::Webhook => random,
        Secret::ApiKey => random.replacen("whsec_", "sk-demo-", 1),
        Secret::DatabasePassword
        | Secret::ReaderPassword
        | Secret::ConsolePassword
        | Secret::RedisPassword => random.replacen("whsec_", "", 1),
    }))
}

/// Atomic, so that readers never see a partial secret.
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
