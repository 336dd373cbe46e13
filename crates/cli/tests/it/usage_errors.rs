//! Errors for invalid command lines: what was wrong, and what to write.

use crate::command::landfall;
use crate::filled::Filled;
use crate::show::run;

#[test]
fn an_unknown_name_is_answered_with_those_of_the_verb() {
    for (arguments, words) in [
        (
            &["events", "--family", "foo"][..],
            "--family: unknown family \"foo\"; use one of response, batch, ",
        ),
        (
            &["events", "--state", "foo"],
            "--state: unknown event state \"foo\"; use one of received, stored, ",
        ),
        (
            &["notifications", "list", "--state", "foo"],
            "--state: unknown notification state \"foo\"; use one of pending, delivered, given_up",
        ),
        (
            &["notifications", "list", "--type", "foo"],
            "--type: unknown notification type \"foo\"; use one of response.stored, ",
        ),
        (&["dead", "list", "--reason", "foo"], "--reason: unknown reason \"foo\"; use one of rate_limited, "),
        (&["replay", "--state", "foo"], "unknown event state \"foo\""),
    ] {
        let ended = landfall(&[], arguments).with_code(2);
        assert!(ended.stderr.contains(words), "{words:?} is missing in {ended:#?}");
    }
    // The help is that of the verb, too.
    let ended = landfall(&[], &["notifications", "list", "--state", "foo"]);
    assert!(ended.stderr.contains("pending") && !ended.stderr.contains("retrying"), "{ended:#?}");
}

#[test]
fn a_verb_without_required_arguments_prints_its_usage() {
    for verb in [
        &["show"][..],
        &["results"],
        &["wait"],
        &["export"],
        &["fetch"],
        &["replay"],
        &["prune"],
        &["listen"],
        &["send"],
        &["completions"],
        &["dead", "show"],
        &["dead", "redrive"],
        &["dead", "discard"],
        &["notifications", "show"],
        &["notifications", "retry"],
        &["targets", "test"],
        &["targets", "pause"],
        &["db", "import"],
    ] {
        let ended = landfall(&[], verb).with_code(2);
        let usage = format!("Usage: landfall {}", verb.join(" "));
        assert!(ended.stderr.contains(&usage), "{usage:?} is missing in {ended:#?}");
    }
}

#[tokio::test]
async fn an_export_of_the_database_never_overwrites_a_file() {
    let filled = Filled::empty().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("there.jsonl");
    std::fs::write(&file, "mine").unwrap();
    let ended = run(&filled, &["db", "export", "--output", file.to_str().unwrap()]).with_code(2);
    assert!(ended.stderr.contains("there.jsonl already exists: choose another file"), "{ended:#?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let nowhere = folder.path().join("none").join("rows.jsonl");
    let ended = run(&filled, &["db", "export", "--output", nowhere.to_str().unwrap()]).with_code(2);
    assert!(ended.stderr.contains("cannot write") && ended.stderr.contains("rows.jsonl"), "{ended:#?}");
}
