//! MySQL and MariaDB: logs in and lets the server answer a query.
//!
//! The URL is `mysql://user@host:3306/database`; the database may be left out. `?ssl-mode=verify-identity` asks for TLS.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, mysql};
//!
//! let server = Server::at("mysql://polls@db.internal/polls").password(Secret::new("…"));
//! let check = mysql::check("database", mysql::Options::new(server))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lifesigns::{Check, Report};
use lifesigns_fetch::{Failure, text};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, SslOpts};
use tokio::runtime;

use crate::BadOption;
pub use crate::service::QueryOptions as Options;
use crate::service::{self, Endpoint, Protocol};

const PROTOCOL: Protocol = Protocol {
    example: "mysql://user@host:3306/database",
    plain: (&["mysql", "mariadb"], 3306),
    encrypted: (&[], 3306),
    tls_parameter: Some("ssl-mode"),
};

/// A check of a MySQL or MariaDB server.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let ca_file = options.server.ca_file.clone();
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    let mut login = OptsBuilder::default()
        .ip_or_hostname(&*endpoint.address.host)
        .tcp_port(endpoint.address.port)
        .user(Some(endpoint.required_user(&PROTOCOL)?))
        .prefer_socket(false)
        // Otherwise the client asks the server for these two in a query of its own.
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(60))
        .stmt_cache_size(0);
    if !endpoint.path.is_empty() {
        login = login.db_name(Some(&endpoint.path));
    }
    if endpoint.password.is_some() {
        login = login.pass(Some(endpoint.secret()));
    }
    if endpoint.tls.is_some() {
        login = login.ssl_opts(trust(ca_file)?);
    }
    let query = service::query(options.query)?;
    Ok(service::check(name, "datastore", endpoint, move |endpoint| {
        Contained::new(run(endpoint, login.clone(), Arc::clone(&query)))
    }))
}

/// The client builds its own TLS, so it is told whom to trust.
fn trust(ca_file: Option<PathBuf>) -> Result<SslOpts, BadOption> {
    let mut authorities = lifesigns_tls::system_authorities().to_vec();
    if let Some(path) = ca_file {
        authorities.extend(lifesigns_tls::authorities(&path)?);
    }
    let roots = authorities.into_iter().map(|certificate| certificate.to_vec().into()).collect();
    Ok(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots))
}

async fn run(endpoint: Arc<Endpoint>, login: OptsBuilder, query: Arc<str>) -> Result<Report, Failure> {
    let addresses = endpoint.address.resolve().await?.iter().map(SocketAddr::ip).collect();
    let mut connection =
        Conn::new(login.resolved_ips(Some::<Vec<_>>(addresses))).await.map_err(|error| failure(&error))?;
    if let Err(error) = connection.query_drop(&*query).await {
        drop_elsewhere(connection);
        return Err(failure(&error));
    }
    connection.disconnect().await.map_err(|error| failure(&error))?;
    Ok(Report::pass())
}

fn failure(error: &Error) -> Failure {
    let text = text(error);
    match error {
        // Access denied (to a database, for a user, to a table, to a column, without a password), host not allowed,
        // privilege missing.
        Error::Server(said) if matches!(said.code, 1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1698) => {
            Failure::denied(text)
        }
        Error::Server(_) => Failure::failed(text),
        Error::Driver(DriverError::ConnectionClosed) => Failure::closed(),
        error => Failure::of_sources(error).unwrap_or_else(|| Failure::unexpected(text)),
    }
}

/// A connection that is dropped while an answer is due would have the runtime wait for that answer in its place. So it
/// is dropped inside of another runtime, which ends at once.
fn drop_elsewhere<T>(dropped: T) {
    // Without another runtime, waiting is all that is left.
    let Ok(elsewhere) = runtime::Builder::new_current_thread().build() else { return };
    let entered = elsewhere.enter();
    drop(dropped);
    drop(entered);
    elsewhere.shutdown_background();
}

/// A run that leaves nothing behind when it is dropped before its end.
struct Contained<F: Future>(Option<Pin<Box<F>>>);

impl<F: Future> Contained<F> {
    fn new(run: F) -> Contained<F> {
        Contained(Some(Box::pin(run)))
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let run = self.0.as_mut().expect("a future is not polled after its end");
        let output = std::task::ready!(run.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F: Future> Drop for Contained<F> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            drop_elsewhere(run);
        }
    }
}
