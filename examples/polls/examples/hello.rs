//! src/main.rs: an API with Lifesigns in it.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use lifesigns::Lifesigns;
use lifesigns_store::{Options, SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let figures = Arc::new(SqliteStore::open("figures.db", Options::default())?);
    let identity = lifesigns::build_identity!();
    let lifesigns =
        Lifesigns::builder("hello").identity(identity).store(figures).from_environment()?.start()?;
    let app = Router::new().route("/greeting", get(|| async { "hello" })).layer(lifesigns.layer());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    // With the addresses of callers, by which rate limits count.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // Writes what has been counted.
    Ok(lifesigns.shutdown(Duration::from_secs(5))?)
}
