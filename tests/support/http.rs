//! A client of the metrics endpoint that can be rude: it sends the bytes that it is told to.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than the endpoint ever takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts on a connection of its own.
pub fn post(address: SocketAddr, body: &str) -> io::Result<(u16, String)> {
    exchange(address, &request(body))
}

/// A plain post, as bytes.
pub fn request(body: &str) -> String {
    format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Asks for all metrics.
pub const GET_METRICS: &str = "GET /metrics HTTP/1.1\r\n\r\n";

/// Sends these bytes on a connection of its own; the status and body of the answer.
pub fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    stream.write_all(request.as_bytes())?;
    answer(&mut stream)
}

/// A connection whose answers are not waited for in vain.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads the only answer that can be there.
pub fn answer(stream: &mut impl Read) -> io::Result<(u16, String)> {
    read_answer(&mut BufReader::new(stream))
}

/// Reads one answer of several.
pub fn read_answer(stream: &mut impl BufRead) -> io::Result<(u16, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
