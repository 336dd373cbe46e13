//! Completions and manual pages are well-formed and contain no settings of this machine. No output contains the API key.

use std::io::Write as _;
use std::process::{Command, Stdio};

use test_support::redis::free_port;
use webhook::{EventState, Family, NotificationState, NotificationType, Reason};

use crate::command::landfall;

const API_KEY: &str = "sk-proj-Wq7-very-secret";

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = landfall(&[("OPENAI_API_KEY", API_KEY)], &["completions", shell]).with_code(0);
        assert!(ended.stdout.contains("doctor") && ended.stdout.contains("custom-id"), "{shell}");
        assert!(!ended.stdout.contains(API_KEY), "{shell}");
    }
    landfall(&[], &["completions", "tcsh"]).with_code(2);
}

#[test]
fn completions_have_the_values_of_arguments() {
    let script = landfall(&[], &["completions", "zsh"]).with_code(0).stdout;
    let names = |all: &[&str]| format!(":({})'", all.join(" "));
    for values in [
        names(&EventState::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
        names(&Family::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
        names(&NotificationState::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
        names(&NotificationType::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
        names(&Reason::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
    ] {
        assert!(script.contains(&values), "no {values} in {script}");
    }
}

#[test]
fn bash_accepts_its_completions() {
    let script = landfall(&[], &["completions", "bash"]).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn every_verb_has_its_manual_page() {
    let environment = [("OPENAI_API_KEY", API_KEY), ("REDIS_URL", "redis://:hunter2@127.0.0.1")];
    let main = landfall(&environment, &["man"]).with_code(0).stdout;
    assert!(main.contains(".TH landfall 1"), "{main}");
    for verb in [
        "status", "events", "tail", "show", "wait", "results", "fetch", "replay", "doctor", "send", "verify",
        "man",
    ] {
        let page = landfall(&environment, &["man", verb]).with_code(0).stdout;
        assert!(page.contains(&format!(".TH landfall-{verb} 1")), "{page}");
        assert!(main.contains(&format!("landfall\\-{verb}(1)")), "{verb} is not in {main}");
        assert!(!page.contains(API_KEY) && !page.contains("hunter2"), "{page}");
    }
    let doctor = landfall(&[], &["man", "doctor"]).stdout;
    assert!(doctor.contains("OPENAI_API_KEY") && doctor.contains("Exit code"), "{doctor}");
    let ended = landfall(&[], &["man", "cure"]).with_code(2);
    assert!(ended.stderr.contains("unknown verb \"cure\""), "{ended:#?}");
}

#[test]
fn the_api_key_is_in_no_output_of_any_verb() {
    let redis = format!("redis://127.0.0.1:{}", free_port());
    let api = format!("http://127.0.0.1:{}/v1", free_port());
    let environment = [
        ("OPENAI_API_KEY", API_KEY),
        ("REDIS_URL", redis.as_str()),
        ("OPENAI_BASE_URL", api.as_str()),
        ("DATABASE_URL", "sqlite://no/such.db"),
    ];
    let runs: [&[&str]; 15] = [
        &["--help"],
        &["doctor"],
        &["doctor", "--json"],
        &["doctor", "--help"],
        &["doctor", "--openai-api-key"],
        &["doctor", "--openai-api-key", API_KEY, "--openai-base-url", "nonsense"],
        &["fetch", "resp_1"],
        &["replay", "wh_1"],
        &["status"],
        &["events"],
        &["tail"],
        &["show", "resp_1"],
        &["results", "batch_1"],
        &["completions", "zsh"],
        &["man", "doctor"],
    ];
    for arguments in runs {
        let ended = landfall(&environment, arguments);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.is_empty() && !said.contains("very-secret"), "{arguments:?}: {said}");
    }
    // A key with a newline is not a valid header; the message must not contain it.
    let environment = [("OPENAI_API_KEY", "sk-proj-Wq7-very-secret\nx"), ("OPENAI_BASE_URL", api.as_str())];
    let ended = landfall(&environment, &["doctor", "--json"]).with_code(1);
    assert!(ended.stdout.contains("copy only the key"), "{ended:#?}");
    assert!(!format!("{ended:?}").contains("very-secret"), "{ended:#?}");
}
