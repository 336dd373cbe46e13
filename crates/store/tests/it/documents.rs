//! The documents on either database: their SQL is run as it stands there, and `docs/tables.md` has every column.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use store::{BatchInput, BatchResult, ResultSource};

use crate::fixture::Fixture;
use crate::samples::{batch, batch_input, chunk, completion, event, fine_tuning, response, result};

const TABLES: &str = include_str!("../../../../docs/tables.md");

/// All statements of the SQL blocks of all documents, about the batch of the test.
fn statements() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [root.clone(), root.join("docs")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files =
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "md"));
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let blocks = texts
        .iter()
        .flat_map(|text| text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()));
    let text: String = blocks.collect::<Vec<_>>().concat().replace("batch_…", "batch_1");
    let uncommented: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = uncommented.join("\n");
    statements.split(';').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

pub(crate) async fn the_sql_returns_what_the_documents_say(fixture: Fixture) {
    fill(&fixture).await;
    let mut answers = BTreeMap::new();
    for statement in statements() {
        let rows = fixture.select_text(&statement).await;
        let text = |cell: &Option<String>| cell.as_deref().unwrap_or("-").to_owned();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(text).collect()).collect();
        answers.insert(statement, rows);
    }
    let answer = |part: &str| -> &[Vec<String>] {
        let found = answers.iter().find(|(statement, _)| statement.contains(part));
        found.unwrap_or_else(|| panic!("no document has {part:?}")).1
    };
    assert_eq!(answer("FROM research_results")[0][..2], ["resp_1", "Forty-two."]);
    assert_eq!(answer("AND error IS NOT NULL").len(), 2);
    assert_eq!(
        answer("error_code, error_message"),
        [
            ["request-00004", "429", "slow_down", "Too fast."],
            ["request-00004", "-", "slow_down", "Too fast."],
            ["request-00005", "200", "-", "-"]
        ]
    );
    assert_eq!(answer("GROUP BY error_code"), [["slow_down", "2"], ["-", "1"]]);
    assert_eq!(answer("AS model"), [["gpt-a", "2", "6", "4"], ["gpt-b", "1", "3", "2"]]);
    assert_eq!(
        answer("FROM batch_outputs")[..2],
        [["request-00001", "answer 1"], ["request-00002", "answer 2"]]
    );
    let usage = answer("FROM usage_by_day");
    assert_eq!(
        (usage[0][1].as_str(), &usage[0][3..]),
        ("gpt-5.6-sol", &["1", "3", "4"].map(str::to_owned)[..])
    );
    assert_eq!(
        (usage[1][1].as_str(), &usage[1][3..]),
        ("gpt-6-luna", &["3", "9", "6"].map(str::to_owned)[..])
    );
    let joined = answer("AS request");
    assert_eq!((joined.len(), joined[0][0].as_str()), (3, "request-00003"));
    assert!(joined[0][1].contains("question 3") && joined[0][2].contains("answer 3"), "{joined:?}");
    assert_eq!(
        answer("FROM fine_tuning_events"),
        [["ftjob_1", "The training file is invalid."], ["ftjob_1", "The training file is invalid."]]
    );
    assert_eq!(answer("results_state <> 'complete'")[0][0], "batch_1");
}

/// A response, and a batch with answers and errors of every kind.
async fn fill(fixture: &Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.save_fine_tuning(&fine_tuning(), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    // In another order than the results.
    let inputs = [(1, 3), (2, 2), (3, 1)].map(|(line, n)| BatchInput { line, ..batch_input(n) });
    store.save_batch_inputs("default", "batch_1", &inputs).await.unwrap();
    let answered = |line: i64, model: &str| {
        let body =
            format!(r#"{{"model":"{model}","choices":[{{"message":{{"content":"answer {line}"}}}}]}}"#);
        BatchResult { body: Some(body.into_bytes()), ..result(line) }
    };
    let refused = BatchResult {
        status_code: Some(429),
        body: Some(br#"{"error":{"code":"slow_down"}}"#.to_vec()),
        error: Some(r#"{"code":"slow_down","message":"Too fast."}"#.to_owned()),
        input_tokens: None,
        output_tokens: None,
        ..result(4)
    };
    let garbled =
        BatchResult { body: Some(b"no JSON".to_vec()), quarantined: true, input_tokens: None, ..result(5) };
    let rows =
        vec![answered(1, "gpt-a"), answered(2, "gpt-b"), answered(3, "gpt-a"), refused.clone(), garbled];
    store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let late = BatchResult { status_code: None, body: None, ..refused };
    store
        .append_batch_results(&chunk(ResultSource::Error, 1, vec![BatchResult { line: 1, ..late }]))
        .await
        .unwrap();
}

/// The columns of a documented table with their types, or of a view without.
type Columns = Vec<(String, Option<String>)>;

/// Every section of `docs/tables.md` whose heading is a name. A table has a row for each column; a view names them in its
/// first sentence.
fn documented() -> BTreeMap<String, Columns> {
    let sections = TABLES.split("\n### `").skip(1);
    let section = |text: &str| {
        let (name, rest) = text.split_once('`').unwrap();
        let rest = rest.split("\n## ").next().unwrap();
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let rows = rest.lines().filter(|line| line.starts_with("| `")).map(cells);
        let mut columns: Columns =
            rows.map(|cells| (cells[1].replace('`', ""), Some(cells[2].clone()))).collect();
        if columns.is_empty() {
            let names = rest.split_once(':').unwrap().1.split('.').next().unwrap();
            columns.extend(names.split('`').skip(1).step_by(2).map(|name| (name.to_owned(), None)));
        }
        (name.to_owned(), columns)
    };
    sections.map(section).collect()
}

pub(crate) async fn the_tables_page_has_every_column(fixture: Fixture) {
    let documented = documented();
    let tables: Vec<String> = fixture.tables().await;
    let ours: Vec<&String> = tables.iter().filter(|table| *table != "landfall_migrations").collect();
    assert_eq!(ours, documented.keys().collect::<Vec<_>>());
    for (table, columns) in &documented {
        let mut names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(fixture.columns(table).await, names, "{table}");
        if !fixture.is_postgres() {
            continue;
        }
        let select = format!(
            "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_name = '{table}'"
        );
        let types: BTreeMap<String, String> = fixture
            .select(&select)
            .await
            .into_iter()
            .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
            .collect();
        for (name, documented) in columns.iter().filter_map(|(name, kind)| Some((name, kind.as_ref()?))) {
            assert_eq!(word_for(&types[name]), documented, "{table}.{name}");
        }
    }
}

/// What `docs/tables.md` calls a type of PostgreSQL.
fn word_for(data_type: &str) -> &str {
    match data_type {
        "bigint" => "integer",
        "double precision" => "number",
        "boolean" => "true/false",
        "timestamp with time zone" => "time",
        "json" | "jsonb" => "JSON",
        "bytea" => "bytes",
        other => other,
    }
}
