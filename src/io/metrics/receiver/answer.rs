//! Answers: those that the frontend gives itself, and where one of tiny_http ends.

use httparse::Status;

/// An answer that the frontend gives, and that ends the connection: its status, and why.
#[derive(Debug, PartialEq)]
pub(super) struct RefusalResponse(pub(super) &'static str, pub(super) &'static str);

impl RefusalResponse {
    pub(super) fn to_response_bytes(&self) -> Vec<u8> {
        let Self(status, reason) = self;
        let length = reason.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{reason}\n"
        )
        .into_bytes()
    }
}

/// How long an answer of tiny_http is; `None`: its head isn't whole yet.
///
/// # Errors
/// It is no answer.
pub(super) fn response_length(bytes: &[u8], bodiless: bool) -> Result<Option<usize>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let named = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = named.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    Ok(Some(head + if bodiless { 0 } else { body.unwrap_or(0) }))
}

/// Adds to an answer that it is the last one on its connection.
pub(super) fn add_connection_close(answer: &mut Vec<u8>) {
    if let Some(end) = answer.windows(2).position(|pair| pair == b"\r\n") {
        answer.splice(end..end, *b"\r\nConnection: close");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(response_length(answer, false), Ok(Some(answer.len())));
        assert_eq!(response_length(answer, true), Ok(Some(answer.len() - 5)));
        assert_eq!(response_length(&answer[..20], false), Ok(None));
        let mut last = answer.to_vec();
        add_connection_close(&mut last);
        assert!(last.starts_with(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length"));
    }
}
