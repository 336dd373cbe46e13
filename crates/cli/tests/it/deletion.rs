//! Confirmation of `prune` and `dead discard`, at a terminal and without one.

use queue::{DEDUPE_WINDOW, Producer, QueueAdmin};
use store::Found;
use test_support::redis::RedisServer;
use webhook::{Family, Reason};

use crate::command::{Ended, landfall};
use crate::dead::{config, consumer, counts, dead, die, entry, three_dead};
use crate::filled::Filled;
use crate::show::run;
use crate::terminal::{Shown, at_terminal};

fn prune_at_terminal(filled: &Filled, arguments: &[&str], typed: &str) -> Shown {
    let settings = filled.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    at_terminal(&settings, &[&["prune", "--older-than", "0s"], arguments].concat(), typed)
}

fn rows(ended: &Ended) -> u64 {
    let lines = ended.json_lines();
    let of_line = |line: &serde_json::Value| {
        ["objects", "results", "events", "notifications"].map(|name| line[name].as_u64().unwrap())
    };
    lines.iter().flat_map(of_line).sum()
}

async fn has_batch(filled: &Filled) -> bool {
    filled.store.find("batch_1").await.unwrap().iter().any(|found| matches!(found, Found::Batch(_)))
}

async fn many_rows_are_pruned_only_when_their_number_is_typed(filled: Filled) {
    let count = rows(&run(&filled, &["prune", "--older-than", "0s", "--dry-run", "--json"]).with_code(0));
    assert!(count > 1200);
    for typed in ["\n", "y\n", "yes\n", "100\n", "\u{4}"] {
        let shown = prune_at_terminal(&filled, &[], typed).with(1, &["nothing was deleted", "1,200"]);
        assert!(shown.output.contains(&format!("Type {count} to confirm")), "{shown:#?}");
    }
    assert!(has_batch(&filled).await);
    prune_at_terminal(&filled, &[], &format!("{count}\n")).with(0, &["deleted: rows and files"]);
    assert!(!has_batch(&filled).await);
}

async fn without_a_terminal_nothing_is_pruned_without_yes(filled: Filled) {
    for arguments in [&[][..], &["--json"], &["--family", "batch"], &["--family", "agent"]] {
        let ended = run(&filled, &[&["prune", "--older-than", "0s"], arguments].concat()).with_code(2);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        assert!(ended.stderr.contains("--yes") && ended.stderr.contains("--dry-run"), "{ended:#?}");
    }
    assert!(has_batch(&filled).await);
    assert_eq!(filled.store.list_events(&store::EventFilter::default()).await.unwrap().len(), 4);
    let ended = run(&filled, &["prune", "--older-than", "0s", "--yes", "--json"]).with_code(0);
    assert!(rows(&ended) > 1200 && !has_batch(&filled).await);
}

#[tokio::test]
async fn few_rows_are_pruned_at_a_terminal_without_a_prompt() {
    let filled = Filled::with_everything().await;
    let shown =
        prune_at_terminal(&filled, &["--family", "fine_tuning"], "").with(0, &["deleted: rows and files"]);
    assert!(!shown.output.contains("Type"), "{shown:#?}");
    run(&filled, &["show", "ftjob-1"]).with_code(1);
    prune_at_terminal(&filled, &["--yes"], "").with(0, &["deleted: rows and files"]);
    assert!(!has_batch(&filled).await);
}

#[tokio::test]
async fn without_a_terminal_no_dead_letter_is_discarded_without_yes() {
    let redis = three_dead().await;
    for arguments in [&["--all"][..], &["wh_1"], &["--family", "batch", "--json"], &["--reason", "timed_out"]]
    {
        let ended = dead(&redis, &[&["discard"], arguments].concat()).with_code(2);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        assert!(ended.stderr.contains("--yes") && ended.stderr.contains("--dry-run"), "{ended:#?}");
    }
    assert_eq!(counts(&redis).await, (3, 0));
    dead(&redis, &["discard", "wh_1", "--yes"]).with_code(0);
    assert_eq!(counts(&redis).await, (2, 0));
}

#[tokio::test]
async fn many_dead_letters_are_discarded_only_when_their_number_is_typed() {
    let redis = RedisServer::start();
    for number in 0..101 {
        let entry = entry(&format!("wh_{number}"), "batch.completed");
        die(&redis, Family::Batch, &entry, Reason::GaveUp).await;
    }
    let url = redis.url();
    let discard = |arguments: &[&str], typed: &str| {
        at_terminal(&[("REDIS_URL", &url)], &[&["dead", "discard"], arguments].concat(), typed)
    };
    discard(&["--all"], "100\n").with(1, &["Type 101 to confirm", "nothing was deleted"]);
    assert_eq!(counts(&redis).await, (101, 0));
    discard(&["wh_7"], "").with(0, &["1 discarded"]);
    let shown = discard(&["--all"], "100\n").with(0, &["100 discarded"]);
    assert!(!shown.output.contains("Type"), "{shown:#?}");
    assert_eq!(counts(&redis).await, (0, 0));
}

#[tokio::test]
async fn a_dry_run_shows_what_would_happen_and_changes_nothing() {
    let redis = three_dead().await;
    let records = async || {
        let reader = QueueAdmin::new(&config(&redis)).unwrap();
        reader.dead_letters(Family::Batch, 10).await.unwrap().len()
    };
    for (verb, words) in [("redrive", "2 would be redriven"), ("discard", "2 would be discarded")] {
        let ended = dead(&redis, &[verb, "--family", "batch", "--dry-run"]).with_code(0);
        ended.fits_80_columns();
        assert!(ended.stderr.contains(words) && ended.stdout.lines().count() == 2, "{ended:#?}");
        let line = dead(&redis, &[verb, "wh_3", "--dry-run", "--json"]).with_code(0).json();
        assert_eq!((&line["action"], &line["dry_run"]), (&verb.into(), &true.into()));
        assert_eq!((&line["webhook_id"], &line["entry_id"]), (&"wh_3".into(), &serde_json::Value::Null));
        dead(&redis, &[verb, "--family", "eval", "--dry-run"]).with_code(1);
    }
    assert_eq!((counts(&redis).await, records().await), ((3, 0), 2));
}

#[tokio::test]
async fn an_ambiguous_dead_letter_stops_the_command_before_it_changes_anything() {
    let redis = three_dead().await;
    // The same webhook has a dead letter in another family. `enqueue_again` bypasses deduplication.
    let again = entry("wh_1", "response.failed");
    let queue = Producer::new(&config(&redis), 10, DEDUPE_WINDOW).unwrap();
    queue.enqueue_again(Family::Response, &again, "run").await.unwrap();
    let delivery = consumer(&redis, Family::Response).await.receive_now(1).await.unwrap().pop().unwrap();
    delivery.dead_letter(Reason::GaveUp, "again", None).await.unwrap();
    let ended = dead(&redis, &["redrive", "wh_2", "wh_1"]).with_code(2);
    assert!(ended.stderr.contains("in several families"), "{ended:#?}");
    assert_eq!(counts(&redis).await.0, 4);
}

#[test]
fn help_mentions_the_confirmation() {
    for arguments in [&["prune", "--help"][..], &["dead", "discard", "--help"]] {
        let ended = landfall(&[], arguments).with_code(0);
        assert!(ended.stdout.contains("--yes") && ended.stdout.contains("--dry-run"), "{ended:#?}");
    }
}

on_both_databases!(
    many_rows_are_pruned_only_when_their_number_is_typed,
    without_a_terminal_nothing_is_pruned_without_yes,
);
