//! The pages of a server as a probe reads them: one request, one connection, HTTP/1.1.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Error, Result};

/// A page of JSON.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// What it says.
    pub body: serde_json::Value,
}

/// Reads a page.
///
/// # Errors
/// The server is gone, or answers with something else than a page of JSON.
pub async fn get(address: &str, path: &str) -> Result<Page> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    let answer: std::io::Result<String> = asking.await;
    let answer = answer.map_err(|cause| Error::io("read", format!("http://{address}{path}"), cause))?;
    page(&answer).ok_or_else(|| Error::violation(format!("{path} is answered with {answer:?}")))
}

/// The page of a whole answer whose body is not in chunks.
fn page(answer: &str) -> Option<Page> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Page { status, body: serde_json::from_str(body).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_document() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 10\r\n\r\n{\"a\": [1]}";
        let found = page(answer).expect("a page");
        assert_eq!((found.status, found.body["a"][0].as_u64()), (503, Some(1)));
        assert!(page("HTTP/1.1 200 OK\r\n\r\nwell").is_none());
    }
}
