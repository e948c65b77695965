//! The head of a request to the endpoint for metrics, and of an answer.

use device_worker_ng::io::metrics::fuzzing::{answer_length, head, is_name};

/// What a client may send.
const MAX_HEAD: usize = 8 * 1024;

pub(super) fn run(input: &[u8]) {
    is_name(input);
    for bodiless in [false, true] {
        answer_length(input, bodiless);
    }
    let request = match head(input) {
        Ok(Some(request)) => request,
        Ok(None) => return assert!(input.len() < MAX_HEAD, "a head never ends"),
        Err(answer) => {
            let length = answer_length(&answer, false);
            return assert_eq!(length, Some(Some(answer.len())), "the refusal is no answer");
        }
    };
    assert!(request.head_length <= input.len() && request.body_length <= 64 * 1024);
    // the end of a head doesn't depend on what follows, and nothing shorter is one
    let whole = &input[..request.head_length];
    let alone = head(whole).ok().flatten().expect("a head is a head without its body");
    assert_eq!((alone.head_length, &alone.head), (request.head_length, &request.head));
    for end in [whole.len() / 2, whole.len() - 1] {
        assert!(!matches!(head(&whole[..end]), Ok(Some(_))), "half a head is one");
    }
    // what goes on is read as the same request, and can't be read as two
    // (unless its Content-Length, which the client may leave out, makes it longer than what a client may send)
    if request.head.len() <= MAX_HEAD {
        let on = head(&request.head).ok().flatten().expect("what goes on is a request");
        assert_eq!((on.head_length, on.body_length), (request.head.len(), request.body_length));
        assert_eq!(on.head, request.head, "it goes on differently the second time");
    }
    let text = std::str::from_utf8(&request.head).expect("what goes on is text");
    assert_eq!(text.matches("\r\n\r\n").count(), 1);
    assert_eq!(text.to_ascii_lowercase().matches("content-length:").count(), 1 + extra(text));
    if let Some(answer) = request.get {
        assert_eq!(answer_length(&answer, false), Some(Some(answer.len())));
    }
}

/// A target may say so, too: it is one word of the first line.
fn extra(text: &str) -> usize {
    let first = text.lines().next().unwrap_or_default();
    first.to_ascii_lowercase().matches("content-length:").count()
}
