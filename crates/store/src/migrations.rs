//! The applied migrations of a database: the table `landfall_migrations`. Up to version 6 they were recorded in
//! `_sqlx_migrations`, the default of every sqlx application, so that table may belong to another one.

use sqlx::migrate::Migrator;

pub(crate) const TABLE: &str = "landfall_migrations";

/// Copies one migration's row from `_sqlx_migrations`, whose rows are never changed: workers of previous versions read
/// them. Another application may have a migration with the same number, but not with the same checksum.
pub(crate) const ADOPT: &str = "
    INSERT INTO landfall_migrations (version, description, installed_on, success, checksum, execution_time)
    SELECT version, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations
    WHERE success AND version = $1 AND checksum = $2
        AND NOT EXISTS (SELECT 1 FROM landfall_migrations WHERE landfall_migrations.version = $1)";

/// The migrations of one dialect, recorded in our own table.
pub(crate) fn prepared(mut migrator: Migrator) -> Migrator {
    migrator.dangerous_set_table_name(TABLE);
    // Migrations of a newer version are not an error: schemas only expand, so this version still works.
    migrator.set_ignore_missing(true);
    // Both dialects take their own lock, which ends with the transaction.
    migrator.set_locking(false);
    migrator
}

/// The schema version this program needs.
pub(crate) fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The newest of our migrations among the rows of `_sqlx_migrations`; 0 if none is ours.
pub(crate) fn newest_of_ours(migrator: &Migrator, rows: &[(i64, Vec<u8>)]) -> i64 {
    let is_ours = |(version, checksum): &&(i64, Vec<u8>)| {
        migrator.iter().any(|ours| ours.version == *version && *ours.checksum == **checksum)
    };
    rows.iter().filter(is_ours).map(|(version, _)| *version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every installation has recorded these checksums. Changing a single character, even in a comment, breaks all of
    /// them.
    const RELEASED: [(&str, i64, &str); 12] = [
        (
            "postgres",
            1,
            "9f5440442203ead7fc250e983858c8a5260fa39b9cdffde4e4a03fd35297bac4c45a8fff49767605ab0f3ccdb4e91f4d",
        ),
        (
            "postgres",
            2,
            "68228a20db02d4ee64c546757f14645893cb1f45c9bfe3167d48fff917a1fa9e14a3df66e6b7777fea11a84754b8c7cb",
        ),
        (
            "postgres",
            3,
            "84f892abd7796c415ad99880e2adebb20bda01e55cea1e4930fe0f5b26886996f7c4f945338745fe79c6723944b6e5dd",
        ),
        (
            "postgres",
            4,
            "49f9e87758e655d9273e758f0b5f854095a2f46bbc2cbbb9c29ea78e5cb932b9a8fedf67c1ab465d42c8ecc7af79660c",
        ),
        (
            "postgres",
            5,
            "ef9e69c651fabc3b38540d4efdcf1548a1905ba694869c98e696d10555721ef34972ba7b5328e31c540d89161ccfa957",
        ),
        (
            "postgres",
            6,
            "b0840ad3829d52e769f72e88370df82925ed94252d8b73c685e445a206d9eebfad96698c554e729b5f6b7732a696a8fd",
        ),
        (
            "sqlite",
            1,
            "2d14a269bb8ff735c10d2f3d29e44c10e18585d04474560bb070fd0881f7e0aed0ebac0e4fa60795ebc048aa0875b3e5",
        ),
        (
            "sqlite",
            2,
            "acde66f16ff22ec3e44b4d0de2f71b7a3b969ae010175c1f7e5c74da52ebdc584287c11a9b8b009adc44d96f31f09b0f",
        ),
        (
            "sqlite",
            3,
            "96ff63110244bdef14d1f8978bf54529705a5699db2d5eabce819c9d51bee2a5891117bedffd8a6418731248852d8b71",
        ),
        (
            "sqlite",
            4,
            "d7305ef5a56de1a532bd4bea33f769650d63d07b95313e90340bb56d4bd16a5f8dd86177921fc8742833835bf84615ad",
        ),
        (
            "sqlite",
            5,
            "a89cb90b517eee5cbd91d42041bf06021b860bd2bfc0facf73705ab6df059913b8d942191c04d82f845d150030ffb465",
        ),
        (
            "sqlite",
            6,
            "b0840ad3829d52e769f72e88370df82925ed94252d8b73c685e445a206d9eebfad96698c554e729b5f6b7732a696a8fd",
        ),
    ];

    #[test]
    fn released_migrations_are_never_edited() {
        let hex = |checksum: &[u8]| checksum.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (dialect, version, checksum) in RELEASED {
            let migrator = match dialect {
                "sqlite" => crate::sqlite::migrator(),
                _ => crate::postgres::migrate::migrator(),
            };
            let found = migrator.iter().find(|migration| migration.version == version).unwrap();
            assert_eq!(
                hex(&found.checksum),
                checksum,
                "{dialect} {version}: put changes into a new migration"
            );
        }
    }

    #[test]
    fn both_dialects_have_the_same_versions() {
        let versions = |migrator: Migrator| migrator.iter().map(|one| one.version).collect::<Vec<_>>();
        assert_eq!(versions(crate::sqlite::migrator()), versions(crate::postgres::migrate::migrator()));
    }

    #[test]
    fn only_a_row_with_our_checksum_is_ours() {
        let migrator = crate::sqlite::migrator();
        let ours = migrator.iter().next().unwrap().checksum.to_vec();
        assert_eq!(newest_of_ours(&migrator, &[(1, ours.clone()), (2, ours.clone()), (20_230_101, ours)]), 1);
        assert_eq!(newest_of_ours(&migrator, &[(1, b"another".to_vec())]), 0);
    }
}
