//! `POST /v1/files`: a file uploaded as a form.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde_json::json;

use super::multipart;
use crate::api_error::ApiError;
use crate::content::FileContent;
use crate::endpoints::ApiRequest;
use crate::event::{now_secs, random_hex};
use crate::http_response::json as as_json;
use crate::kind::Kind;
use crate::state::State;

const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

pub(super) fn create(state: &Arc<State>, request: &ApiRequest<'_>) -> Result<HttpResponse, ApiError> {
    let parts = multipart::parse(request.content_type.unwrap_or_default(), request.body);
    let parts = parts.ok_or_else(ApiError::not_a_form)?;
    let part = |name: &str| {
        parts.iter().find(|part| part.name == name).ok_or_else(|| ApiError::missing_parameter(name))
    };
    let text = |name: &str| part(name).map(|part| String::from_utf8_lossy(&part.content).into_owned());
    let (file, purpose) = (part("file")?, text("purpose")?);
    if !PURPOSES.contains(&purpose.as_str()) {
        return Err(ApiError::not_one_of("purpose", &purpose, &PURPOSES));
    }
    let created = now_secs();
    let expires_at = match text("expires_after[seconds]") {
        Err(_) => None,
        Ok(secs) => match secs.parse::<u64>() {
            Ok(secs) => Some(created + secs),
            Err(_) => return Err(ApiError::not_an_integer("expires_after[seconds]", &secs)),
        },
    };
    let id = format!("file-{}", random_hex());
    let object = json!({
        "created_at": created, "expires_at": expires_at, "purpose": purpose,
        "filename": file.filename.as_deref().unwrap_or("file"),
    });
    let mut fixtures = state.fixtures_mut();
    let put = fixtures.put_file(&id, &object, FileContent::InMemory(file.content.clone()));
    put.expect("the file has an id");
    let found = fixtures.get(Kind::File, &id).expect("it was just added");
    Ok(as_json(found.get().to_owned()))
}
