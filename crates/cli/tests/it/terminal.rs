//! Runs the command at a terminal, as a person does who sees its questions and types answers.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::command;

/// How one run ended, and everything the terminal showed.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) code: i32,
    pub(crate) screen: String,
}

/// Runs the command to its end; `typed` is what the person types. The terminal shows that as well.
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
    // Our copies of the terminal's other end go, so that reading ends with the command.
    drop(command);
    let mut terminal = File::from(terminal);
    terminal.write_all(typed.as_bytes()).unwrap();
    let mut screen = Vec::new();
    let mut piece = [0; 4096];
    // At the end Linux answers with EIO.
    while let Ok(length @ 1..) = terminal.read(&mut piece) {
        screen.extend_from_slice(&piece[..length]);
    }
    let code = child.wait().unwrap().code().unwrap();
    Shown { code, screen: String::from_utf8(screen).unwrap() }
}

impl Shown {
    /// The exit code was this one, and the terminal showed these words.
    pub(crate) fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for words in words {
            assert!(self.screen.contains(words), "{words:?} is missing in {self:#?}");
        }
        self
    }
}
