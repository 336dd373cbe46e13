//! Has the addresses that the loader fills in written the short way (`RELR`): 4 KiB of the program instead of 151, which an
//! idle ingest keeps in memory. Only where the C library of the machine that builds knows that way (glibc from 2.36 on).

use std::path::Path;
use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "what cargo tells a build is no setting")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let builds_for_itself = std::env::var("TARGET") == std::env::var("HOST");
    if builds_for_itself && c_library().is_some_and(|library| knows_relr(&library)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The C library's bytes, from where the linker takes it.
fn c_library() -> Option<Vec<u8>> {
    let said = Command::new("cc").arg("-print-file-name=libc.so.6").output().ok()?;
    let path = String::from_utf8(said.stdout).ok()?;
    std::fs::read(Path::new(path.trim())).ok()
}

/// Whether it has the version by which glibc says so: a program linked that way asks for it when it starts.
fn knows_relr(library: &[u8]) -> bool {
    let version = b"GLIBC_ABI_DT_RELR";
    library.windows(version.len()).any(|bytes| bytes == version)
}
