//! One answer for all who waited for the same object: it is read from the database and written as JSON once.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::problem::ApiError;

/// Made by the first request that needs it. An error is shared too, so that thousands do not repeat a failed read.
#[derive(Debug, Default)]
pub(crate) struct SharedAnswer(OnceCell<Result<Bytes, Arc<ApiError>>>);

impl SharedAnswer {
    /// The answer, made with `make` unless it is there already.
    ///
    /// # Errors
    /// When it could not be made.
    pub(crate) async fn get_or_make(
        &self,
        make: impl Future<Output = Result<Bytes, ApiError>>,
    ) -> Result<Bytes, ApiError> {
        let answer = self.0.get_or_init(|| async { make.await.map_err(Arc::new) }).await;
        answer.clone().map_err(ApiError::Shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_get_what_the_first_one_made() {
        let answer = SharedAnswer::default();
        let made = |text: &'static str| async move { Ok(Bytes::from_static(text.as_bytes())) };
        for text in ["first", "second"] {
            assert_eq!(answer.get_or_make(made(text)).await.unwrap(), "first");
        }
        let failed = SharedAnswer::default();
        let fail = async { Err(ApiError::NotFound("gone".to_owned())) };
        assert_eq!(failed.get_or_make(fail).await.unwrap_err().to_string(), "gone");
        assert_eq!(failed.get_or_make(made("late")).await.unwrap_err().to_string(), "gone");
    }
}
