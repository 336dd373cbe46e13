//! [`Store`]: retention.

use webhook::Family;

use super::Store;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::files::Files;
use crate::prune::{Pruned, Retention};
use crate::tables::prune::{self, Candidate, Objects};

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::database("prune")(source)
}

/// Retention.
impl Store {
    /// What [`Store::prune`] would take away.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn prunable(&self, retention: &Retention) -> Result<Pruned, StoreError> {
        let mut pruned = match Objects::of(retention.family) {
            Some(objects) => objects.count(&self.database, retention).await.map_err(failed)?,
            None => Pruned::default(),
        };
        (pruned.events, pruned.notifications) =
            prune::count_events(&self.database, retention).await.map_err(failed)?;
        Ok(pruned)
    }

    /// Takes what is old away, files and rows together, in small transactions; `went` is told what each of them took.
    /// Whoever drops this before it ends, or is killed, leaves nothing that the next run would not find.
    ///
    /// # Errors
    /// When the database or the place of the files cannot be written.
    pub async fn prune(
        &self,
        retention: &Retention,
        mut went: impl FnMut(&Pruned),
    ) -> Result<(), StoreError> {
        if let Some(objects) = Objects::of(retention.family) {
            let mut after = Candidate::default();
            loop {
                let found = objects.candidates(&self.database, retention, &after).await.map_err(failed)?;
                for object in &found {
                    loop {
                        let step = self.prune_object(objects, object, retention).await?;
                        went(&step);
                        // Nothing: it is wanted again.
                        if step.objects > 0 || step.is_nothing() {
                            break;
                        }
                    }
                }
                match found.into_iter().next_back() {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        loop {
            let (events, notifications) =
                prune::delete_events(&self.database, retention).await.map_err(failed)?;
            if events == 0 {
                return Ok(());
            }
            went(&Pruned { events, notifications, ..Pruned::default() });
        }
    }

    /// The object, or of a batch some of its lines as long as it has any.
    async fn prune_object(
        &self,
        objects: Objects,
        object: &Candidate,
        retention: &Retention,
    ) -> Result<Pruned, StoreError> {
        let mut transaction = self.database.begin().await.map_err(failed)?;
        let mut pruned = Pruned::default();
        if !objects.lock(&mut transaction, object, retention).await.map_err(failed)? {
            return Ok(pruned);
        }
        if retention.family == Family::Batch {
            pruned.results = prune::delete_results(&mut transaction, object).await.map_err(failed)?;
        }
        if pruned.results == 0 {
            self.prune_files(&mut transaction, object, &mut pruned).await?;
            objects.delete(&mut transaction, object).await.map_err(failed)?;
            pruned.objects = 1;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(pruned)
    }

    /// The bytes first: a row without its file is found and removed by the next run, a file without its row by nobody.
    async fn prune_files(
        &self,
        transaction: &mut WriteTransaction,
        object: &Candidate,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        while let Some(file) = prune::next_file(transaction, object).await.map_err(failed)? {
            self.files.remove(&file.location).await?;
            // A worker that died while it replaced the file has left the old one where the new one belongs.
            let home = Files::location(&object.project, &object.id, &file.file_id);
            if file.location != home {
                self.files.remove(&home).await?;
            }
            prune::delete_file(transaction, &object.project, &file.file_id).await.map_err(failed)?;
            pruned.files += 1;
            pruned.file_bytes += file.bytes;
        }
        Ok(())
    }
}
