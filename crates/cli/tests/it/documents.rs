//! The commands in the documents: every verb is one, and every flag beside it is in its `--help`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::landfall;

/// All Markdown files in the folders that hold documents.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["", "docs", "crates", "config", "secrets"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Pieces of text that each hold commands and their flags: lines of code blocks, and code in sentences.
fn pieces(text: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut pieces = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            pieces.push(line);
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2));
        }
    }
    pieces
}

/// The words after each `landfall`, as long as they could be verbs.
fn verbs(piece: &str) -> Vec<Vec<&str>> {
    let words: Vec<&str> = piece.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let is_verb = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase());
    let starts = words.iter().enumerate().filter(|(_, word)| **word == "landfall");
    let paths = starts.map(|(at, _)| words[at + 1..].iter().take(2).take_while(is_verb).copied().collect());
    paths.filter(|path: &Vec<&str>| !path.is_empty()).collect()
}

/// `--help` of a verb, read once.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

impl Helps {
    fn of(&mut self, path: &[&str]) -> String {
        let key = path.iter().map(|&verb| verb.to_owned()).collect();
        let read = || landfall(&[], &[path, &["--help"]].concat()).with_code(0).stdout;
        self.0.entry(key).or_insert_with(read).clone()
    }

    /// What a piece of text has wrong, and how many commands it has.
    fn check(&mut self, piece: &str) -> (usize, Vec<String>) {
        let (mut flags, mut broken) = (flags(after_docker(piece)), Vec::new());
        let paths = verbs(piece);
        for path in &paths {
            if !has_verb(&self.of(&[]), path[0]) {
                broken.push(format!("no verb {}", path[0]));
                continue;
            }
            let mut help = self.of(&path[..1]);
            if help.contains("\nCommands:\n") && path.len() == 2 {
                if !has_verb(&help, path[1]) {
                    broken.push(format!("no verb {} {}", path[0], path[1]));
                    continue;
                }
                help = self.of(path);
            }
            flags.retain(|flag| !has_flag(&help, flag));
        }
        if !paths.is_empty() {
            broken.extend(flags.iter().map(|flag| format!("no flag {flag}")));
        }
        (paths.len(), broken)
    }
}

#[test]
fn documented_commands_are_those_of_help() {
    let (mut helps, mut commands, mut broken) = (Helps::default(), 0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for piece in pieces(&text) {
            let (found, wrong) = helps.check(piece);
            commands += found;
            broken.extend(wrong.iter().map(|wrong| format!("{}: {wrong}: {piece}", document.display())));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(commands > 60, "only {commands} commands were found");
}

#[test]
fn the_examples_of_help_are_commands() {
    let (mut helps, mut commands, mut broken) = (Helps::default(), 0, Vec::new());
    let main = helps.of(&[]);
    let names = main.split_once("\nCommands:\n").unwrap().1.split("\n\n").next().unwrap();
    let is_name =
        |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && !line.contains("  help ");
    let verbs = names.lines().filter(is_name).map(|line| line.trim_start().split(' ').next().unwrap());
    let mut texts = vec![main.clone()];
    texts.extend(verbs.map(|verb| helps.of(&[verb])));
    for line in texts.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("  landfall ")) {
        let (found, wrong) = helps.check(line);
        commands += found;
        broken.extend(wrong.iter().map(|wrong| format!("{wrong}: {line}")));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(commands > 60, "only {commands} commands were found");
}

/// Without the flags of Docker Compose.
fn after_docker(piece: &str) -> &str {
    piece.split_once(" landfall ").map_or(
        piece,
        |(before, after)| {
            if before.contains("docker") { after } else { piece }
        },
    )
}

fn flags(piece: &str) -> BTreeSet<&str> {
    let words = piece.split([' ', ',', ';', '=', ':', '|', ')']);
    words.filter(|word| word.len() > 2 && word.starts_with("--")).collect()
}

fn has_flag(help: &str, flag: &str) -> bool {
    help.split(|c: char| c.is_whitespace() || c == '=' || c == '[').any(|word| word == flag)
}

fn has_verb(help: &str, verb: &str) -> bool {
    help.lines().any(|line| line.starts_with("  ") && line.trim_start().split(' ').next() == Some(verb))
}
