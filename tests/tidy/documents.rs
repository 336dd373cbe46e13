//! The documents describe what exists: settings, metrics, keys, functions, services and links. What has to run, such as
//! SQL, commands and `redis-cli`, is checked beside the code (`documents.rs` in the tests of store, cli and queue).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{code_spans, files, links, product_code, read, report, root};

/// Two screens. Everything else is behind a link.
const README_LINES_MAX: usize = 160;
const README_BYTES_MAX: usize = 14_000;

#[test]
fn the_readme_fits_on_two_screens() {
    let readme = read(Path::new("README.md"));
    let (lines, bytes) = (readme.lines().count(), readme.len());
    assert!(lines <= README_LINES_MAX && bytes <= README_BYTES_MAX, "{lines} lines, {bytes} bytes");
    let results = readme.lines().position(|line| line == "## Get the results into your app");
    assert!(results.is_some_and(|line| line < 60), "a newcomer looks for results in the first 60 lines");
}

#[test]
fn every_anchor_is_a_heading() {
    let mut broken = Vec::new();
    for document in files(".md") {
        let text = read(&document);
        for target in links(&text) {
            let Some((path, anchor)) = target.split_once('#') else { continue };
            if path.starts_with("http") {
                continue;
            }
            let page =
                if path.is_empty() { document.clone() } else { normal(&document.with_file_name(path)) };
            if root().join(&page).exists() && !anchors(&read(&page)).contains(anchor) {
                broken.push(format!("{}: {} has no heading #{anchor}", document.display(), page.display()));
            }
        }
    }
    report(&broken);
}

#[test]
fn every_page_is_in_the_index() {
    let index = read(Path::new("docs/README.md"));
    let linked: BTreeSet<PathBuf> = links(&index).map(|target| Path::new("docs").join(target)).collect();
    let missing =
        |page: &PathBuf| page.starts_with("docs") && !page.ends_with("README.md") && !linked.contains(page);
    let unlisted = files(".md").into_iter().filter(missing);
    report(
        &unlisted.map(|page| format!("docs/README.md does not link {}", page.display())).collect::<Vec<_>>(),
    );
}

/// `docs/settings.md` has every setting of the programs, and every setting in any document exists.
#[test]
fn documented_settings_are_those_of_the_programs() {
    let page = read(Path::new("docs/settings.md"));
    let in_page: BTreeSet<&str> = code_spans(&page).collect();
    let of_programs = settings_of_programs();
    let mut broken: Vec<String> = of_programs
        .iter()
        .filter(|(name, hidden)| !hidden && !in_page.contains(name.as_str()))
        .map(|(name, _)| format!("docs/settings.md does not have {name}"))
        .collect();
    let known: BTreeSet<&str> = of_programs.iter().map(|(name, _)| name.as_str()).collect();
    let elsewhere = elsewhere();
    for document in files(".md") {
        for name in code_spans(&read(&document)).filter_map(setting_name) {
            if !known.contains(name) && !elsewhere.contains(name) {
                broken.push(format!("{}: there is no setting {name}", document.display()));
            }
        }
    }
    report(&broken);
}

/// What docker-compose.yml reads from `.env` is in `.env.example`, and nothing else is.
#[test]
fn the_example_has_the_settings_of_compose() {
    let compose: String = files(".yml")
        .iter()
        .filter(|file| file.to_string_lossy().starts_with("docker-compose"))
        .map(|file| read(file))
        .collect();
    let read_by_compose: BTreeSet<&str> =
        compose.split("${").skip(1).filter_map(|rest| rest.split([':', '-', '}']).next()).collect();
    let example = read(Path::new(".env.example"));
    let named: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('=').map(|(name, _)| name))
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let mut broken: Vec<String> = read_by_compose
        .difference(&named)
        // With the file's own default it names the password's file, which is not for changing.
        .filter(|name| **name != "DATABASE_PASSWORD_FILE")
        .map(|name| format!(".env.example does not have {name}"))
        .collect();
    let of_compose_itself = ["COMPOSE_PROFILES", "COMPOSE_FILE"];
    let unread = named.difference(&read_by_compose).filter(|name| !of_compose_itself.contains(name));
    broken.extend(
        unread.map(|name| format!(".env.example has {name}, which docker-compose.yml does not read")),
    );
    report(&broken);
}

#[test]
fn documented_metrics_exist() {
    let code = product_sources();
    let mut broken = Vec::new();
    for document in files(".md") {
        let text = read(&document);
        for name in words(&text).filter(|word| word.starts_with("landfall_")) {
            let base = name
                .trim_end_matches("_info")
                .trim_end_matches("_bucket")
                .trim_end_matches("_sum")
                .trim_end_matches("_count");
            let is_table_volume_or_role =
                ["landfall_migrations", "landfall_files", "landfall_reader"].contains(&name);
            if !is_table_volume_or_role && !code.contains(&format!("\"{base}\"")) {
                broken.push(format!("{}: there is no metric {name}", document.display()));
            }
        }
    }
    report(&broken);
}

/// The column "log" of `docs/health.md` quotes messages.
#[test]
fn documented_log_messages_exist() {
    let code = product_sources();
    let page = read(Path::new("docs/health.md"));
    let cells = page.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.split('|').nth(6));
    let messages: Vec<&str> = cells.flat_map(code_spans).filter(|span| span.contains(' ')).collect();
    assert!(messages.len() >= 5, "{messages:?}");
    let missing = messages.iter().filter(|message| !code.contains(**message));
    report(
        &missing.map(|message| format!("docs/health.md: no program logs {message:?}")).collect::<Vec<_>>(),
    );
}

#[test]
fn documented_redis_keys_exist() {
    let keys = read(Path::new("crates/queue/src/keys.rs"));
    let mut broken = Vec::new();
    for document in files(".md") {
        for rest in read(&document).split("{landfall}:").skip(1) {
            let name = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
            if !name.is_empty()
                && !keys.contains(&format!(":{name}"))
                && !keys.contains(&format!("\"{name}\""))
            {
                broken.push(format!("{}: there is no key {{landfall}}:{name}", document.display()));
            }
        }
    }
    report(&broken);
}

/// The table of conformance names the clients that `scripts/conformance` runs.
#[test]
fn the_conformance_page_has_the_pinned_versions() {
    let page = read(Path::new("docs/conformance.md"));
    let pinned = read(Path::new("conformance/requirements.txt"));
    let python = ["openai", "standardwebhooks"].map(|name| {
        pinned.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("==")).unwrap().to_owned()
    });
    let node: serde_json::Value = serde_json::from_str(&read(Path::new("conformance/package.json"))).unwrap();
    let versions = python.into_iter().chain(node["dependencies"]["openai"].as_str().map(str::to_owned));
    for version in versions {
        assert!(page.split_whitespace().any(|word| word == version), "docs/conformance.md lacks {version}");
    }
}

/// In ARCHITECTURE.md `name()` is a function, `Type::name()` one of a type or module, `Type` a type.
#[test]
fn the_architecture_names_functions_and_types_that_exist() {
    let code: Vec<(PathBuf, String)> = files(".rs")
        .into_iter()
        .filter(|file| is_product(file))
        .map(|file| (file.clone(), product_code(&file)))
        .collect();
    let exists = |name: &str| match (name.strip_suffix("()"), name.split_once("::")) {
        (Some(call), Some((of, _))) => {
            let function = call.rsplit("::").next().unwrap();
            code.iter().any(|(file, text)| has_function(text, function) && belongs_to(file, text, of))
        }
        (Some(call), None) => code.iter().any(|(_, text)| has_function(text, call)),
        (None, _) => code.iter().any(|(_, text)| defines(text, name)),
    };
    let is_name = |span: &str| {
        let call = span.strip_suffix("()");
        let is_type = span.starts_with(|c: char| c.is_ascii_uppercase())
            && span.contains(|c: char| c.is_ascii_lowercase());
        (call.is_some() || is_type)
            && call.unwrap_or(span).chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    let page = read(Path::new("ARCHITECTURE.md"));
    let names: BTreeSet<&str> = code_spans(&page).filter(|span| is_name(span)).collect();
    assert!(names.len() > 30, "few names were found: {names:?}");
    let missing = names.iter().filter(|name| !exists(name));
    report(&missing.map(|name| format!("ARCHITECTURE.md: {name} is not in the code")).collect::<Vec<_>>());
}

fn has_function(code: &str, name: &str) -> bool {
    code.contains(&format!("fn {name}(")) || code.contains(&format!("fn {name}<"))
}

fn defines(code: &str, name: &str) -> bool {
    ["struct", "enum", "trait", "type"].iter().any(|kind| has_word(code, &format!("{kind} {name}")))
}

/// Whether a file has methods of this type, or is this module.
fn belongs_to(file: &Path, code: &str, of: &str) -> bool {
    let is_module = file.file_stem().is_some_and(|stem| stem == of);
    is_module || code.lines().any(|line| line.starts_with("impl") && has_word(line, of))
}

fn has_word(text: &str, word: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| !goes_on(&text[at + word.len()..]))
}

/// Commands of `scripts/` and of Docker Compose in code blocks: the script has the flag, the file has the service.
#[test]
fn documented_scripts_and_services_exist() {
    let compose = read(Path::new("docker-compose.yml"));
    let mut broken = Vec::new();
    for document in files(".md") {
        for line in blocks(&read(&document)).iter().flat_map(|block| block.lines()) {
            let command = line.split(" # ").next().unwrap();
            let mut words = command.split_whitespace();
            match words.next() {
                Some(script) if script.starts_with("scripts/") => {
                    let text = std::fs::read_to_string(root().join(script)).unwrap_or_default();
                    let flags = words.filter(|word| word.starts_with("--"));
                    let bad = flags.filter(|flag| !text.contains(*flag) && !passes_flags_on(script));
                    broken.extend(bad.map(|flag| format!("{}: {script} has no {flag}", document.display())));
                }
                Some("docker") => {
                    for service in services(command) {
                        if !compose.contains(&format!("\n  {service}:\n")) {
                            broken.push(format!(
                                "{}: there is no service {service}: {line}",
                                document.display()
                            ));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    report(&broken);
}

/// A program or `cargo test` reads them.
fn passes_flags_on(script: &str) -> bool {
    ["scripts/bench", "scripts/chaos", "scripts/test"].contains(&script)
}

/// The services that a command of Docker Compose names.
fn services(command: &str) -> Vec<&str> {
    let words: Vec<&str> = command.split([' ', '(', ')', ';']).filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if *word == "--scale" {
            found.extend(words.get(index + 1).and_then(|scale| scale.split('=').next()));
        }
        if ["run", "exec", "ps", "logs", "restart", "stop"].contains(word) && words.contains(&"compose") {
            let with_value = ["--user", "-v", "--entrypoint"];
            let mut rest = words[index + 1..].iter();
            while let Some(next) = rest.next() {
                if with_value.contains(next) {
                    rest.next();
                } else if !next.starts_with('-') {
                    found.push(next);
                    break;
                }
            }
        }
    }
    found
}

/// The environment variables that the programs read, and whether `--help` hides them.
fn settings_of_programs() -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    let programs = ["crates/ingest", "crates/worker", "crates/console", "crates/cli", "crates/service"];
    let is_of_one =
        |file: &PathBuf| is_product(file) && programs.iter().any(|folder| file.starts_with(folder));
    for file in files(".rs").into_iter().filter(is_of_one) {
        for line in product_code(&file).lines() {
            if let Some(name) = line.split("env = \"").nth(1).and_then(|rest| rest.split('"').next()) {
                found.insert((name.to_owned(), line.contains("hide = true")));
            }
        }
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        found.insert((name.to_owned(), false));
    }
    found
}

/// Upper-case names that are no settings of our programs: of Compose, scripts, and other people's software.
fn elsewhere() -> BTreeSet<String> {
    let compose = [".env.example", "docker-compose.yml", "config/targets.env.example"];
    let mut texts: String = compose.iter().map(|file| read(Path::new(file))).collect();
    texts.extend(files("").iter().filter(|file| file.starts_with("scripts")).map(|file| read(file)));
    let mut names: BTreeSet<String> = words(&texts).filter_map(setting_name).map(str::to_owned).collect();
    // Constants of the code.
    names.extend(words(&product_sources()).filter_map(setting_name).map(str::to_owned));
    // Examples, and settings of n8n.
    names.extend(["APP_SECRET_OLD", "N8N_PAYLOAD_SIZE_MAX", "BATCH_ID"].map(str::to_owned));
    names
}

/// `SOME_NAME`, also with a value behind it.
fn setting_name(span: &str) -> Option<&str> {
    let name = span.split('=').next().unwrap();
    let is_one = name.contains('_')
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_one.then_some(name)
}

fn is_product(file: &Path) -> bool {
    file.starts_with("crates") && file.iter().any(|part| part == "src")
}

fn product_sources() -> String {
    files(".rs").iter().filter(|file| is_product(file)).map(|file| product_code(file)).collect()
}

/// As GitHub makes them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let headings = text.lines().filter(|line| {
        in_block ^= line.starts_with("```");
        !in_block && line.starts_with('#')
    });
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// What stands between the fences of code blocks.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            match current.take() {
                Some(block) => blocks.push(block),
                None => current = Some(String::new()),
            }
        } else if let Some(block) = &mut current {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path {
        if part == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}
