//! The program `ingest`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ingest::main()
}
