//! On a machine that it shares, ingest lets whoever runs finish.

use crate::harness::Landfall;

/// sched(7)
const SCHED_OTHER: &str = "0";
const SCHED_BATCH: &str = "3";

/// A thread's name, niceness and scheduling policy (proc_pid_stat(5)).
fn thread(stat: &str) -> (String, String, String) {
    let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
    // The third field of the line is the first of the rest.
    let field = |number: usize| rest.split_whitespace().nth(number - 3).unwrap().to_owned();
    (name.to_owned(), field(19), field(41))
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_receive_do_not_push_others_aside() {
    let (_, own_niceness, _) = thread(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let landfall = Landfall::start_with(0, &[]).await;
    let mut receiving = 0;
    for entry in std::fs::read_dir(format!("/proc/{}/task", landfall.ingest.pid())).unwrap() {
        let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).unwrap();
        let (name, niceness, policy) = thread(&stat);
        assert_eq!(niceness, own_niceness, "{name}");
        if name.starts_with("actix-server wo") {
            receiving += 1;
            // A niceness is somebody's decision: then all is left as it was.
            assert_eq!(policy, if own_niceness == "0" { SCHED_BATCH } else { SCHED_OTHER }, "{name}");
        }
    }
    assert!(receiving >= 1);
}
