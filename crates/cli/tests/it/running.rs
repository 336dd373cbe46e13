//! A verb that runs until Ctrl-C, and its output so far.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use test_support::wait;

use crate::command::command;
use crate::filled::Filled;

/// A running `landfall` and its output.
pub(crate) struct Running {
    child: Child,
    lines: Lines,
    said: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

fn keep(output: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            kept.lock().unwrap().push(line.unwrap());
        }
    });
    lines
}

impl Running {
    pub(crate) fn start(filled: &Filled, arguments: &[&str]) -> Self {
        let settings = filled.settings();
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut child =
            command(&settings).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, said) = (keep(child.stdout.take().unwrap()), keep(child.stderr.take().unwrap()));
        Self { child, lines, said }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) async fn wait_for(&self, words: &str) -> String {
        let found = async || self.lines().into_iter().find(|line| line.contains(words));
        wait::until(&format!("a line with {words:?} in {:?}", self.lines()), found).await
    }

    /// Waits for a line on stderr.
    pub(crate) async fn wait_until_said(&self, words: &str) -> String {
        let found = async || self.said.lock().unwrap().iter().find(|line| line.contains(words)).cloned();
        wait::until(&format!("{words:?} on stderr"), found).await
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> (i32, Vec<String>) {
        let status = wait::until_blocking("the end of the command", || self.child.try_wait().unwrap());
        // Its last lines may still be on their way.
        let mut lines = self.lines();
        wait::until_blocking("its output", || {
            let before = std::mem::replace(&mut lines, self.lines());
            (Arc::strong_count(&self.lines) == 1 && before == lines).then_some(())
        });
        (status.code().unwrap(), lines)
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> (i32, Vec<String>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let code = self.child.wait().unwrap().code().unwrap();
        (code, self.lines())
    }
}
