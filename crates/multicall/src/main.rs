//! A multicall binary: all programs in one file, so that an image has their shared code once. The name it is called by
//! selects the program.
#![expect(clippy::print_stderr, reason = "the error comes before any program, which would set up a log")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

/// The exit code for usage errors, as in all programs.
const USAGE_ERROR: u8 = 2;

#[derive(Debug, Clone, Copy)]
enum Program {
    Ingest,
    Worker,
    Console,
    Landfall,
    FakeOpenAi,
}

impl Program {
    const ALL: [Self; 5] = [Self::Ingest, Self::Worker, Self::Console, Self::Landfall, Self::FakeOpenAi];

    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Worker => "worker",
            Self::Console => "console",
            Self::Landfall => "landfall",
            Self::FakeOpenAi => "fake-openai",
        }
    }

    fn named(name: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|program| name == program.name())
    }

    fn main(self) -> ExitCode {
        match self {
            Self::Ingest => ingest::main(),
            Self::Worker => worker::main(),
            Self::Console => console::main(),
            Self::Landfall => cli::main(),
            Self::FakeOpenAi => fake_openai::main(),
        }
    }
}

fn main() -> ExitCode {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    match Program::named(name) {
        Some(program) => program.main(),
        None => {
            let names = Program::ALL.map(Program::name).join(", ");
            eprintln!("error: no program is named {name:?}: call this file by a link named {names}");
            ExitCode::from(USAGE_ERROR)
        }
    }
}
