//! What newcomers copy names no model that OpenAI has shut down.

use std::path::Path;

use super::{files, product_code, report};

/// Shut down by 2027-01-14, with everything that only adds a date or `-preview`. Fine-tunes of them end too.
const SHUT_DOWN: &[&str] = &[
    "chatgpt-image-latest",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5-pro",
    "gpt-image-1",
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "o3",
    "o3-deep-research",
    "o3-pro",
    "o4-mini-deep-research",
    "sora-2",
    "sora-2-pro",
];

#[test]
fn documents_and_demo_data_name_no_model_that_was_shut_down() {
    let mut broken = Vec::new();
    for file in files("").iter().filter(|file| is_copied(file)) {
        for name in names(&product_code(file)) {
            if is_shut_down(name) {
                broken
                    .push(format!("{}: {name} was shut down; use gpt-6-luna or gpt-6.1-sol", file.display()));
            }
        }
    }
    report(&broken);
}

/// README, documents, the demo and the default data of the fake.
fn is_copied(file: &Path) -> bool {
    let paths = [
        "README.md",
        "docs/",
        "scripts/demo",
        "docker-compose.demo.yml",
        "config/",
        "crates/fake-openai/src/",
    ];
    let is_picture = file.extension().is_some_and(|extension| extension == "png");
    !is_picture && paths.iter().any(|path| file.to_str().unwrap().starts_with(path))
}

/// Everything that could be a model's name. `ft:MODEL:ORG::ID` is split at the colons.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-._*".contains(c))
        .map(|name| name.trim_end_matches('.'))
}

fn is_shut_down(name: &str) -> bool {
    let name = name.trim_end_matches('*').trim_end_matches('-');
    SHUT_DOWN.iter().any(|model| {
        name.strip_prefix(model)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("-20") || rest == "-preview")
    })
}

#[test]
fn a_model_is_recognized_with_its_date_and_in_a_fine_tune() {
    let found = |text: &str| names(text).filter(|name| is_shut_down(name)).count();
    for text in [
        "model = \"gpt-4.1*\"",
        "gpt-4.1-mini-2025-04-14",
        "ft:gpt-4o:acme::1",
        "with `gpt-5`.",
        "It uses o3.",
        "o4-mini-deep-research",
    ] {
        assert_eq!(found(text), 1, "{text}");
    }
    for text in [
        "gpt-5.6-sol",
        "gpt-5.4-mini-2026-03-17",
        "gpt-6-luna",
        "ft:gpt-6-luna:acme::1",
        "foo3",
        "gpt-5.4-nano",
    ] {
        assert_eq!(found(text), 0, "{text}");
    }
}
