//! External ids and texts cannot start a new line or disguise their content.

use store::{BatchChunk, BatchResult, Failure, Found, NewNotification, ResultSource, StoredBatch};
use test_support::redis::RedisServer;
use webhook::{EventState, Family, NotificationType, Reason};

use crate::command::Ended;
use crate::dead::{dead, die, entry};
use crate::filled::Filled;
use crate::running::Running;
use crate::show::run;

/// Line breaks of all kinds, bidi marks, an escape sequence, a tag, a soft hyphen.
const ODD: [char; 20] = [
    '\n',
    '\r',
    '\u{b}',
    '\u{c}',
    '\u{85}',
    '\u{2028}',
    '\u{2029}',
    '\u{1b}',
    '\u{9b}',
    '\u{0}',
    '\u{61c}',
    '\u{200b}',
    '\u{200e}',
    '\u{200f}',
    '\u{202e}',
    '\u{2066}',
    '\u{2069}',
    '\u{feff}',
    '\u{ad}',
    '\u{e0041}',
];

/// A text that would start a new line or hide a part of itself.
fn forging(name: &str, odd: char) -> String {
    format!("{name}{odd}FORGED")
}

fn nothing_is_forged(ended: &Ended, at_least: &str) {
    assert!(ended.stdout.contains(at_least), "{at_least:?} is missing in {ended:#?}");
    for text in [&ended.stdout, &ended.stderr] {
        // A body keeps its lines; it is last and has a heading.
        for line in text.lines().take_while(|line| *line != "body") {
            assert!(!line.trim_start().starts_with("FORGED"), "a forged line: {ended:#?}");
            let odd = line.chars().find(|c| ODD.contains(c));
            assert_eq!(odd, None, "{line:?}");
        }
    }
}

/// A row of each kind whose ids and texts have this character.
async fn add_odd_rows(filled: &Filled, number: usize, odd: char) {
    let forging = |name: &str| forging(&format!("{name}{number}"), odd);
    let id = forging("resp_odd");
    filled.add_event(&forging("wh_odd"), &forging("response.odd"), Some(&id), 5).await;
    let failure = Failure {
        project: "default".to_owned(),
        webhook_id: forging("wh_odd"),
        attempts: 2,
        state: EventState::Retrying,
        reason: Reason::Rejected,
        error: forging("the error"),
        attempt: None,
        notifications: Vec::new(),
    };
    filled.store.fail_event(&failure).await.unwrap();
    let notification = NewNotification {
        project: "default".to_owned(),
        id: forging("ntf_odd"),
        target: forging("app"),
        kind: NotificationType::ResponseStored.into(),
        urgent: false,
        webhook_id: None,
        event_id: None,
        object_id: Some(id),
        event_created_at: None,
        created_at: chrono::Utc::now(),
        expires_at: None,
        body: b"{}".to_vec(),
    };
    filled.store.add_notifications(&[notification]).await.unwrap();
}

/// A batch with a line for each odd character, and errors with all of them.
async fn add_odd_batch(filled: &Filled) {
    let all: String = ODD.iter().collect();
    let Some(Found::Batch(StoredBatch { mut batch, .. })) = filled.store.find("batch_1").await.unwrap().pop()
    else {
        panic!("it is there");
    };
    batch.batch_id = "batch_odd".to_owned();
    batch.status = Some(format!("completed{all}"));
    batch.errors = Some(serde_json::json!({"code": all, "message": format!("{all}FORGED")}).to_string());
    filled.store.begin_batch(&batch).await.unwrap();
    let row = |(odd, line): (&char, i64)| BatchResult {
        line,
        custom_id: Some(forging("item", *odd)),
        status_code: Some(200),
        request_id: None,
        body: (line % 2 == 0)
            .then(|| serde_json::json!({"text": forging("text", *odd)}).to_string().into_bytes()),
        error: (line % 2 == 1).then(|| serde_json::json!({"message": forging("text", *odd)}).to_string()),
        input_tokens: None,
        output_tokens: None,
        cached_tokens: None,
        cache_write_tokens: None,
        reasoning_tokens: None,
        quarantined: false,
    };
    let chunk = BatchChunk {
        project: "default".to_owned(),
        batch_id: "batch_odd".to_owned(),
        source: ResultSource::Output,
        first_line: 1,
        rows: ODD.iter().zip(1..).map(row).collect(),
    };
    filled.store.append_batch_results(&chunk).await.unwrap();
}

#[tokio::test]
async fn no_text_from_outside_forges_a_line() {
    let filled = Filled::with_everything().await;
    for (number, odd) in ODD.into_iter().enumerate() {
        add_odd_rows(&filled, number, odd).await;
    }
    add_odd_batch(&filled).await;
    for (arguments, at_least) in [
        (&["events", "--limit", "100"][..], "resp_odd19"),
        (&["notifications", "list"], "ntf_odd19"),
        (&["results", "batch_odd"], "output 20"),
        (&["show", "batch_odd"], "completed"),
        (&["targets", "list"], "app19"),
    ] {
        nothing_is_forged(&run(&filled, arguments).with_code(0), at_least);
    }
    for (number, odd) in ODD.into_iter().enumerate().filter(|(_, odd)| *odd != '\0') {
        // A NUL cannot be an argument.
        let wh = forging(&format!("wh_odd{number}"), odd);
        nothing_is_forged(&run(&filled, &["show", &wh]).with_code(0), "response.odd");
        let ntf = forging(&format!("ntf_odd{number}"), odd);
        nothing_is_forged(&run(&filled, &["notifications", "show", &ntf]).with_code(0), "resp_odd");
    }
    let none = ODD.iter().filter(|odd| **odd != '\0').collect::<String>() + "FORGED";
    for verb in [
        &["show"][..],
        &["results"],
        &["export"],
        &["replay"],
        &["notifications", "show"],
        &["notifications", "retry"],
    ] {
        let ended = run(&filled, &[verb, &[&none]].concat()).with_code(1);
        assert!(ended.stderr.contains("FORGED"), "{ended:#?}");
        nothing_is_forged(&ended, "");
    }
    let tail = Running::start(&filled, &["tail", "-n", "100"]);
    tail.wait_for("resp_odd19").await;
    let (code, lines) = tail.interrupt();
    assert_eq!(code, 0);
    nothing_is_forged(&Ended { code, stdout: lines.join("\n"), stderr: String::new() }, "resp_odd19");
}

#[tokio::test]
async fn no_id_or_error_of_a_dead_letter_forges_a_line() {
    let redis = RedisServer::start();
    for odd in ODD {
        let entry = entry(&forging("wh_odd", odd), &forging("batch.odd", odd));
        die(&redis, Family::Batch, &entry, Reason::GaveUp).await;
    }
    nothing_is_forged(&dead(&redis, &["list"]).with_code(0), "batch.odd");
    for line in dead(&redis, &["list", "--json"]).with_code(0).json_lines() {
        let id = line["id"].as_str().unwrap();
        nothing_is_forged(&dead(&redis, &["show", id]).with_code(0), "wh_odd");
        nothing_is_forged(&dead(&redis, &["redrive", id]).with_code(0), "batch.odd");
    }
    let unknown = dead(&redis, &["redrive", "a\u{2028}FORGED\nFORGED"]).with_code(1);
    nothing_is_forged(&unknown, "");
}
