//! The program `fake-openai`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fake_openai::main()
}
