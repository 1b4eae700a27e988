//! A client that keeps its connections.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Reads one answer, and says whether it is one of 2xx.
pub async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await.unwrap();
        assert!(read > 0, "the connection was closed");
        have += read;
        let text = std::str::from_utf8(&buffer[..have]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |n| n.parse().unwrap()) {
            return head.starts_with("HTTP/1.1 2");
        }
    }
}
