//! As much of gRPC as asks a server whether it is well: [its health checking protocol] over HTTP/2 (RFC 9113), without
//! TLS. An answer's headers aren't read: only one that says how the server is has a message.
//!
//! [its health checking protocol]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md

/// What begins a connection, and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Before a frame's payload: its length (3 bytes), type, flags and stream (4).
const FRAME_HEADER_LEN: usize = 9;
/// Of a payload, unless settings say otherwise.
const MAX_FRAME_PAYLOAD: usize = 16 * 1024;
/// Of a message: before it stands whether it is compressed, and its length (4 bytes).
const MAX_MESSAGE_LEN: usize = 1024;
/// The only request's.
const STREAM_ID: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// To a frame of settings or a ping.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The whole request, connection and all: how is this service? (an empty name: how is the server?) `authority` is the
/// host with its port.
pub(crate) fn health_check_request(service: &str, authority: &str) -> Vec<u8> {
    // by the static table of HPACK (RFC 7541), and without its compression
    let mut headers = vec![0x83, 0x86]; // POST, http
    for (name, value) in [
        (&[0x04][..], "/grpc.health.v1.Health/Check"),
        (&[0x01], authority),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        headers.extend(name);
        append_hpack_string(value, &mut headers);
    }
    headers.extend(b"\0\x02te\x08trailers");

    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a); // field 1, text
        append_varint(service.len(), &mut message);
        message.extend(service.as_bytes());
    }
    let mut data = vec![0];
    data.extend((message.len() as u32).to_be_bytes());
    data.extend(message);

    let mut all = PREFACE.to_vec();
    append_frame(HEADERS, END_HEADERS, STREAM_ID, &headers, &mut all);
    append_frame(DATA, END_STREAM, STREAM_ID, &data, &mut all);
    all
}

fn append_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], all: &mut Vec<u8>) {
    all.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    all.extend([kind, flags]);
    all.extend(stream.to_be_bytes());
    all.extend(payload);
}

/// A text of HPACK.
fn append_hpack_string(value: &str, headers: &mut Vec<u8>) {
    match value.len() {
        short @ ..0x7f => headers.push(short as u8),
        long => {
            headers.push(0x7f);
            append_varint(long - 0x7f, headers);
        }
    }
    headers.extend(value.as_bytes());
}

/// Seven bits a byte, the lowest first, as both HPACK and protocol buffers have it.
fn append_varint(mut value: usize, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// What came of an answer until now.
#[derive(Debug, Default)]
pub(crate) struct GrpcAnswer {
    /// Bytes of frames that aren't whole yet.
    unread: Vec<u8>,
    message: Vec<u8>,
}

impl GrpcAnswer {
    /// Takes what came, and adds to `reply` what the server wants to hear. With the end of the answer: whether it is
    /// well, or what is wrong.
    pub(crate) fn receive(&mut self, bytes: &[u8], reply: &mut Vec<u8>) -> Option<Result<(), String>> {
        self.unread.extend(bytes);
        while let Some((head, rest)) = self.unread.split_at_checked(FRAME_HEADER_LEN) {
            let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if size > MAX_FRAME_PAYLOAD {
                return Some(Err("it doesn't speak HTTP/2 without TLS".into()));
            }
            let payload = rest.get(..size)?;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let end = match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let echo = if kind == PING { payload } else { &[] };
                    append_frame(kind, ACK, 0, echo, reply);
                    None
                }
                GOAWAY => Some(Err("it ends the connection".into())),
                RST_STREAM if stream == STREAM_ID => Some(Err("it refuses the request".into())),
                DATA if stream == STREAM_ID => {
                    let payload = payload.get(..MAX_MESSAGE_LEN.min(size)).unwrap_or_default();
                    self.message.extend(payload);
                    self.serving_status()
                }
                _ => None,
            };
            let is_last = matches!(kind, DATA | HEADERS) && stream == STREAM_ID && flags & END_STREAM > 0;
            let mute = || Err("it doesn't know the service, or the protocol of health checks".into());
            if let Some(end) = end.or_else(|| is_last.then(mute)) {
                return Some(end);
            }
            self.unread.drain(..FRAME_HEADER_LEN + size);
        }
        None
    }

    /// What the message says, once it is whole.
    fn serving_status(&self) -> Option<Result<(), String>> {
        let (head, rest) = self.message.split_at_checked(5)?;
        let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] > 0 || size > MAX_MESSAGE_LEN {
            return Some(Err("its answer is compressed, or too long".into()));
        }
        let status = match rest.get(..size)? {
            [0x08, 1, ..] => return Some(Ok(())),
            [0x08, 2, ..] => "NOT_SERVING",
            [0x08, 3, ..] => "SERVICE_UNKNOWN",
            _ => "UNKNOWN",
        };
        Some(Err(format!("status {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_REPLY: &[u8] = &[];

    fn framed(frames: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut all = Vec::new();
        frames.iter().for_each(|(kind, flags, stream, payload)| {
            append_frame(*kind, *flags, *stream, payload, &mut all)
        });
        all
    }

    /// What comes of an answer, and of the same byte by byte.
    fn end(bytes: &[u8]) -> (Option<Result<(), String>>, Vec<u8>) {
        let mut reply = Vec::new();
        let whole = GrpcAnswer::default().receive(bytes, &mut reply);
        let (mut answer, mut pieces, mut replies) = (GrpcAnswer::default(), None, Vec::new());
        for byte in bytes {
            pieces = pieces.or_else(|| answer.receive(&[*byte], &mut replies));
        }
        assert_eq!((&pieces, &replies), (&whole, &reply));
        (whole, reply)
    }

    fn says(message: &[u8]) -> Option<Result<(), String>> {
        end(&framed(&[(SETTINGS, 0, 0, &[]), (HEADERS, END_HEADERS, 1, b"\x88"), (DATA, 0, 1, message)])).0
    }

    #[test]
    fn a_server_is_well_if_it_serves() {
        assert_eq!(says(b"\0\0\0\0\x02\x08\x01"), Some(Ok(())));
        for (message, said) in [
            (&b"\0\0\0\0\x02\x08\x02"[..], "status NOT_SERVING"),
            (b"\0\0\0\0\x02\x08\x03", "status SERVICE_UNKNOWN"),
            (b"\0\0\0\0\0", "status UNKNOWN"),
            (b"\x01\0\0\0\x02\x08\x01", "its answer is compressed, or too long"),
            (b"\0\xff\0\0\0\x08", "its answer is compressed, or too long"),
        ] {
            assert_eq!(says(message), Some(Err(said.into())), "{message:?}");
        }
        assert_eq!(says(b"\0\0\0\0\x02\x08"), None);
    }

    #[test]
    fn an_answer_without_a_message_says_what_is_wrong() {
        let unknown = "it doesn't know the service, or the protocol of health checks";
        for (frames, said) in [
            (framed(&[(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")]), unknown),
            (framed(&[(GOAWAY, 0, 0, &[0; 8])]), "it ends the connection"),
            (framed(&[(RST_STREAM, 0, 1, &[0; 4])]), "it refuses the request"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "it doesn't speak HTTP/2 without TLS"),
        ] {
            assert_eq!(end(&frames), (Some(Err(said.into())), Vec::new()));
        }
        assert_eq!(end(&framed(&[(RST_STREAM, 0, 3, &[0; 4]), (99, 255, 1, b"what")])), (None, Vec::new()));
    }

    #[test]
    fn settings_and_pings_are_acknowledged_once() {
        let frames = framed(&[(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"), (PING, 0, 0, b"12345678")]);
        assert_eq!(end(&frames), (None, framed(&[(SETTINGS, ACK, 0, &[]), (PING, ACK, 0, b"12345678")])));
        let acknowledged = framed(&[(SETTINGS, ACK, 0, &[]), (PING, ACK, 0, b"12345678")]);
        assert_eq!(end(&acknowledged), (None, NO_REPLY.to_vec()));
    }

    #[test]
    fn a_request_of_any_length_is_whole() {
        for length in [0, 1, 126, 127, 128, 300, 4000] {
            let name = "s".repeat(length);
            let request = health_check_request(&name, &"h".repeat(length));
            let mut rest = request.strip_prefix(&PREFACE[..PREFACE.len() - FRAME_HEADER_LEN]).unwrap();
            let mut kinds = Vec::new();
            while !rest.is_empty() {
                let size = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
                kinds.push((rest[3], rest[4], size));
                rest = &rest[FRAME_HEADER_LEN + size..];
            }
            let message = if length == 0 { 0 } else { length + if length < 128 { 2 } else { 3 } };
            assert_eq!(kinds[0], (SETTINGS, 0, 0));
            assert_eq!((kinds[1].0, kinds[1].1), (HEADERS, END_HEADERS));
            assert_eq!(kinds[2..], [(DATA, END_STREAM, 5 + message)]);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_within_bounds(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u8..12, 0..60), 0..40),
        ) {
            let (mut answer, mut reply) = (GrpcAnswer::default(), Vec::new());
            for piece in &pieces {
                if answer.receive(piece, &mut reply).is_some() {
                    break;
                }
                assert!(answer.unread.len() <= FRAME_HEADER_LEN + MAX_FRAME_PAYLOAD && answer.message.len() <= 2 * MAX_MESSAGE_LEN);
            }
            end(&pieces.concat());
        }
    }
}
