//! The project's own programs as real processes: found beside the test, started on free ports, killed like crashes.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::wait;

/// The path of a program of this workspace, built in the same profile as the test that asks.
///
/// # Panics
/// When it was not built: `scripts/test` builds all programs first.
pub fn path(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/<profile>/deps");
    let path = folder.join(program);
    assert!(path.exists(), "{} is not built: run cargo build --workspace first", path.display());
    path
}

/// A running program whose log lines (JSON, on stdout or stderr) are kept. Killed when dropped.
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

    /// All log lines so far. A program writes what it says some milliseconds later: [`Program::log_when`] waits for it.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// All log lines, once they are as `complete` wants them.
    ///
    /// # Panics
    /// With the whole log when they never are.
    pub async fn log_when(&self, complete: impl Fn(&[String]) -> bool) -> Vec<String> {
        let started = Instant::now();
        loop {
            let log = self.log();
            if complete(&log) {
                return log;
            }
            assert!(started.elapsed() < wait::DEADLINE, "{} did not say it: {log:#?}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a log line that contains `text`, and returns it.
    ///
    /// # Panics
    /// With the whole log when the line does not come.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        wait::until_blocking(&format!("{text:?} in the log of {}", self.name), || {
            let found = self.log().iter().find(|line| line.contains(text)).cloned();
            if found.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!(
                    "{} ended with {status} before it logged {text:?}:\n{}",
                    self.name,
                    self.log().join("\n")
                );
            }
            found
        })
    }

    /// SIGKILL: no goodbye, as in a crash.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Sends a signal by name, such as `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name} failed");
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the program's end.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until_blocking(&format!("{} to end", self.name), || self.child.try_wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail = &log[log.len().saturating_sub(40)..];
            #[expect(clippy::print_stderr, reason = "a failed test shows what its programs said")]
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
