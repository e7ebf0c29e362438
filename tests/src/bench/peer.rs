//! The reference for requests a second: a bare axum handler that returns one file's bytes to every POST.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;

/// Serves the bytes of `file` on `address` until killed.
///
/// # Errors
/// When the file cannot be read or the address not be listened on.
pub async fn serve(address: SocketAddr, file: &Path) -> std::io::Result<()> {
    let body = Bytes::from(std::fs::read(file)?);
    // The request's body is read, as every handler must.
    let answer = move |_: Bytes| std::future::ready(([(CONTENT_TYPE, "application/json")], body.clone()));
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/", post(answer))).await
}
