//! The settings of this process as it shows them to people: a secret is only set or not.

use std::ffi::{OsStr, OsString};

use super::with_environment;

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its environment variable.
    pub name: String,
    pub value: String,
}

/// The settings of this process, which [`super::parse`] has accepted.
pub fn shown<T: clap::CommandFactory>() -> Vec<ShownSetting> {
    of::<T>(std::env::args_os(), |name| std::env::var_os(name))
}

fn of<T: clap::CommandFactory>(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&OsStr) -> Option<OsString>,
) -> Vec<ShownSetting> {
    let Ok(matches) = with_environment(T::command(), &environment).try_get_matches_from(arguments) else {
        return Vec::new();
    };
    let mut command = T::command();
    command.build();
    let shown = |argument: &clap::Arg| {
        let name = argument.get_env()?.to_string_lossy().into_owned();
        let values: Vec<&OsStr> =
            matches.get_raw(argument.get_id().as_str()).map(Iterator::collect).unwrap_or_default();
        let defaults = argument.get_default_values();
        let is_default = values.iter().copied().eq(defaults.iter().map(clap::builder::OsStr::as_os_str));
        let value = match &values[..] {
            [] => "not set".to_owned(),
            [empty] if empty.is_empty() => "not set".to_owned(),
            // URLs may contain passwords.
            _ if argument.is_hide_env_values_set() && !is_default => "set".to_owned(),
            values => {
                let texts: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
                texts.join(",")
            }
        };
        Some(ShownSetting { name, value })
    };
    command.get_arguments().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::settings::{RedisSettings, StoreSettings};

    #[derive(Parser)]
    struct All {
        #[command(flatten)]
        _redis: RedisSettings,
        #[command(flatten)]
        _store: StoreSettings,
    }

    #[test]
    fn a_secret_is_only_set_or_not() {
        let environment = |name: &OsStr| {
            let value = match name.to_str()? {
                "REDIS_URL" => "redis://:hunter2@box:6379",
                "DATABASE_PASSWORD" => "hunter2",
                "FILES_URL" => "ignored",
                "REDIS_PASSWORD" => " ",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let arguments = ["console", "--files-url", "files"].map(OsString::from);
        let shown = of::<All>(arguments, environment);
        let value = |name: &str| shown.iter().find(|it| it.name == name).map(|it| it.value.as_str());
        assert_eq!([value("REDIS_URL"), value("DATABASE_PASSWORD")], [Some("set"); 2]);
        assert_eq!([value("REDIS_PASSWORD"), value("AWS_SESSION_TOKEN")], [Some("not set"); 2]);
        assert_eq!(value("DATABASE_URL"), Some("sqlite://data/landfall.db"));
        assert_eq!((value("FILES_URL"), value("ALLOW_VOLATILE_REDIS")), (Some("files"), Some("false")));
        assert!(!format!("{shown:?}").contains("hunter2"));
    }
}
