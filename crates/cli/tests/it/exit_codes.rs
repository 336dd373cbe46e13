//! Exit codes are an interface: 0 success, 1 negative result, 2 usage error, 3 a required service was unreachable. The
//! verbs are read from `--help`, so that new ones are tested, too.

use test_support::redis::free_port;
use test_support::signed_webhook::SECRET;

use crate::command::landfall;

/// Verbs that need Redis, the database, ingest or a target, with valid arguments.
const REACHING: [&str; 28] = [
    "status",
    "events",
    "tail",
    "show resp_1",
    "wait resp_1",
    "results batch_1",
    "export batch_1",
    "fetch resp_1",
    "replay wh_1",
    "retry",
    "dead list",
    "dead show wh_1",
    "dead redrive --all",
    "dead discard --all --yes",
    "prune --older-than 30d --yes",
    "targets list",
    "targets pause app",
    "targets resume app",
    "targets test app",
    "notifications list",
    "notifications show ntf_1",
    "notifications retry ntf_1",
    "listen --forward http://127.0.0.1:9/",
    "db export",
    "token new app",
    "token list",
    "token revoke app",
    "send response.completed --url",
];
/// Verbs that need no service, or that handle unreachable services differently.
const OTHERS: [&str; 11] = [
    "completions",
    "man",
    "verify",
    "secret new",
    "secret check",
    "secret public-key",
    "secret install",
    "config check",
    // Creates a missing SQLite database.
    "migrate",
    "db import",
    // Reports unreachable services as findings: exit 1.
    "doctor",
];

/// The subcommands of a verb, from its help.
fn verbs(path: &[&str]) -> Vec<String> {
    let help = landfall(&[], &[path, &["--help"]].concat()).with_code(0).stdout;
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return vec![path.join(" ")] };
    let names = commands.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| verbs(&[path, &[name]].concat())).collect()
}

#[test]
fn the_lists_have_every_verb() {
    let known = verbs(&[]);
    for name in &known {
        let is_of_verb = |line: &&str| line == name || line.starts_with(&format!("{name} "));
        assert!(REACHING.iter().chain(&OTHERS).any(is_of_verb), "{name} is in no list");
    }
    assert!(known.len() >= REACHING.len() + OTHERS.len(), "{known:?}");
}

#[test]
fn every_verb_says_3_when_what_it_needs_is_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("landfall.toml");
    std::fs::write(
        &config,
        format!("[notifications]\nallow = [\"127.0.0.1\"]\n[[targets]]\nname = \"app\"\nurl = \"http://127.0.0.1:{}/\"\nsecret_env = \"APP_SECRET\"\n", free_port()),
    )
    .unwrap();
    let redis = format!("redis://127.0.0.1:{}", free_port());
    let database = format!("sqlite://{}/none/landfall.db", folder.path().display());
    let settings = [
        ("REDIS_URL", redis.as_str()),
        ("DATABASE_URL", database.as_str()),
        ("LANDFALL_CONFIG", config.to_str().unwrap()),
        ("OPENAI_WEBHOOK_SECRET", SECRET),
        ("APP_SECRET", SECRET),
    ];
    for line in REACHING {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        let url = format!("http://127.0.0.1:{}/openai/webhook", free_port());
        if line.ends_with("--url") {
            arguments.push(&url);
        }
        let ended = landfall(&settings, &arguments);
        assert_eq!(ended.code, 3, "landfall {line}: {ended:#?}");
        assert!(ended.stdout.is_empty() && ended.stderr.starts_with("landfall: "), "{line}: {ended:#?}");
    }
}

#[test]
fn every_verb_exits_with_2_on_an_unknown_flag() {
    for verb in verbs(&[]) {
        let arguments: Vec<&str> = verb.split(' ').chain(["--no-such-flag"]).collect();
        let ended = landfall(&[], &arguments);
        assert_eq!(ended.code, 2, "landfall {verb}: {ended:#?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{verb}: {ended:#?}");
    }
}
