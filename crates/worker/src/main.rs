//! The program `worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::main()
}
