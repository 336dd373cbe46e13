//! Style, script and icon, embedded in the program. Their names contain their hash, so browsers may keep them for ever.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use sha2::{Digest as _, Sha256};

use crate::problem::ApiError;

/// Characters of the hash in a name.
const HASH_CHARS: usize = 12;

/// The addresses of all assets, for the templates.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: address(Asset::Style),
    script: address(Asset::Script),
    icon: address(Asset::Icon),
});

#[derive(Debug, Clone, Copy)]
enum Asset {
    Style,
    Script,
    Icon,
}

impl Asset {
    const ALL: [Self; 3] = [Self::Style, Self::Script, Self::Icon];

    fn content(self) -> &'static str {
        match self {
            Self::Style => include_str!("../../assets/style.css"),
            Self::Script => include_str!("../../assets/live.js"),
            Self::Icon => include_str!("../../assets/icon.svg"),
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Style => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Icon => "image/svg+xml",
        }
    }

    fn name(self) -> String {
        let hash = Sha256::digest(self.content());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).take(HASH_CHARS / 2).collect();
        match self {
            Self::Style => format!("style-{hash}.css"),
            Self::Script => format!("live-{hash}.js"),
            Self::Icon => format!("icon-{hash}.svg"),
        }
    }
}

fn address(asset: Asset) -> String {
    format!("/assets/{}", asset.name())
}

/// One asset by its name.
#[get("/assets/{name}")]
pub(crate) async fn get_asset(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = Asset::ALL.into_iter().find(|asset| asset.name() == *name);
    let asset = found.ok_or_else(|| ApiError::NotFound("this version has no such file".to_owned()))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(response.content_type(asset.content_type()).body(asset.content()))
}
