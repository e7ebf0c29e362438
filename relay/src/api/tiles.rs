//! `POST /tiles`, `/tiles/tile` and `/tiles/tile-data`: the tiles there are, one of them, and what one shows to the key
//! that asks. Payload first, then the token, as elsewhere; OTX is not asked. Rich answers only.

use http::HeaderMap;

use super::envelope::Envelope;
use super::http_error::Refusal;
use super::payload::fields;
use crate::app::App;
use crate::auth::Caller;
use crate::error::ErrorEntry;
use crate::otx::time::Moment;
use crate::tiles::{self, Card, Period, Tile, TileData};

/// Answers `POST /tiles`; the body is ignored.
///
/// # Errors
/// 503 when too many requests are under way, `authorization error` when the token is refused.
pub async fn tiles(app: &App, headers: &HeaderMap) -> Result<Envelope<Vec<Card>>, Refusal> {
    authenticate(app, headers).await?;
    Ok(Envelope::of(Tile::ALL.into_iter().map(Tile::describe).collect()))
}

/// Answers `POST /tiles/tile`.
///
/// # Errors
/// The same, and `invalid payload received` when the body names no tile.
pub async fn tile(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Envelope<Card>, Refusal> {
    let [id] = fields::read(body, ["tile_id"])?;
    let tile = named(&id)?;
    authenticate(app, headers).await?;
    Ok(Envelope::of(tile.describe()))
}

/// Answers `POST /tiles/tile-data`.
///
/// # Errors
/// The same, also when the tile has no such period.
pub async fn tile_data(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Envelope<TileData>, Refusal> {
    let [id, word] = fields::read(body, ["tile_id", "period"])?;
    let tile = named(&id)?;
    let period = period_of(tile, &word)?;
    let caller = authenticate(app, headers).await?;
    Ok(Envelope::of(shown(app, &caller, tile, period, Moment::now())))
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let _slot = app.admit()?;
    Ok(app.authenticate(headers).await.map_err(ErrorEntry::from)?)
}

fn named(id: &str) -> Result<Tile, ErrorEntry> {
    Tile::find(id)
        .ok_or_else(|| fields::wrong("tile_id", &format!("Must be one of: {}.", Tile::ALL.map(Tile::id).join(", "))))
}

fn period_of(tile: Tile, word: &str) -> Result<Period, ErrorEntry> {
    let periods = tile.periods();
    periods.iter().find(|period| period.word == word).copied().ok_or_else(|| {
        let words: Vec<&str> = periods.iter().map(|period| period.word).collect();
        fields::wrong("period", &format!("Must be one of: {}.", words.join(", ")))
    })
}

fn shown(app: &App, caller: &Caller, tile: Tile, period: Period, now: Moment) -> TileData {
    let (scope, since) = (caller.key.scope(), period.begins(now));
    match tile {
        Tile::Quota => tiles::quota(&app.otx.usage(&caller.key), period, now),
        Tile::Lookups => tiles::lookups(app.journal.counts(scope, since), period, now),
        Tile::Pulses => {
            let web = app.config.otx.web_url.as_str().trim_end_matches('/');
            tiles::pulses(&app.journal.pulses(scope, since), web, period, now)
        }
        Tile::Malware => tiles::malware(&app.journal.pulses(scope, since), period, now),
    }
}
