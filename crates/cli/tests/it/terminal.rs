//! Runs the command at a pseudo-terminal, with typed input.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::command;

/// The result of a run, and everything that the terminal showed.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: i32,
    pub(crate) output: String,
}

/// Runs the command to its end with the input `typed`, which the terminal echoes.
pub(crate) fn at_terminal(settings: &[(&str, &str)], arguments: &[&str], typed: &str) -> Shown {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let end = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let mut command = command(settings);
    command.args(arguments).env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().unwrap();
    // Close our copies of the other end, so that reading ends when the command exits.
    drop(command);
    let mut terminal = File::from(terminal);
    terminal.write_all(typed.as_bytes()).unwrap();
    let mut output = Vec::new();
    let mut piece = [0; 4096];
    // Linux returns EIO at the end.
    while let Ok(length @ 1..) = terminal.read(&mut piece) {
        output.extend_from_slice(&piece[..length]);
    }
    let code = child.wait().unwrap().code().unwrap();
    Shown { code, output: String::from_utf8(output).unwrap() }
}

impl Shown {
    /// Asserts the exit code, and that the terminal showed these texts.
    pub(crate) fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for words in words {
            assert!(self.output.contains(words), "{words:?} is missing in {self:#?}");
        }
        self
    }
}
