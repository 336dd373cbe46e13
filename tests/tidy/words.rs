//! Names and prose use standard words. The lists contain the invented names and the phrases that plain technical English
//! replaced; `docs/glossary.md` defines the terms that the project uses.

use std::path::Path;

use super::{files, paths, product_code, report};

/// Prefixes of the paths to check. Documents and migrations are not among them.
const COVERED: &[&str] = &[
    ".ci/",
    ".env.example",
    ".github/",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Dockerfile",
    "README.md",
    "SECURITY.md",
    "config/",
    "conformance/",
    "crates/",
    "deny.toml",
    "deploy/",
    "docker-compose",
    "docs/",
    "examples/",
    "fuzz/targets/",
    "scripts/",
    "secrets/",
    "tests/",
];

/// File name extensions of code and text that people write. Scripts have none.
const WRITTEN: &[&str] = &["", "example", "lua", "md", "mjs", "py", "rs", "sh", "toml", "yml"];

/// Invented names, as whole identifiers.
const NAMES: &[&str] = &[
    "Again",
    "AllTold",
    "Beside",
    "BesideOthers",
    "Catalogue",
    "Crowd",
    "Crowded",
    "EverLarger",
    "Fitness",
    "Havoc",
    "Held",
    "HttpPlace",
    "Kept",
    "KeyAlarm",
    "LINKS",
    "Lane",
    "News",
    "NoRoom",
    "Pace",
    "Places",
    "Proof",
    "Remedy",
    "RetrySlowly",
    "Seat",
    "SecretPlace",
    "TURNS",
    "Telling",
    "TheResult",
    "Told",
    "UnfitServer",
    "Verdict",
    "apart",
    "asker",
    "born",
    "catalogue",
    "continue_places",
    "crowd",
    "decide_unrun",
    "end_turn",
    "hand_back",
    "havoc",
    "idle_since",
    "is_kept",
    "is_trial",
    "lasts_secs",
    "let_others_finish",
    "lifted",
    "look_again",
    "make_way",
    "met_by_pause",
    "misbehave",
    "must_go",
    "push_asker",
    "raise_limit",
    "retry_slowly",
    "screen",
    "send_away",
    "settled_place",
    "shout",
    "shouts",
    "standstill",
    "storable",
    "telling",
    "text_if_any",
    "told",
    "told_at",
    "told_of_death",
    "until_fit",
    "waits_until",
];

/// Phrases that do not read as plain English, in lower case. Each is matched as whole words.
const PHRASES: &[&str] = &[
    "all the same",
    "anew",
    "are told",
    "bad day",
    "bad days",
    "bad moment",
    "be told",
    "bring home",
    "brings home",
    "comes back",
    "hands back",
    "havoc",
    "in vain",
    "is told",
    "knock",
    "knocks",
    "look-alike",
    "look-alikes",
    "mends",
    "no room",
    "nobody",
    "shout",
    "shouts",
    "somebody",
    "spoils",
    "stand-in",
    "stand-ins",
    "stands still",
    "takes in",
    "that is no",
    "the system",
    "was told",
    "what is no",
    "whoever",
    "words are above",
    "work off",
    "worked off",
    "works off",
];

#[test]
fn names_and_prose_use_standard_words() {
    let mut broken = Vec::new();
    for file in files("").iter().filter(|file| is_covered(file)) {
        let text = product_code(file);
        let found = phrases(&text).into_iter().chain(names(file, &text));
        broken.extend(found.map(|found| format!("{}: {found}", file.display())));
    }
    report(&broken);
}

fn is_covered(file: &Path) -> bool {
    let extension = file.extension().unwrap_or_default();
    let path = file.to_str().unwrap();
    COVERED.iter().any(|covered| path.starts_with(covered))
        && WRITTEN.iter().any(|written| extension == *written)
        && path != file!()
}

/// The invented names in a source file.
fn names(file: &Path, text: &str) -> Vec<String> {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let mut found: Vec<String> = if is_rust { paths::tokens(text) } else { Vec::new() };
    found.extend(file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    found.retain(|name| NAMES.contains(&name.as_str()));
    found.sort();
    found.dedup();
    found
}

/// The phrases in a text, each with the words around it.
fn phrases(text: &str) -> Vec<String> {
    let text = one_line(text);
    let lower = text.to_ascii_lowercase();
    let hits = |phrase: &&'static str| {
        let at = lower.match_indices(*phrase).map(|(at, _)| at).find(|at| is_hit(&lower, *at, phrase));
        at.map(|at| format!("{phrase:?} in: {}", excerpt(&text, at)))
    };
    PHRASES.iter().filter_map(hits).collect()
}

/// Joins all lines, so that a phrase is found across the lines of a comment.
fn one_line(text: &str) -> String {
    let comment = |line: &str| line.trim().trim_start_matches(['/', '!', '#', '-']).trim().to_owned();
    text.lines().map(comment).collect::<Vec<_>>().join(" ")
}

/// Whether the phrase stands between word boundaries. `"nobody"` in quotes is a Unix user.
fn is_hit(text: &str, at: usize, phrase: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let before = text[..at].chars().next_back();
    let after = text[at + phrase.len()..].chars().next();
    let is_quoted = before == Some('"') && after == Some('"');
    !before.is_some_and(is_word) && !after.is_some_and(is_word) && !is_quoted
}

fn excerpt(text: &str, at: usize) -> String {
    let before: String = text[..at].chars().rev().take(40).collect();
    let after: String = text[at..].chars().take(60).collect();
    before.chars().rev().chain(after.chars()).collect()
}

#[test]
fn a_phrase_is_found_across_lines_and_only_as_whole_words() {
    let found = |text: &str| !phrases(text).is_empty();
    for text in
        ["/// A worker that is\n    /// told about it.", "fail(\"Nobody answers\")", "# waited in vain."]
    {
        assert!(found(text), "{text}");
    }
    for text in ["useradd \"nobody\"", "fn nobody_else() {}", "the systems", "file_system", "knocked"] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn a_name_is_found_in_code_and_in_the_file_name_only() {
    let names = |file: &str, text: &str| names(Path::new(file), text);
    assert_eq!(names("src/x.rs", "// Lane\nstruct Crowd { told: u8 } // told"), ["Crowd", "told"]);
    assert_eq!(names("src/crowd.rs", "let text = \"Lane told\"; let crowds = NotALane;"), ["crowd"]);
    assert_eq!(names("scripts/havoc", "Lane"), ["havoc"]);
}
