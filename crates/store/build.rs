//! Rebuilds the crate when a migration is added: the macro that embeds migrations tracks only known files.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
