//! Finds the paths in a source file without a compiler, with just enough of Rust's grammar for `use` and `a::b::c`.

use std::collections::BTreeSet;

/// The names of a path such as `a::b::C`.
pub(crate) type PathUse = Vec<String>;

/// A name that `use` imports; `*` for `use a::*`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: PathUse,
    /// Whether it is a re-export.
    pub(crate) is_public: bool,
}

/// The imports, paths and names in a file.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(crate) imports: Vec<Import>,
    /// Paths with two or more names, outside of `use`.
    pub(crate) paths: Vec<PathUse>,
    /// First names of paths and single names, outside of `use`.
    pub(crate) names: BTreeSet<String>,
}

/// Parses a file.
pub(crate) fn of(text: &str) -> Paths {
    let tokens = tokens(text);
    let mut found = Paths::default();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
            let is_public = is_public(&tokens[..at]);
            at += 1;
            tree(&tokens, &mut at, &[], &mut |name, path| {
                found.imports.push(Import { name, path, is_public });
            });
        } else if tokens[at] == "mod" {
            at += 2;
        } else if is_name(&tokens[at]) {
            let path = path(&tokens, &mut at);
            found.names.insert(path[0].clone());
            if path.len() > 1 {
                found.paths.push(path);
            }
        } else {
            // A field or method after a dot, and a name after `<T>::`, do not begin a path.
            let is_member = matches!(tokens[at].as_str(), "." | "::");
            at += if is_member { 2 } else { 1 };
        }
    }
    found
}

/// Whether the tokens end with `pub` or `pub(crate)`.
fn is_public(before: &[String]) -> bool {
    let last = before.iter().rposition(|token| matches!(token.as_str(), ";" | "}" | "{" | "]"));
    before[last.map_or(0, |last| last + 1)..].iter().any(|token| token == "pub")
}

/// The names joined by `::`, starting here.
fn path(tokens: &[String], at: &mut usize) -> PathUse {
    let mut path = vec![tokens[*at].clone()];
    *at += 1;
    while tokens.get(*at).is_some_and(|token| token == "::")
        && tokens.get(*at + 1).is_some_and(|next| is_name(next))
    {
        path.push(tokens[*at + 1].clone());
        *at += 2;
    }
    path
}

/// Parses a `use` tree: `a::b`, `a::b as c`, `a::*`, `a::{b, c::d}`.
fn tree(tokens: &[String], at: &mut usize, before: &[String], found: &mut dyn FnMut(String, PathUse)) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.as_str() {
            "::" => {}
            "{" => {
                while let Some(token) = tokens.get(*at).filter(|token| *token != "}") {
                    if token == "," {
                        *at += 1;
                    } else {
                        tree(tokens, at, &path, found);
                    }
                }
                *at += 1;
                return;
            }
            "," => break,
            ";" | "}" => {
                *at -= 1;
                break;
            }
            "as" => {
                let name = tokens[*at].clone();
                *at += 1;
                found(name, path.clone());
                path.clear();
            }
            // `a::{self}` imports `a`.
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
    }
    if let Some(name) = path.last() {
        found(name.clone(), path.clone());
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and other single characters, without comments, literals and lifetimes.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if is_name(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let token = &rest[..length];
        let is_code = is_name(token) || token.chars().count() == 1 || token == "::";
        if is_code && !first.is_whitespace() && literal(rest).is_none() {
            tokens.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string, character or lifetime at the start, if there is one.
fn literal(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|length| *length <= 2)?;
    let rest = &text[prefix..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if text[..prefix].contains('r') && rest[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = &rest[hashes + 1..];
        return Some(prefix + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
    }
    if let Some(body) = rest.strip_prefix('"') {
        return Some(prefix + 1 + quoted(body, '"'));
    }
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.chars();
    let is_character = characters.next() == Some('\\') || characters.next() == Some('\'');
    let name = || body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    Some(prefix + 1 + if is_character { quoted(body, '\'') } else { name() })
}

/// The length up to the end of a literal, including its closing quote.
fn quoted(body: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in body.char_indices() {
        if c == mark && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    body.len()
}

#[test]
fn paths_are_read_from_code_alone() {
    let found = of(r##"
        pub(crate) use a::{self, b::{C}, d as e}; use x::*;
        // not::this
        fn f<'a>(y: &'a crate::Y) -> Option<super::z::Z> {
            let text = "not::this \" either"; let c = 'c'; let quote = '\'';
            let raw = r#"nor::"this""#; y.m::n::<g::H>(); <T>::new()
        }"##);
    let imports: Vec<(&str, String, bool)> = found
        .imports
        .iter()
        .map(|import| (import.name.as_str(), import.path.join("::"), import.is_public))
        .collect();
    let expected = [("a", "a", true), ("C", "a::b::C", true), ("e", "a::d", true), ("*", "x::*", false)];
    assert_eq!(imports, expected.map(|(name, path, is_public)| (name, path.to_owned(), is_public)));
    let paths: Vec<String> = found.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::Y", "super::z::Z", "g::H"]);
    assert!(found.names.contains("text") && !found.names.contains("C"));
}
