//! The reference for big answers: one plain reqwest client that downloads the same URLs, all at once, and throws the
//! bytes away.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::{BenchError, Doing};
use crate::fake_otx::KEY;

/// A client as a careful user would make one.
pub(super) fn client() -> Result<reqwest::Client, BenchError> {
    reqwest::Client::builder().no_proxy().build().doing("making an HTTP client")
}

/// Downloads `urls` and tells how long that took and how many bytes came.
pub(super) async fn all(client: &reqwest::Client, urls: &[String]) -> Result<(Duration, usize), BenchError> {
    let started = Instant::now();
    let sizes = try_join_all(urls.iter().map(|url| one(client, url))).await?;
    Ok((started.elapsed(), sizes.iter().sum()))
}

async fn one(client: &reqwest::Client, url: &str) -> Result<usize, BenchError> {
    let request = client.get(url).header("x-otx-api-key", KEY);
    let mut response = request.send().await.and_then(reqwest::Response::error_for_status).doing("downloading")?;
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.doing("downloading")? {
        size += chunk.len();
    }
    Ok(size)
}
