//! Checks whether a database without our tables can hold them. Works through a pooler, too: statements are unnamed.

use sqlx::{AssertSqlSafe, PgConnection, Row as _, raw_sql};

use crate::obstacle::Obstacle;
use crate::schema;

pub(super) async fn find(connection: &mut PgConnection) -> sqlx::Result<Option<Obstacle>> {
    let names: Vec<String> = schema::table_names().map(|name| format!("'{name}'")).collect();
    let ask = format!(
        "SELECT current_user::text AS role, current_schema()::text AS schema, \
         coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may_create, \
         coalesce((SELECT string_agg(relname::text, ',' ORDER BY relname) FROM pg_class \
             WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname IN ({})), '') AS taken",
        names.join(", ")
    );
    let row = raw_sql(AssertSqlSafe(ask)).fetch_one(connection).await?;
    let Some(schema) = row.try_get::<Option<String>, _>("schema")? else {
        return Ok(Some(Obstacle::NoSchema));
    };
    let taken: String = row.try_get("taken")?;
    if !taken.is_empty() {
        let tables = taken.split(',').map(str::to_owned).collect();
        return Ok(Some(Obstacle::NamesTaken { tables }));
    }
    if !row.try_get::<bool, _>("may_create")? {
        return Ok(Some(Obstacle::MayNotCreate { role: row.try_get("role")?, schema }));
    }
    Ok(None)
}
