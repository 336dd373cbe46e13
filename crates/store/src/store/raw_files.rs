//! [`Store`]: raw files whose content is replaced.

use super::Store;
use crate::batch::NewContent;
use crate::error::StoreError;
use crate::file_replacement::FileReplacement;
use crate::files::{FileRecord, Files};
use crate::tables;

/// Raw files.
impl Store {
    /// The row of an object's file, when it is stored.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn file_of(
        &self,
        project: &str,
        object_id: &str,
        file_id: &str,
    ) -> Result<Option<FileRecord>, StoreError> {
        let file = tables::files::of_object(&self.database, project, object_id, file_id).await;
        file.map_err(StoreError::database("read a file's row"))
    }

    /// Begins to put other rows in the place of those of a batch's file.
    pub fn replace_file(&self, content: NewContent) -> FileReplacement {
        FileReplacement::begin(self.clone(), content)
    }

    /// After a file was replaced by one at another location: takes the old one away, and gives the new one its place. At
    /// any moment the file's row names bytes that are whole; where it ends half way, the new file stays where it is.
    ///
    /// # Errors
    /// When the files or the database cannot be written.
    pub async fn bring_home(&self, file: &FileRecord, old_location: Option<&str>) -> Result<(), StoreError> {
        let home = Files::location(&file.project, &file.object_id, &file.file_id);
        // As copying replaces it, there is never no file of this name.
        let copied = self.files.copy(&file.location, &home).await;
        if let Some(old) = old_location.filter(|old| copied.is_err() || *old != home) {
            self.files.remove(old).await?;
        }
        copied?;
        let moved = tables::files::relocate(&self.database, file, &home).await;
        moved.map_err(StoreError::database("store a file's row"))?;
        self.files.remove(&file.location).await
    }
}
