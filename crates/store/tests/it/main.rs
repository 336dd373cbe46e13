//! One conformance suite: the contract of a store on any database. Each function takes its own fixture, and `on_both!`
//! runs all of them on both databases, and on PostgreSQL through a pooler. Tests of a single database are in the file
//! with its name.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod batch_search;
mod batches;
mod bucket_answers;
mod calls;
mod documents;
mod event_times;
mod events;
mod files;
mod finished;
mod fixture;
mod health;
mod notifications;
mod object_progress;
mod objects;
mod pages;
mod parts;
mod pgbouncer;
mod postgres;
mod prune;
mod reading;
mod repair;
mod replace;
mod response_files;
mod samples;
mod schema;
mod sqlite;
mod tokens;
mod transfer;
mod upgrade;
mod values;

macro_rules! conformance {
    ($database:ident, [$($module:ident::$test:ident,)+]) => {
        mod $database {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    crate::$module::$test(crate::fixture::Fixture::$database().await).await;
                }
            )+
        }
    };
}

macro_rules! on_both {
    ($tests:tt) => {
        conformance!(on_sqlite, $tests);
        conformance!(on_postgres, $tests);
        conformance!(through_pgbouncer, $tests);
    };
}

on_both!([
    events::the_first_delivery_inserts_and_later_ones_count_attempts,
    events::a_stored_event_never_changes_its_state,
    events::an_event_without_an_object_is_stored_once_in_one_transaction,
    finished::finished_events_are_stored_together_and_a_second_run_changes_nothing,
    finished::a_group_has_events_at_any_attempt,
    finished::a_group_with_a_value_that_the_database_rejects_leaves_nothing,
    events::a_dead_event_can_still_be_stored,
    events::odd_bodies_are_read_byte_for_byte,
    events::a_long_error_is_truncated,
    events::attempts_are_recorded_unless_the_first_one_stores_the_event,
    events::the_first_10_and_the_last_50_attempts_are_kept,
    object_progress::the_progress_of_many_objects_is_read_at_once,
    object_progress::a_session_is_complete_when_its_newest_turn_has_ended,
    object_progress::a_response_is_incomplete_while_its_files_are_pending,
    objects::the_same_object_again_leaves_every_table_as_it_was,
    objects::an_older_fetch_arriving_later_changes_nothing,
    objects::an_embedded_object_never_replaces_a_fetched_one,
    objects::the_explanation_of_an_alert_outlives_its_copy_at_openai,
    objects::a_session_follows_the_later_fetch_and_its_turns_only_get_better,
    objects::a_non_terminal_object_never_replaces_a_terminal_one,
    objects::any_order_of_states_ends_in_the_same_row,
    objects::the_event_is_completed_even_when_the_object_is_older,
    objects::u0000_is_kept_in_raw_and_replaced_in_text,
    objects::projects_do_not_mix,
    objects::an_empty_cell_of_a_repeated_step_erases_nothing,
    batches::five_thousand_rows_are_stored_in_chunks_and_read_in_pages,
    batches::results_are_found_by_status_and_custom_id,
    batch_search::a_search_goes_on_where_the_last_one_ended,
    batch_search::errors_of_a_batch_are_counted_by_cause,
    batch_search::a_body_too_long_to_show_is_left_out,
    batches::two_workers_racing_on_a_batch_store_each_line_once,
    batches::an_import_of_a_crashed_worker_is_resumed,
    batches::a_chunk_at_the_wrong_line_is_rejected,
    batches::lines_no_json_column_holds_are_stored_as_bytes_and_counted,
    batches::a_repeated_custom_id_survives,
    batches::a_batch_with_a_new_file_id_restarts_the_import_of_that_file,
    batches::complete_stays_complete,
    batches::an_import_in_progress_is_listed_until_it_ends,
    batches::rows_are_compared_with_the_request_count,
    batches::an_expired_file_marks_the_batch_and_a_second_run_changes_nothing,
    event_times::events_are_counted_by_when_they_were_received,
    event_times::the_lags_of_stored_events_are_sampled,
    health::the_write_check_leaves_no_rows,
    health::the_newest_objects_are_listed_with_the_reason_they_are_incomplete,
    calls::what_was_sent_before_its_row_is_written_as_it_ended,
    calls::a_row_that_waits_is_delivered_by_whoever_sent_it_early,
    calls::failures_of_early_attempts_open_the_breaker,
    calls::a_notification_that_expires_is_given_up_as_too_late,
    notifications::a_result_and_its_notification_are_written_in_one_transaction,
    notifications::a_notification_is_written_only_once,
    notifications::a_dead_event_and_its_notification_are_written_together,
    notifications::one_worker_at_a_time_leases_a_notification_until_its_lease_expires,
    notifications::attempts_are_logged_and_scheduled,
    notifications::urgent_notifications_and_other_targets_are_independent,
    notifications::all_workers_together_respect_the_rate_of_a_target,
    notifications::a_failing_target_keeps_its_queue_and_is_probed,
    notifications::a_paused_or_disabled_target_keeps_its_queue_until_it_is_resumed,
    notifications::counts_and_last_answers_are_of_the_newest_notifications,
    pages::pages_of_events_follow_each_other_while_more_arrive,
    pages::pages_of_objects_follow_each_other_in_every_list,
    pages::pages_of_notifications_follow_each_other,
    pages::a_store_for_reading_ends_slow_reads_and_refuses_writes,
    tokens::a_token_is_valid_until_it_is_revoked_and_its_name_is_used_once,
    reading::events_are_listed_newest_first_by_filter,
    reading::events_are_counted_by_family_and_state,
    reading::rows_are_found_by_id,
    reading::records_are_json_with_their_json_nested,
    reading::views_show_results_and_what_is_missing,
    reading::views_show_a_batchs_texts_and_errors,
    reading::odd_bodies_do_not_break_the_views,
    reading::embeddings_are_counted_not_shown,
    prune::old_rows_and_files_are_pruned_and_those_in_use_are_kept,
    prune::an_interrupted_prune_leaves_a_batch_that_can_be_imported_again_or_pruned,
    prune::each_family_is_pruned_alone,
    prune::a_step_of_prune_deletes_at_most_5000_rows,
    prune::other_writers_get_in_between_the_steps_of_prune,
    documents::the_sql_returns_what_the_documents_say,
    documents::the_tables_page_has_every_column,
    repair::events_come_in_the_order_workers_saw_them_page_by_page,
    repair::events_are_read_by_name_and_those_that_may_change_by_family,
    repair::unfetched_objects_are_found_with_their_events,
    repair::the_fetch_progress_of_an_object_is_read_alone,
    repair::a_replay_that_completes_the_object_clears_the_reason,
    reading::lines_without_an_answer_are_among_the_errors,
    replace::new_content_replaces_the_old_one_in_one_transaction,
    replace::an_uncommitted_or_worse_replacement_changes_nothing,
    replace::a_replacement_waits_for_an_import_which_then_continues,
    replace::mismatched_batches_are_unfetched_until_confirmed,
    reading::unknown_names_of_another_version_are_preserved,
    parts::the_lists_of_a_job_are_stored_once_and_stay_stored,
    parts::odd_values_of_a_checkpoint_are_stored,
    parts::a_result_joins_its_request,
    parts::a_request_that_no_json_column_holds_is_stored_as_bytes,
    parts::parts_are_pruned_with_their_object,
    parts::a_half_pruned_input_file_is_not_taken_for_a_whole_one,
    response_files::a_response_keeps_the_states_of_its_files,
    response_files::files_that_could_not_be_fetched_are_pending_again_on_request,
    schema::an_older_version_runs_on_a_newer_schema,
    schema::many_workers_starting_at_once_create_one_schema,
    transfer::all_rows_move_into_either_database_and_back,
    transfer::an_import_is_all_or_nothing_and_deletes_only_with_replace,
    transfer::an_export_has_every_column_of_every_table,
    transfer::the_key_of_sessions_is_random_and_stays_in_its_database,
    upgrade::an_old_schema_is_migrated_while_an_old_worker_runs,
    upgrade::an_old_schema_is_distinguished_from_none,
    upgrade::migrations_of_another_application_are_not_touched,
    upgrade::many_workers_migrate_an_old_schema_at_once,
    values::a_custom_id_of_any_length_is_stored_and_found,
    values::an_object_id_of_any_length_leaves_all_its_rows,
    values::json_nested_to_any_depth_is_stored_and_affects_no_other_row,
    values::deep_rows_of_an_old_version_do_not_break_the_views,
    values::ids_of_any_length_are_imported,
    values::a_line_that_the_database_rejects_affects_no_other_line,
    values::a_value_that_the_database_rejects_is_a_permanent_error_with_its_cause,
]);
