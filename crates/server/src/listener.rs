//! Connections: accepted up to a bound, served as HTTP/1.1 or HTTP/2, and ended in peace.
//!
//! tonic's own server leaves most limits off; every limit that a stranger could lean on is set here.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use lineate_types::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a new connection may say nothing.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 request may take to name what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may take to end when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait after the system refused a connection, out of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams that may be reset before they were accepted (rapid reset).
const PENDING_RESETS: usize = 20;

/// Serves connections until told to stop.
pub(crate) struct Connections {
    router: Router,
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Connections {
    /// Connections to a router.
    pub(crate) fn new(router: Router) -> Self {
        Self {
            router,
            permits: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    /// Accepts and serves until the token is cancelled. One too many is closed at once.
    pub(crate) async fn accept(&self, listener: &TcpListener, stop: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Ok(permit) = self.permits.clone().try_acquire_owned() else {
                        tracing::warn!(%peer, most = limits::CONNECTIONS, "too many connections, one refused");
                        continue;
                    };
                    // Only a hint; the connection works without it.
                    let _ = stream.set_nodelay(true);
                    let (router, stop, abort) = self.parts();
                    self.tracker.spawn(async move {
                        if spoke(&stream, &stop).await {
                            serve(stream, router, stop, abort).await;
                        }
                        drop(permit);
                    });
                }
                Err(cause) => {
                    tracing::warn!(%cause, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection that is there already, such as a pipe in this process.
    pub(crate) fn adopt(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        let permit = self
            .permits
            .clone()
            .try_acquire_owned()
            .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections"))?;
        let (router, stop, abort) = self.parts();
        self.tracker.spawn(async move {
            serve(stream, router, stop, abort).await;
            drop(permit);
        });
        Ok(())
    }

    /// Asks every connection to end after what is under way, waits for that, and cuts off what takes too long.
    pub(crate) async fn drain(&self) {
        self.stop.cancel();
        self.tracker.close();
        if timeout(DRAIN_TIMEOUT, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                connections = self.tracker.len(),
                "connections did not end in time and are cut off"
            );
            self.abort.cancel();
            self.tracker.wait().await;
        }
    }

    fn parts(&self) -> (Router, CancellationToken, CancellationToken) {
        (self.router.clone(), self.stop.clone(), self.abort.clone())
    }
}

/// Waits for the first byte; false if none comes in time.
async fn spoke(stream: &TcpStream, stop: &CancellationToken) -> bool {
    let mut first = [0; 1];
    tokio::select! {
        () = stop.cancelled() => false,
        peeked = timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1..))),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    let builder = builder();
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(cause) = ended {
                    tracing::debug!(%cause, "a connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = abort.cancelled() => return,
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(64)
        .max_buf_size(limits::HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_header_list_size(limits::HEADER_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PENDING_RESETS)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}
