//! What `doctor` finds about the permissions of an API key, with answers in OpenAI's format.

use fake_openai::{Fault, FaultKind};

use crate::harness::Landfall;
use crate::health::{doctor, doctor_reports_no_problem, one_is_wrong};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_found_before_the_first_event_and_an_odd_answer_is_not_taken_for_one() {
    let landfall = Landfall::start().await;
    let permissions = || {
        let (code, findings) = doctor(&landfall, &[]);
        let found = findings.into_iter().filter(|finding| finding["check"] == "permissions");
        (code, found.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    doctor_reports_no_problem(&landfall, &[]).await;
    let all = "responses, batches, files, fine-tuning jobs, models, containers, safety alerts and agents";
    assert_eq!(permissions(), (0, vec![format!("OPENAI_API_KEY may read {all}")]));

    let missing = FaultKind::MissingScopes("api.batch.read".to_owned());
    landfall.fake.inject(Fault::always(missing, "/batches"));
    let words =
        ["may not read batches (401)", "batch.* events", "grant the key the permission api.batch.read"];
    one_is_wrong(&doctor(&landfall, &[]), "permissions", &words);
    landfall.fake.clear_faults();

    landfall.fake.inject(Fault::always(FaultKind::Status(403), "/safety/alerts/"));
    landfall.fake.inject(Fault::always(FaultKind::Status(500), "/agents/"));
    let (code, found) = permissions();
    assert!(code == 0 && found.len() == 3, "{found:#?}");
    assert!(found[0].ends_with("fine-tuning jobs, models and containers"), "{found:#?}");
    assert!(found[1].contains("may not read safety alerts (403)"), "{found:#?}");
    assert!(
        found[2].contains("not known") && found[2].contains("agents: the server answered with status 500")
    );
    landfall.fake.clear_faults();
    doctor_reports_no_problem(&landfall, &[]).await;
}
