//! The files of a crate do not depend on each other in circles. The paths in each file (`crate::a::b`, `super::c`,
//! `child::d`, and the names that `use` brings in) make a graph of files; its strongly connected components are the
//! circles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::paths::{self, Import, PathUse};
use super::{files, product_code, report, root};

/// The path of a module in its crate: empty for the root, `["dead", "list"]` for `dead/list.rs`.
type Module = Vec<String>;
/// The files that each file depends on.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_two_files_depend_on_each_other() {
    let circles = crates().into_iter().flat_map(|folder| circles(&Crate::read(&folder).graph()));
    report(
        &circles
            .map(|circle| format!("these files depend on each other: {}", listed(&circle)))
            .collect::<Vec<_>>(),
    );
}

fn listed(circle: &BTreeSet<String>) -> String {
    circle.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The source folders of all crates.
fn crates() -> BTreeSet<PathBuf> {
    let src = |file: PathBuf| {
        let end = file.iter().position(|part| part == "src")?;
        Some(file.iter().take(end + 1).collect::<PathBuf>())
    };
    files(".rs").into_iter().filter(|file| file.starts_with("crates")).filter_map(src).collect()
}

/// The files of one crate and their references to each other.
struct Crate {
    sources: BTreeMap<Module, Source>,
}

/// One file.
struct Source {
    file: String,
    imports: Vec<Import>,
    paths: Vec<PathUse>,
    names: BTreeSet<String>,
}

/// The item that a path refers to.
enum Target {
    /// Not in this crate.
    Outside,
    Module(Module),
    /// An item defined in the file of this module.
    Item(Module),
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let within = |file: &PathBuf| file.starts_with(folder) && !file.starts_with(folder.join("bin"));
        let all: Vec<PathBuf> = files(".rs").into_iter().filter(within).collect();
        let has_library = root().join(folder).join("lib.rs").exists();
        let is_program = |file: &Path| has_library && *file == folder.join("main.rs");
        let texts = all.iter().filter(|file| !is_program(file)).map(|file| {
            (file.strip_prefix(folder).unwrap().to_path_buf(), file.display().to_string(), product_code(file))
        });
        Self::new(texts)
    }

    /// From files, given as path below `src`, name and text.
    fn new(texts: impl Iterator<Item = (PathBuf, String, String)>) -> Self {
        let sources = texts.map(|(path, file, text)| {
            let paths::Paths { imports, paths, names } = paths::of(&text);
            (module(&path), Source { file, imports, paths, names })
        });
        Self { sources: sources.collect() }
    }

    fn graph(&self) -> Graph {
        let needs = self.sources.iter().map(|(module, source)| {
            let targets = self.dependencies_of(module, source).into_iter();
            let files =
                targets.filter(|target| target != module).map(|target| self.sources[&target].file.clone());
            (source.file.clone(), files.collect())
        });
        needs.collect()
    }

    fn dependencies_of(&self, module: &Module, source: &Source) -> BTreeSet<Module> {
        // A re-exported name that is not used here is not a dependency of this file.
        let imports =
            source.imports.iter().filter(|import| !import.is_public || source.names.contains(&import.name));
        let imports = imports.map(|import| import.path.as_slice());
        let all = imports.chain(source.paths.iter().map(Vec::as_slice));
        let item = |path: &[String]| match self.resolve(module, path, 0) {
            Target::Item(owner) => Some(owner),
            Target::Module(_) | Target::Outside => None,
        };
        all.filter_map(item).collect()
    }

    /// Resolves a path in `module`. `depth` stops a re-export of itself.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Target {
        let Some((first, rest)) = path.split_first().filter(|_| depth < 16) else {
            return Target::Outside;
        };
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, depth),
            "self" => self.descend(module.clone(), rest, depth),
            "super" => match module.split_last() {
                Some((_, parent)) if rest.first().is_some_and(|next| next == "super") => {
                    self.resolve(&parent.to_vec(), rest, depth)
                }
                Some((_, parent)) => self.descend(parent.to_vec(), rest, depth),
                None => Target::Outside,
            },
            name => {
                let child: Module = module.iter().chain([first]).cloned().collect();
                if self.sources.contains_key(&child) {
                    return self.descend(child, rest, depth);
                }
                match self.sources[module].imports.iter().find(|import| import.name == name) {
                    Some(import) => match self.resolve(module, &import.path, depth + 1) {
                        Target::Module(module) => self.descend(module, rest, depth),
                        other => other,
                    },
                    None => Target::Outside,
                }
            }
        }
    }

    /// Resolves a path relative to a module, through re-exports, to the module that defines the item.
    fn descend(&self, module: Module, path: &[String], depth: usize) -> Target {
        let Some((first, rest)) = path.split_first() else {
            return Target::Module(module);
        };
        let child: Module = module.iter().chain([first]).cloned().collect();
        if self.sources.contains_key(&child) {
            return self.descend(child, rest, depth);
        }
        let Some(source) = self.sources.get(&module) else {
            return Target::Outside;
        };
        let passed_on = source.imports.iter().find(|import| import.name == *first);
        match passed_on.map(|import| self.resolve(&module, &import.path, depth + 1)) {
            Some(Target::Module(module)) => self.descend(module, rest, depth),
            Some(Target::Item(owner)) => Target::Item(owner),
            Some(Target::Outside) => Target::Outside,
            None => Target::Item(module),
        }
    }
}

/// The module of a path below `src`.
fn module(path: &Path) -> Module {
    let mut module: Module =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module == ["lib"] || module == ["main"] {
        module.clear();
    }
    module
}

/// The strongly connected components with more than one file.
fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|file| (file, reachable(graph, file))).collect();
    let mut circles = Vec::new();
    for (file, ahead) in &reached {
        let circle: BTreeSet<String> =
            ahead.iter().filter(|other| reached[other].contains(*file)).cloned().collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// All files that a file depends on, directly or indirectly.
fn reachable(graph: &Graph, start: &String) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start];
    while let Some(file) = next.pop() {
        for other in &graph[file] {
            if reached.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    reached
}

fn circles_of(texts: &[(&str, &str)]) -> Vec<String> {
    let texts =
        texts.iter().map(|(path, text)| (PathBuf::from(path), (*path).to_owned(), (*text).to_owned()));
    circles(&Crate::new(texts).graph()).iter().map(listed).collect()
}

#[test]
fn a_circle_is_found_through_re_exports_and_children() {
    let found = circles_of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use b::{Second as Two}; pub use c::C;"),
        ("a.rs", "use crate::Two; pub struct First(Two);"),
        ("b.rs", "pub struct Second(Option<super::a::First>); // c::C is only a comment"),
        ("c.rs", "mod part; use part::Part; pub struct C(Part); pub fn count() {}"),
        ("c/part.rs", "use super::super::c; pub struct Part; fn f() { c::count() }"),
        ("d.rs", "use crate::a; fn f(one: a::First) -> String { \"crate::d::x\".into() }"),
    ]);
    assert_eq!(found, ["a.rs, b.rs", "c.rs, c/part.rs"]);
}

#[test]
fn a_re_exporting_parent_and_its_child_are_not_a_circle() {
    let found = circles_of(&[
        ("main.rs", "mod show; fn main() { show::run() }"),
        (
            "show.rs",
            "mod layout; mod event; pub(crate) use layout::Layout; pub(crate) fn run() { event::text() }",
        ),
        (
            "show/event.rs",
            "use super::Layout; use crate::show::layout::{self, Width}; pub fn text() -> Layout { todo() }",
        ),
        ("show/layout.rs", "pub(crate) struct Layout; pub struct Width;"),
    ]);
    assert_eq!(found, Vec::<String>::new());
}
