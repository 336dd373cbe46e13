//! Reading and rejecting settings: arguments and environment are passed in, those of the process are not used.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::Parser;
use secrecy::ExposeSecret as _;
use service::settings::{
    self, Fetch, LogFormat, LogSettings, OpenAiSettings, RedisSettings, StoreSettings, WebhookSecretSettings,
};

/// A program with every shared group and some settings of its own.
#[derive(Debug, Parser)]
#[command(name = "example")]
struct Example {
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    store: StoreSettings,
    #[command(flatten)]
    openai: OpenAiSettings,
    #[command(flatten)]
    secret: WebhookSecretSettings,
    #[command(flatten)]
    log: LogSettings,
    /// Largest body, in bytes
    #[arg(long, env = "MAX_BODY_BYTES", default_value = "1MiB", value_parser = settings::size_bytes)]
    max_body_bytes: u64,
    /// How long a lease lasts, in seconds
    #[arg(long, env = "LEASE_SECS", default_value = "60", value_parser = settings::seconds)]
    lease_secs: Duration,
    /// Families, separated by commas
    #[arg(long, env = "WORKER_FAMILIES", value_delimiter = ',')]
    worker_families: Vec<String>,
}

/// A program with subcommands and a required setting.
#[derive(Debug, Parser)]
#[command(name = "verbs")]
struct Verbs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Send {
        /// URL to send to
        #[arg(long, env = "TARGET_URL", value_parser = settings::http_url)]
        target_url: String,
    },
}

fn read<T: Parser>(arguments: &[&str], environment: &[(&str, &str)]) -> Result<T, clap::Error> {
    let arguments = ["program"].iter().chain(arguments).map(OsString::from);
    let value = |name: &OsStr| {
        let found = environment.iter().find(|(known, _)| name == *known);
        found.map(|(_, value)| OsString::from(value))
    };
    settings::try_parse(arguments, value)
}

fn example(arguments: &[&str], environment: &[(&str, &str)]) -> Example {
    read(arguments, environment).unwrap()
}

/// The error for invalid settings, without colours.
fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let error = read::<Example>(arguments, environment).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.render().to_string()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let example = example(&[], &[]);
    assert_eq!(example.redis.redis_url.expose_secret(), "redis://127.0.0.1:6379");
    assert_eq!(example.redis.redis_key_prefix, "landfall");
    assert!(!example.redis.allow_volatile_redis);
    assert_eq!(example.store.database_url.expose_secret(), "sqlite://data/landfall.db");
    assert_eq!(example.store.files_url, "data/files");
    assert_eq!(example.openai.openai_base_url, "https://api.openai.com/v1");
    assert_eq!(example.openai.fetch, Fetch::On);
    assert!(example.openai.api_key().is_err());
    assert_eq!(example.log.log_format, LogFormat::Auto);
    assert_eq!(example.log.rust_log, "info");
    assert_eq!(example.max_body_bytes, 1 << 20);
    assert_eq!(example.lease_secs, Duration::from_secs(60));
    assert!(example.worker_families.is_empty());
}

#[test]
fn a_flag_overrides_a_variable() {
    let environment = [
        ("MAX_BODY_BYTES", "64KiB"),
        ("WORKER_FAMILIES", "batch,response"),
        ("ALLOW_VOLATILE_REDIS", "true"),
        ("FETCH", "off"),
    ];
    let by_environment = example(&[], &environment);
    assert_eq!(by_environment.max_body_bytes, 65_536);
    assert_eq!(by_environment.worker_families, ["batch", "response"]);
    assert!(by_environment.redis.allow_volatile_redis);
    assert_eq!(by_environment.openai.fetch, Fetch::Off);

    let flags = ["--max-body-bytes", "10", "--allow-volatile-redis=false", "--worker-families", "eval"];
    let by_flag = example(&flags, &environment);
    assert_eq!(by_flag.max_body_bytes, 10);
    assert_eq!(by_flag.worker_families, ["eval"]);
    assert!(!by_flag.redis.allow_volatile_redis);
    assert!(example(&["--allow-volatile-redis"], &[]).redis.allow_volatile_redis);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let example = example(&[], &[("MAX_BODY_BYTES", ""), ("LOG_FORMAT", ""), ("OPENAI_WEBHOOK_SECRET", "")]);
    assert_eq!(example.max_body_bytes, 1 << 20);
    assert!(example.secret.secret().is_err());
}

#[test]
fn a_flag_replaces_an_invalid_variable() {
    assert_eq!(example(&["--lease-secs", "5"], &[("LEASE_SECS", "soon")]).lease_secs, Duration::from_secs(5));
}

#[test]
fn an_invalid_value_is_refused_with_its_name_and_a_hint() {
    let cases = [
        ("MAX_BODY_BYTES", "10 apples", "write a number of bytes"),
        ("LEASE_SECS", "-1", "write a number of seconds above 0"),
        ("REDIS_KEY_PREFIX", "a b", "letters, digits"),
        ("OPENAI_BASE_URL", "api.openai.com", "starts with http:// or https://"),
        ("LOG_FORMAT", "xml", "use one of auto, json, pretty"),
        ("FETCH", "sometimes", "use one of on, off"),
        ("RUST_LOG", "info,queue=loud", "write error, warn, info, debug or trace"),
        ("ALLOW_VOLATILE_REDIS", "perhaps", "write true or false"),
    ];
    for (name, value, advice) in cases {
        let text = refusal(&[], &[(name, value)]);
        let flag = name.to_lowercase().replace('_', "-");
        assert!(text.starts_with(&format!("error: {name} (--{flag}) cannot be {value:?}")), "{text}");
        assert!(text.contains(advice), "{text}");
    }
}

#[test]
fn a_refused_url_is_not_repeated_because_it_may_contain_a_password() {
    for (name, value) in [("REDIS_URL", "http://:hunter2@redis"), ("DATABASE_URL", "mysql://root:hunter2@db")]
    {
        let text = refusal(&[], &[(name, value)]);
        assert!(text.starts_with(&format!("error: {name} (")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let settings = example(&[], &[("REDIS_URL", "redis://:hunter2@redis"), ("OPENAI_API_KEY", "sk-hunter2")]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_separate_database_password_is_added_to_the_url() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "p@ss/w:rd\n").unwrap();
    let path = file.path().to_str().unwrap();
    let url = |environment: &[(&str, &str)]| {
        let url = example(&[], environment).store.database_url();
        url.map(|url| url.expose_secret().to_owned()).map_err(|error| error_text::chain(&error))
    };
    let set = |database_url, name, value| url(&[("DATABASE_URL", database_url), (name, value)]);
    let whole = set("postgres://landfall@db/landfall", "DATABASE_PASSWORD_FILE", path);
    assert_eq!(whole.as_deref(), Ok("postgres://landfall:p%40ss%2Fw%3Ard@db/landfall"));
    let whole = set("postgres://landfall@db:5433/x?sslmode=require", "DATABASE_PASSWORD", "hunter2");
    assert_eq!(whole.as_deref(), Ok("postgres://landfall:hunter2@db:5433/x?sslmode=require"));
    assert_eq!(url(&[]).as_deref(), Ok("sqlite://data/landfall.db"));

    let twice = set("postgres://landfall:hunter2@db/landfall", "DATABASE_PASSWORD", "hunter2").unwrap_err();
    assert!(twice.starts_with("DATABASE_PASSWORD: DATABASE_URL also contains a password"), "{twice}");
    let no_use = set("sqlite://data/landfall.db", "DATABASE_PASSWORD", "hunter2").unwrap_err();
    assert!(no_use.contains("only PostgreSQL has a password"), "{no_use}");
    let missing = set("postgres://a@db/x", "DATABASE_PASSWORD_FILE", "/nowhere/it").unwrap_err();
    assert!(missing.starts_with("DATABASE_PASSWORD_FILE: cannot read /nowhere/it"), "{missing}");
    assert!(![twice, no_use].iter().any(|text| text.contains("hunter2")));
}

#[test]
fn a_required_setting_is_named_in_subcommands_too() {
    let error = read::<Verbs>(&["send"], &[]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().starts_with("error: TARGET_URL (--target-url) is not set"), "{error}");

    let Verb::Send { target_url } = read::<Verbs>(&["send"], &[("TARGET_URL", "http://x/")]).unwrap().verb;
    assert_eq!(target_url, "http://x");
}

#[test]
fn an_unknown_flag_is_refused() {
    assert!(refusal(&["--max-bodies", "3"], &[]).contains("--max-bodies"));
}

#[test]
fn help_shows_each_setting_with_its_variable_and_default_but_no_secret() {
    let environment = [("REDIS_URL", "redis://:hunter2@redis"), ("MAX_BODY_BYTES", "wrong")];
    let help = read::<Example>(&["--help"], &environment).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    let help = help.render().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "--redis-url",
        "[env: REDIS_URL]",
        "[default: redis://127.0.0.1:6379]",
        "[env: OPENAI_WEBHOOK_SECRET_FILE]",
        "[default: 1MiB]",
        "in seconds",
    ] {
        assert!(help.contains(text), "{text} is not in\n{help}");
    }
    assert!(!help.contains("hunter2"));
}

#[test]
fn white_space_around_every_variable_is_trimmed() {
    let environment = [
        ("REDIS_URL", " redis://redis:6379\n"),
        ("REDIS_KEY_PREFIX", "landfall-eu\n"),
        ("REDIS_PASSWORD", "\thunter2\n"),
        ("ALLOW_VOLATILE_REDIS", "true\r\n"),
        ("DATABASE_URL", "postgres://landfall@db/landfall\n"),
        ("DATABASE_PASSWORD", " hunter2\n"),
        ("FILES_URL", "\u{feff}/srv/files \n"),
        ("AWS_REGION", "eu-central-1\n"),
        ("AWS_ACCESS_KEY_ID", " AKIATEST\n"),
        ("AWS_SECRET_ACCESS_KEY", " hunter2\n"),
        ("OPENAI_API_KEY", "\u{feff}sk-hunter2\n"),
        ("OPENAI_ORG_ID", " org-1\n"),
        ("OPENAI_PROJECT_ID", "proj_1 \n"),
        ("OPENAI_WEBHOOK_SECRET", "\nwhsec_a, whsec_b\n"),
        ("FETCH", "on\n"),
        ("LOG_FORMAT", " json\n"),
        ("RUST_LOG", "debug\n"),
        ("MAX_BODY_BYTES", "10\n"),
        ("WORKER_FAMILIES", "batch\n"),
    ];
    let example = example(&[], &environment);
    assert_eq!(example.redis.url().unwrap().expose_secret(), "redis://:hunter2@redis:6379");
    assert_eq!(example.redis.redis_key_prefix, "landfall-eu");
    assert!(example.redis.allow_volatile_redis);
    let database_url = example.store.database_url().unwrap();
    assert_eq!(database_url.expose_secret(), "postgres://landfall:hunter2@db/landfall");
    assert_eq!(example.store.files_url, "/srv/files");
    let bucket = &example.store.bucket;
    assert_eq!(
        (bucket.aws_region.as_deref(), bucket.aws_access_key_id.as_deref()),
        (Some("eu-central-1"), Some("AKIATEST"))
    );
    assert_eq!(bucket.secret_access_key().unwrap().unwrap().expose_secret(), "hunter2");
    assert_eq!(example.openai.api_key().unwrap().expose_secret(), "sk-hunter2");
    assert_eq!(example.openai.openai_org_id.as_deref(), Some("org-1"));
    assert_eq!(example.openai.openai_project_id.as_deref(), Some("proj_1"));
    assert_eq!(example.secret.secret().unwrap().expose_secret(), "whsec_a, whsec_b");
    assert_eq!((example.log.log_format, example.log.rust_log.as_str()), (LogFormat::Json, "debug"));
    assert_eq!((example.max_body_bytes, example.worker_families.as_slice()), (10, &["batch".to_owned()][..]));
}

#[test]
fn a_separate_password_is_sent_unchanged() {
    let passwords = ["p%41ss", "100%", "%%25%2F", "a/b?c#d@e:f", "pässwörd", "[x]{y}|^`"];
    for password in passwords {
        let environment = [("DATABASE_URL", "postgres://me@db/x"), ("DATABASE_PASSWORD", password)];
        let url = example(&[], &environment).store.database_url().unwrap();
        let url = url::Url::parse(url.expose_secret()).unwrap();
        assert_eq!((decoded(&url), url.host_str(), url.path()), (password.to_owned(), Some("db"), "/x"));
        let environment = [("REDIS_URL", "rediss://me@redis:6380/2"), ("REDIS_PASSWORD", password)];
        let url = example(&[], &environment).redis.url().unwrap();
        let url = url::Url::parse(url.expose_secret()).unwrap();
        assert_eq!((decoded(&url), url.username(), url.port()), (password.to_owned(), "me", Some(6380)));
        for (name, url) in
            [("REDIS_URL", "unix:///run/redis.sock"), ("DATABASE_URL", "postgres:///x?host=/run&user=me")]
        {
            let both =
                example(&[], &[(name, url), ("REDIS_PASSWORD", password), ("DATABASE_PASSWORD", password)]);
            let url = if name == "REDIS_URL" { both.redis.url() } else { both.store.database_url() };
            let url = url::Url::parse(url.unwrap().expose_secret()).unwrap();
            let last = url.query_pairs().last().map(|(_, value)| value.into_owned());
            assert_eq!(last.as_deref(), Some(password), "{url}");
        }
    }
}

/// Decodes a password like redis and sqlx.
fn decoded(url: &url::Url) -> String {
    let text = url.password().unwrap();
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = (byte == b'%').then(|| std::str::from_utf8(&after[..2]).unwrap());
        bytes.push(hex.map_or(byte, |hex| u8::from_str_radix(hex, 16).unwrap()));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_redis_password_set_twice_is_refused_and_not_repeated() {
    let url = |environment: &[(&str, &str)]| {
        let url = example(&[], environment).redis.url();
        url.map(|url| url.expose_secret().to_owned()).map_err(|error| error_text::chain(&error))
    };
    assert_eq!(url(&[]).as_deref(), Ok("redis://127.0.0.1:6379"));
    for given in ["redis://:hunter2@redis", "unix:///run/redis.sock?pass=hunter2"] {
        let twice = url(&[("REDIS_URL", given), ("REDIS_PASSWORD", "hunter2")]).unwrap_err();
        assert!(twice.starts_with("REDIS_PASSWORD: REDIS_URL also contains a password"), "{twice}");
        assert!(!twice.contains("hunter2"), "{twice}");
    }
    let missing = url(&[("REDIS_PASSWORD_FILE", "/nowhere/it")]).unwrap_err();
    assert!(missing.starts_with("REDIS_PASSWORD_FILE: cannot read /nowhere/it"), "{missing}");
}

#[test]
fn a_refusal_is_one_line() {
    for (name, value) in
        [("MAX_BODY_BYTES", "10 apples"), ("LOG_FORMAT", "xml"), ("REDIS_URL", "redis://:a#b@c")]
    {
        let text = refusal(&[], &[(name, value)]);
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    }
}
