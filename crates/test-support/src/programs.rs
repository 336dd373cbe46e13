//! The project's programs as real processes, from the same target folder as the test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::wait;

/// Builds all programs together with the tests, so that cargo unifies the features of their dependencies.
const BUILD: &str = "cargo build --workspace --all-targets";

/// The path of a program of this workspace, built with the same profile as the test.
///
/// # Panics
/// If the program is older than its sources: cargo does not build it for the tests of another crate. `scripts/test` builds
/// all programs first.
pub fn path(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test is known");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests are in target/<profile>/deps");
    let path = folder.join(program);
    if let Some(reason) = out_of_date(&path) {
        panic!("{} {reason}: run {BUILD} first", path.display());
    }
    path
}

/// Why the program is out of date. Cargo lists its sources in a `.d` file.
fn out_of_date(program: &Path) -> Option<String> {
    let Ok(built) = program.metadata().and_then(|file| file.modified()) else {
        return Some("is not built".to_owned());
    };
    let list = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let (made, sources) = list.split_once(": ").unwrap_or_default();
    // The target folder may have been copied.
    if !split(made).iter().any(|made| same_file(Path::new(made), program)) {
        return Some("was not built here".to_owned());
    }
    let changed = |source: &String| {
        let modified = Path::new(source).metadata().and_then(|file| file.modified());
        modified.is_err() || modified.is_ok_and(|modified| modified > built)
    };
    let changed = split(sources.trim_end()).into_iter().find(changed)?;
    Some(format!("is older than {changed}"))
}

/// Compares the paths after resolving links.
fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Splits a list of paths, in which cargo escapes blanks.
fn split(list: &str) -> Vec<String> {
    list.replace("\\ ", "\0").split(' ').map(|path| path.replace('\0', " ")).collect()
}

/// A running program and its log lines (JSON, from stdout and stderr). Killed when dropped.
pub struct Program {
    child: Child,
    name: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts a program with a clean environment (only `PATH` is passed on) plus `environment`.
    pub fn start(program: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(path(program));
        command.env_clear().env("PATH", env!("PATH")).env("LOG_FORMAT", "json").env("RUST_BACKTRACE", "1");
        command.envs(environment.iter().copied());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        keep_lines(child.stdout.take().unwrap(), Arc::clone(&log));
        keep_lines(child.stderr.take().unwrap(), Arc::clone(&log));
        Self { child, name: program.to_owned(), log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All log lines so far. Lines arrive with a delay; use [`Program::log_when`] to wait for them.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log satisfies `complete`, and returns it.
    ///
    /// # Panics
    /// On timeout, with the whole log.
    pub async fn log_when(&self, complete: impl Fn(&[String]) -> bool) -> Vec<String> {
        let started = Instant::now();
        loop {
            let log = self.log();
            if complete(&log) {
                return log;
            }
            assert!(
                started.elapsed() < wait::DEADLINE,
                "timed out waiting for the log of {}: {log:#?}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a log line that contains `text`, and returns it.
    ///
    /// # Panics
    /// On timeout, or if the program exits, with the whole log.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        wait::until_blocking(&format!("{text:?} in the log of {}", self.name), || {
            let found = self.log().iter().find(|line| line.contains(text)).cloned();
            if found.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!(
                    "{} exited with {status} before it logged {text:?}:\n{}",
                    self.name,
                    self.log().join("\n")
                );
            }
            found
        })
    }

    /// Kills the program with SIGKILL, like a crash.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Sends a signal by name, such as `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name} failed");
    }

    /// Sends SIGTERM and waits until the program has exited.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until the program has exited.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until_blocking(&format!("{} to exit", self.name), || self.child.try_wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail = &log[log.len().saturating_sub(40)..];
            #[expect(clippy::print_stderr, reason = "a failed test shows the logs of its programs")]
            {
                eprintln!("--- last lines of {}:\n{}", self.name, tail.join("\n"));
            }
        }
    }
}

fn keep_lines(stream: impl std::io::Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.lock().unwrap().push(line);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_program_that_is_older_than_its_sources_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a folder");
        std::fs::create_dir(&folder).unwrap();
        let (program, source, other) = (folder.join("ingest"), folder.join("a.rs"), folder.join("b.rs"));
        let write = |path: &Path, seconds: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::create(path).unwrap().set_modified(at).unwrap();
        };
        assert_eq!(out_of_date(&program).unwrap(), "is not built");
        write(&program, 100);
        write(&source, 99);
        write(&other, 99);
        assert_eq!(out_of_date(&program).unwrap(), "was not built here");
        let escaped = |path: &Path| path.display().to_string().replace(' ', "\\ ");
        let list = format!("{}: {} {}\n", escaped(&program), escaped(&source), escaped(&other));
        std::fs::write(folder.join("ingest.d"), list).unwrap();
        assert_eq!(out_of_date(&program), None);
        write(&other, 101);
        assert_eq!(out_of_date(&program).unwrap(), format!("is older than {}", other.display()));
        std::fs::remove_file(&other).unwrap();
        assert_eq!(out_of_date(&program).unwrap(), format!("is older than {}", other.display()));
    }
}
