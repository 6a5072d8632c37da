//! A connection: over TCP, or over anything that carries bytes both ways.

use std::{fmt, io, time::Duration};

use hyper_util::rt::TokioIo;
use lineate_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Uri};

use crate::{Error, Result, retry::Retry};

/// Where a server listens unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7401";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A server at an address.
    Address(String),
    /// A node in this process.
    Embedded,
}

/// A client. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    endpoint: Endpoint,
    retry: Retry,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// The address is none, or nothing answers there.
    pub async fn connect(address: &str) -> Result<Self> {
        let channel = builder(address)?
            .connect()
            .await
            .map_err(|source| Error::Unreachable { address: address.to_owned(), source })?;
        Ok(Self { channel, endpoint: Endpoint::Address(address.to_owned()), retry: Retry::default() })
    }

    /// A client over connections made by `open`, such as in-memory pipes to a node in this process. The first
    /// connection is opened with the first request.
    pub fn over<Open, Opening, Io>(open: Open) -> Self
    where
        Open: Fn() -> Opening + Send + Sync + 'static,
        Opening: Future<Output = io::Result<Io>> + Send + 'static,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connector = tower::service_fn(move |_: Uri| {
            let opening = open();
            async move { opening.await.map(TokioIo::new) }
        });
        let channel = tuned(tonic::transport::Endpoint::from_static("http://embedded"))
            .connect_with_connector_lazy(connector);
        Self { channel, endpoint: Endpoint::Embedded, retry: Retry::default() }
    }

    /// What this client talks to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn retry(&self) -> Retry {
        self.retry
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Embedded => f.write_str("a node in this process"),
        }
    }
}

fn builder(address: &str) -> Result<tonic::transport::Endpoint> {
    let wrong = || Error::Address { address: address.to_owned() };
    let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let uri: Uri = format!("http://{authority}").parse().map_err(|_| wrong())?;
    if uri.port().is_none() || uri.host().is_none_or(str::is_empty) || uri.path() != "/" {
        return Err(wrong());
    }
    Ok(tuned(tonic::transport::Endpoint::from(uri)))
}

fn tuned(endpoint: tonic::transport::Endpoint) -> tonic::transport::Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .http2_adaptive_window(true)
        .tcp_nodelay(true)
        .user_agent(concat!("lineate/", env!("CARGO_PKG_VERSION")))
        .unwrap_or_else(|_| tonic::transport::Endpoint::from_static("http://embedded"))
}

/// A generated client over this client's channel, with the bounds of messages set.
macro_rules! service {
    ($client:expr, $module:ident :: $name:ident) => {
        lineate_proto::v1::$module::$name::new($client.channel())
            .max_decoding_message_size(lineate_types::limits::MESSAGE_BYTES)
            .max_encoding_message_size(lineate_types::limits::MESSAGE_BYTES)
    };
}
pub(crate) use service;

const _: () = assert!(limits::CHUNK_BYTES < limits::MESSAGE_BYTES, "a chunk fits a message");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["127.0.0.1:7401", "http://localhost:7401", "[::1]:7401", "db.example.com:80/"] {
            assert!(builder(good).is_ok(), "{good}");
        }
        for bad in ["", "localhost", ":7401", "a:b", "host:1/path", "a b:1", "host:99999"] {
            assert!(matches!(builder(bad), Err(Error::Address { .. })), "{bad}");
        }
    }
}
