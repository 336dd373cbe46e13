//! One conformance suite: what a store promises, whatever the database. Each function takes a fixture of its own, and
//! `on_both!` runs all of them on either database, and on PostgreSQL through a pooler. What only concerns one of them is in the file of its name.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod batches;
mod bucket_answers;
mod events;
mod files;
mod fixture;
mod health;
mod notifications;
mod objects;
mod pgbouncer;
mod postgres;
mod prune;
mod reading;
mod readme;
mod repair;
mod replace;
mod samples;
mod schema;
mod sqlite;
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
    events::a_stored_event_is_never_turned_back,
    events::an_event_with_nothing_to_fetch_is_kept_in_one_step_and_only_once,
    events::a_dead_event_can_still_be_stored,
    events::odd_bodies_come_back_byte_for_byte,
    events::a_long_error_is_cut,
    events::attempts_are_kept_unless_the_first_one_stores_the_event,
    events::of_many_attempts_the_first_10_and_the_last_50_are_kept,
    objects::the_same_object_again_leaves_every_table_as_it_was,
    objects::an_older_fetch_arriving_later_changes_nothing,
    objects::what_an_event_held_never_replaces_what_was_fetched,
    objects::a_non_terminal_object_never_replaces_a_terminal_one,
    objects::any_order_of_states_ends_in_the_same_row,
    objects::the_event_is_completed_even_when_the_object_is_older,
    objects::u0000_is_kept_in_raw_and_replaced_in_text,
    objects::projects_do_not_mix,
    objects::a_repeated_step_keeps_what_an_empty_cell_would_erase,
    batches::five_thousand_rows_go_in_by_chunks_and_come_out_by_pages,
    batches::results_are_found_by_status_and_custom_id,
    batches::two_workers_racing_on_a_batch_store_each_line_once,
    batches::a_worker_that_died_in_the_middle_is_taken_up_where_it_was,
    batches::a_chunk_out_of_step_is_refused,
    batches::lines_no_json_column_holds_are_kept_as_bytes_and_counted,
    batches::a_repeated_custom_id_survives,
    batches::a_batch_that_names_another_file_starts_that_file_over,
    batches::complete_stays_complete,
    batches::an_import_under_way_is_listed_until_its_end,
    batches::rows_are_held_against_the_requests,
    batches::an_expired_file_marks_the_batch_and_a_second_run_changes_nothing,
    health::a_write_is_tried_and_leaves_nothing,
    health::the_newest_objects_are_told_with_why_they_are_not_there,
    notifications::what_is_stored_and_what_is_told_are_one,
    notifications::what_was_told_is_not_told_again,
    notifications::a_dead_event_is_told_with_its_row,
    notifications::one_worker_at_a_time_and_a_dead_one_is_replaced,
    notifications::attempts_are_logged_and_scheduled,
    notifications::urgent_ones_and_other_targets_have_their_own_way,
    notifications::all_workers_together_keep_to_a_targets_rate,
    notifications::a_target_that_fails_keeps_its_queue_and_one_attempt_tells_when_it_is_back,
    notifications::a_paused_or_disabled_target_keeps_its_queue_until_it_is_resumed,
    reading::events_are_listed_newest_first_by_filter,
    reading::events_are_counted_by_family_and_state,
    reading::an_id_leads_to_its_rows,
    reading::records_are_json_with_their_json_nested,
    reading::views_show_results_and_what_is_missing,
    reading::views_show_a_batchs_texts_and_errors,
    reading::odd_bodies_do_not_break_the_views,
    reading::embeddings_are_counted_not_shown,
    prune::what_is_old_goes_with_its_files_and_what_is_wanted_stays,
    prune::a_prune_that_is_interrupted_leaves_a_batch_that_can_be_imported_again_or_pruned,
    prune::each_family_is_pruned_alone,
    readme::its_sql_answers_what_it_says,
    repair::events_come_in_the_order_workers_saw_them_page_by_page,
    repair::events_are_read_by_name_and_those_that_may_change_by_family,
    repair::what_was_not_fetched_is_found_with_its_events,
    repair::the_progress_of_an_object_is_told_without_reading_it,
    repair::a_replay_that_brings_the_object_takes_the_reason_back,
    reading::lines_without_an_answer_are_among_the_errors,
    replace::another_content_takes_the_place_of_the_old_one_in_one_step,
    replace::what_is_not_committed_or_not_better_changes_nothing,
    replace::an_import_under_way_is_waited_for_and_goes_on_behind,
    replace::batches_whose_rows_are_not_one_a_request_are_missing_until_they_are_confirmed,
    reading::names_of_another_version_are_read_as_they_are,
    schema::an_older_version_runs_on_a_newer_schema,
    schema::many_workers_starting_at_once_make_one_schema,
    transfer::all_rows_move_into_either_database_and_back,
    transfer::an_import_is_all_or_nothing_and_deletes_only_when_told,
    transfer::an_export_has_every_column_of_every_table,
    upgrade::a_former_schema_is_brought_up_to_date_with_a_former_worker_running,
    upgrade::a_former_schema_is_told_apart_from_none,
    upgrade::another_applications_migrations_are_left_alone,
    upgrade::many_workers_bring_a_former_schema_up_to_date_at_once,
    values::a_custom_id_of_any_length_is_stored_and_found,
    values::an_object_id_of_any_length_leaves_all_its_rows,
    values::json_nested_to_any_depth_is_kept_and_costs_no_other_row,
    values::deep_rows_of_a_former_version_do_not_break_the_views,
    values::ids_of_any_length_are_imported,
    values::a_line_that_the_database_refuses_costs_no_other_line_its_row,
    values::a_value_that_the_database_refuses_is_final_and_named,
]);
