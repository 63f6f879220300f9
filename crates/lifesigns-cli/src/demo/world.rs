//! Everything there is: the APIs, the gateway in front of them, who calls them, a shop, and the monitor that watches all.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use lifesigns::model::light::Light;
use lifesigns::model::route::Templates;
use lifesigns::model::store::Retention;
use lifesigns::model::verdict::Thresholds;
use lifesigns::{Api, ApiOptions, Check, Identity, Lifesigns, Scope, Token, TokenHash};
use lifesigns_checks::http;
use lifesigns_gateway::{Config, Gateway, Route};
use lifesigns_monitor::Target;
use lifesigns_store::memory::MemoryStore;
use lifesigns_store::sqlite::{Options as StoreOptions, SqliteStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::monitor::{self, Monitor, Told};
use super::traffic::{self, Tally};
use super::{services, shop};
use crate::printer::Problem;
use crate::token;

/// Where the gateway listens unless told otherwise.
const CUSTOMARY: SocketAddr = loopback(8080);
/// Where the Polls API listens, unless the gateway has been told where to.
const CUSTOMARY_POLLS: SocketAddr = loopback(4000);
/// Where the gateway's operators come in, unless the gateway has been told where to listen.
const CUSTOMARY_ADMIN: SocketAddr = loopback(9090);
/// Where the monitor has its pages, unless the gateway has been told where to listen.
const CUSTOMARY_MONITOR: SocketAddr = loopback(8090);
/// A free port on loopback.
const ANY: SocketAddr = loopback(0);
/// The service that fails.
const PAYMENT: &str = "payment-service";
/// The service that depends on it.
const CHECKOUT: &str = "checkout-service";
/// Seconds of traffic by which the lights are judged; short, so that a change is soon seen.
pub(super) const WINDOW_SECONDS: u32 = 30;
/// With the same seed the same is asked and answered, up to the order in which sockets are ready.
const SEED: u64 = 2026;
/// How long whatever is under way may take when the demo ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running demo.
pub(super) struct World {
    /// Where the gateway listens.
    pub(super) gateway: SocketAddr,
    /// Where the gateway's operators come in.
    pub(super) admin: Option<SocketAddr>,
    /// Where the Polls API listens itself.
    pub(super) polls: SocketAddr,
    /// A token that opens everything.
    pub(super) token: String,
    /// Who watches.
    pub(super) monitor: Monitor,
    /// Where the service of orders, and the one that is searched in, tell how they are.
    pub(super) orders: String,
    pub(super) search: String,
    /// What the monitor has told.
    pub(super) messages: mpsc::Receiver<Told>,
    lifesigns: Lifesigns,
    polls_lifesigns: Lifesigns,
    stop_traffic: watch::Sender<bool>,
    traffic: JoinHandle<Tally>,
    stop_gateway: watch::Sender<bool>,
    gateway_task: JoinHandle<io::Result<()>>,
    stop_apis: watch::Sender<bool>,
    api_tasks: Vec<JoinHandle<io::Result<()>>>,
    folder: TempDir,
}

impl World {
    /// Starts everything.
    pub(super) async fn start(listen: Option<SocketAddr>) -> Result<World, Problem> {
        let folder = tempfile::Builder::new().prefix("lifesigns-demo-").tempdir().map_err(not_started)?;
        let token = new_token()?;
        let (stop_apis, apis_stopped) = watch::channel(false);
        let serving = Serving { stopped: apis_stopped, tasks: Vec::new() };
        let mut apis = Apis { serving, options: Vec::new(), routes: Vec::new() };

        let (polls_app, polls_lifesigns) = polls_app(folder.path(), &token)?;
        let polls_listener = match listen {
            None => listen_at_or_anywhere(CUSTOMARY_POLLS).await?,
            Some(_) => listen_at(ANY).await?,
        };
        let polls = apis.add("polls", "/polls", polls_listener, polls_app)?;
        let templates = Templates::new(polls::ROUTES).map_err(not_started)?;
        apis.routes[0].templates = Some(templates);
        let mut targets = vec![("polls", "/polls", &[][..])];
        let mut checks = Vec::new();
        for service in services::all(SEED) {
            let address = apis.add(service.name, service.prefix, listen_at(ANY).await?, service.app)?;
            targets.push((
                service.name,
                service.prefix,
                if service.name == CHECKOUT { &[PAYMENT] } else { &[] },
            ));
            checks.extend((service.name == PAYMENT).then(|| payment_check(address)).transpose()?);
        }

        let lifesigns = gateway_lifesigns(folder.path(), &token, apis.options, checks)?;
        let gateway = bind(listen, apis.routes, &lifesigns)?;
        let (address, admin) = (gateway.local_addr().map_err(not_started)?, gateway.admin_addr());
        let (stop_gateway, gateway_stopped) = watch::channel(false);
        let gateway_task = tokio::spawn(gateway.run(stopped(gateway_stopped)));
        let mut targets = targets
            .into_iter()
            .map(|(name, prefix, needs)| {
                monitor::target(name, &format!("http://{address}{prefix}/health/status"), needs)
            })
            .collect::<Result<Vec<Target>, Problem>>()?;
        let (mut orders, mut search) = (String::new(), String::new());
        let mut serving = apis.serving;
        for service in shop::all() {
            let address = serving.add(listen_at(ANY).await?, service.app)?;
            let url = format!("http://{address}{}", service.path);
            targets.push(monitor::target(service.name, &url, service.depends_on)?);
            match service.name {
                shop::ORDERS => orders = url,
                shop::SEARCH => search = url,
                _ => {}
            }
        }
        let (receiver, messages) = monitor::receiver();
        let receiver = serving.add(listen_at(ANY).await?, receiver)?;
        let pages = match listen {
            None => listen_at_or_anywhere(CUSTOMARY_MONITOR).await?,
            Some(_) => listen_at(ANY).await?,
        };
        judged(&lifesigns).await;
        let monitor = Monitor::start(pages, targets, receiver, identity(), everything(&token))?;
        let (stop_traffic, traffic_stopped) = watch::channel(false);
        let traffic = tokio::spawn(traffic::run(address, SEED, traffic_stopped));
        Ok(World {
            gateway: address,
            admin,
            polls,
            token,
            monitor,
            orders,
            search,
            messages,
            lifesigns,
            polls_lifesigns,
            stop_traffic,
            traffic,
            stop_gateway,
            gateway_task,
            stop_apis,
            api_tasks: serving.tasks,
            folder,
        })
    }

    /// The APIs behind the gateway.
    pub(super) fn apis(&self) -> impl Iterator<Item = Api> + '_ {
        self.lifesigns.apis()
    }

    /// Stops everything, callers first, and removes what was kept on disk.
    pub(super) async fn stop(self) -> Result<Tally, Problem> {
        self.stop_traffic.send_replace(true);
        let tally = self.traffic.await.map_err(not_stopped)?;
        let watching = self.monitor.stop().await?;
        self.stop_gateway.send_replace(true);
        self.gateway_task.await.map_err(not_stopped)?.map_err(not_stopped)?;
        self.stop_apis.send_replace(true);
        for task in self.api_tasks {
            task.await.map_err(not_stopped)?.map_err(not_stopped)?;
        }
        let (lifesigns, polls_lifesigns, folder) = (self.lifesigns, self.polls_lifesigns, self.folder);
        let clear = move || {
            watching.shutdown(PATIENCE).map_err(not_stopped)?;
            polls_lifesigns.shutdown(PATIENCE).map_err(not_stopped)?;
            lifesigns.shutdown(PATIENCE).map_err(not_stopped)?;
            drop((watching, polls_lifesigns, lifesigns));
            folder.close().map_err(not_stopped)
        };
        tokio::task::spawn_blocking(clear).await.map_err(not_stopped)??;
        Ok(tally)
    }
}

/// What serves until it is told to stop.
struct Serving {
    stopped: watch::Receiver<bool>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Serving {
    /// Serves something more, and tells where.
    fn add(&mut self, listener: TcpListener, app: Router) -> Result<SocketAddr, Problem> {
        let address = listener.local_addr().map_err(not_started)?;
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(stopped(self.stopped.clone()));
        self.tasks.push(tokio::spawn(serve.into_future()));
        Ok(address)
    }
}

/// What stands behind the gateway.
struct Apis {
    serving: Serving,
    options: Vec<ApiOptions>,
    routes: Vec<Route>,
}

impl Apis {
    /// Serves an API on a port of its own and puts it behind the gateway.
    fn add(
        &mut self,
        name: &str,
        prefix: &str,
        listener: TcpListener,
        app: Router,
    ) -> Result<SocketAddr, Problem> {
        let address = self.serving.add(listener, app)?;
        let upstream = format!("http://{address}").parse().map_err(not_started)?;
        self.routes.push(Route { prefix: prefix.to_owned(), ..Route::new(name, upstream) });
        self.options.push(ApiOptions {
            identity: identity(),
            thresholds: thresholds(),
            ..ApiOptions::new(name)
        });
        Ok(address)
    }
}

/// The Polls API with the library in it, as its own `main` has it.
fn polls_app(folder: &Path, token: &str) -> Result<(Router, Lifesigns), Problem> {
    let database = polls::Database::open(&folder.join("polls.db")).map_err(not_started)?;
    let lifesigns = Lifesigns::builder("polls")
        .identity(identity())
        .thresholds(thresholds())
        .store(Arc::new(MemoryStore::new(Retention::default())))
        .token(everything(token))
        .start()
        .map_err(not_started)?;
    Ok((polls::router(database).layer(lifesigns.layer()), lifesigns))
}

/// What the checkout service depends on: the payment service must answer, and not by a failure of its own.
fn payment_check(address: SocketAddr) -> Result<Check, Problem> {
    let mut options = http::Options::new(format!("http://{address}/payments"));
    options.expect =
        http::Expect::Answer(http::AnswerWanted { status: vec![200..=499], ..Default::default() });
    let check = http::check(PAYMENT, options).map_err(not_started)?;
    Ok(check.every(Duration::from_secs(2)).timeout(Duration::from_secs(1)))
}

fn gateway_lifesigns(
    folder: &Path,
    token: &str,
    apis: Vec<ApiOptions>,
    checks: Vec<Check>,
) -> Result<Lifesigns, Problem> {
    let store =
        SqliteStore::open(folder.join("lifesigns.db"), StoreOptions::default()).map_err(not_started)?;
    let builder =
        Lifesigns::builder("gateway").identity(identity()).store(Arc::new(store)).token(everything(token));
    let builder = apis.into_iter().fold(builder, lifesigns::Builder::api);
    let builder = checks.into_iter().fold(builder, |builder, check| builder.check_for([CHECKOUT], check));
    builder.start().map_err(not_started)
}

/// Binds the gateway where it is wanted, or where it customarily is. What is taken of the customary ports is
/// replaced by a free one.
fn bind(listen: Option<SocketAddr>, routes: Vec<Route>, lifesigns: &Lifesigns) -> Result<Gateway, Problem> {
    let bind = |listen, admin| {
        let mut config = Config::new(listen, routes.clone());
        config.admin = Some(admin);
        config.drain.patience = PATIENCE;
        Gateway::bind(config, lifesigns.clone())
    };
    let tries = match listen {
        Some(listen) => vec![(listen, ANY)],
        None => vec![(CUSTOMARY, CUSTOMARY_ADMIN), (CUSTOMARY, ANY), (ANY, CUSTOMARY_ADMIN), (ANY, ANY)],
    };
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for (listen, admin) in tries {
        match bind(listen, admin) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = error,
            bound => return bound.map_err(not_started),
        }
    }
    Err(not_started(taken))
}

async fn listen_at(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(not_started)
}

async fn listen_at_or_anywhere(address: SocketAddr) -> Result<TcpListener, Problem> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => listen_at(ANY).await,
        bound => bound.map_err(not_started),
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The sample services come from one repository with the Polls API, so they are the same build.
fn identity() -> Identity {
    Identity { environment: Some("demo".to_owned()), ..polls::identity() }
}

fn thresholds() -> Thresholds {
    Thresholds { window_seconds: WINDOW_SECONDS, ..Thresholds::default() }
}

fn everything(token: &str) -> Token {
    Token::new("demo", TokenHash::of(token), Scope::ALL)
}

fn new_token() -> Result<String, Problem> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(not_started)?;
    Ok(token::token_of(&secret))
}

/// Waits until every API is green, but not for long: before its first check has run it is amber, which is no outage.
async fn judged(lifesigns: &Lifesigns) {
    let are_green = || lifesigns.apis().all(|api| api.snapshot().verdict.light == Light::Green);
    let green = async {
        while !are_green() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    // With one that is not green the world is shown as it is.
    let _ = timeout(PATIENCE, green).await;
}

/// Resolves when the value turns true or nobody can turn it any more.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // The error says that the sender is gone, which ends the wait as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

pub(super) fn not_started(error: impl std::error::Error) -> Problem {
    Problem::new("the demo could not be started").because(&error)
}

pub(super) fn not_stopped(error: impl std::error::Error) -> Problem {
    Problem::new("the demo did not end as it should").because(&error)
}
