//! A really full disk, on a small temporary file system: written data is kept, and the rest follows once there is space.
//! If a file system cannot be mounted (this needs root), the test prints that to stderr and is skipped.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use test_support::wait;
use webhook::Family;

use crate::harness::{Database, Landfall};
use crate::imported::assert_whole;

const LINES: usize = 20_000;
const DISK_BYTES: u64 = 96 << 20;

/// A file system in memory, removed at the end of the test.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_BYTES}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        match mount {
            Ok(mount) if mount.status.success() => Some(Self { folder }),
            refused => {
                // Bypasses the capture of test output, which is hidden when the test succeeds.
                let mut stderr = std::io::stderr();
                writeln!(
                    stderr,
                    "\n*** SKIPPED: this test needs permission to mount a file system: {refused:?} ***\n"
                )
                .unwrap();
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills the disk with a file. Remove the file to free the space.
    pub(crate) fn fill(&self) -> std::path::PathBuf {
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for bytes in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: an exiting process may still have a file open.
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}

async fn a_disk_that_fills_up_in_the_middle_of_a_batch_costs_no_row_and_no_byte(database: Database) {
    let Some(disk) = SmallDisk::mount() else { return };
    let database = match database {
        // On the same disk, so that SQLite's writes fail as well.
        Database::Sqlite => Database::At(format!("sqlite://{}/landfall.db", disk.path().display())),
        other => other,
    };
    let files = disk.path().join("files");
    let settings = [("FILES_URL", files.to_str().unwrap()), ("MIN_FREE_BYTES", "1KiB")];
    let mut landfall = Landfall::start_on_with(database, 1, &settings).await;
    let store = landfall.store().await;
    landfall.fake.add_generated_batch_of("batch_big", LINES as u64, 1000);
    landfall.send("batch.completed", "batch_big").await;
    let rows = async || {
        let progress = store.fetch_progress("default", Family::Batch, "batch_big").await.unwrap()?;
        progress.rows.map(|(rows, _)| rows).filter(|rows| *rows > 0)
    };
    let stored = wait::until("the first rows", rows).await;
    let ballast = disk.fill();
    assert!(stored < i64::try_from(LINES).unwrap(), "the disk was filled too late to test anything");
    let full = async || {
        let log = landfall.workers[0].log();
        log.iter().any(|line| line.contains("disk is full") || line.contains("No space left")).then_some(())
    };
    wait::until("the worker to report the full disk", full).await;
    std::fs::remove_file(ballast).unwrap();
    landfall.settled().await;
    assert_whole(&landfall, "batch_big", LINES).await;
    landfall.workers.clear();
}

on_both_databases!(a_disk_that_fills_up_in_the_middle_of_a_batch_costs_no_row_and_no_byte);
