//! Lookups by an id without its project: along the primary key, which begins with the project.

/// A condition that every row of the table fulfils, and that makes its primary key usable: its projects are found with
/// one index lookup each.
pub(super) fn in_any(table: &str) -> String {
    format!(
        "project IN (WITH RECURSIVE known (project) AS (SELECT min(project) FROM {table} UNION ALL \
         SELECT (SELECT min(project) FROM {table} WHERE project > known.project) FROM known \
         WHERE known.project IS NOT NULL) SELECT project FROM known)"
    )
}
