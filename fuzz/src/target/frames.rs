//! What a receiver and the agent say to each other.

use device_worker_ng::wire::own::frames::{self, Post, ReportKind};

pub(super) fn run(input: &[u8]) {
    let mut rest = input;
    loop {
        let before = rest;
        match Post::decode(&mut rest) {
            Ok(Some(post)) => {
                let mut written = Vec::new();
                post.write(&mut written);
                assert_eq!(written, before[..before.len() - rest.len()], "a frame has two forms");
                for sample in &post.samples {
                    assert_eq!(frames::check_name(&sample.name), Ok(()));
                    assert!(sample.value.is_none_or(f64::is_finite));
                }
            }
            Ok(None) => {
                assert_eq!(rest, before, "a half frame was taken");
                assert!(rest.len() < 4 + 64 * 1024, "a frame never ends");
                break;
            }
            Err(malformed) => {
                crate::promise::is_sentence(&malformed.to_string());
                break;
            }
        }
    }
    if let Some(head) = input.first_chunk() {
        let (id, verdict) = frames::read_ack(*head);
        let mut written = Vec::new();
        frames::write_ack(id, verdict, &mut written);
        assert_eq!(written[..4], head[..4]);
        assert_eq!(frames::read_ack(written.try_into().expect("five")), (id, verdict));
        let report = frames::read_report_head(*head);
        assert!(
            report.is_err() || report.is_ok_and(|length| length <= frames::MAX_REPORT),
            "a report without end"
        );
        assert_eq!(frames::read_report_head(frames::encode_report_head(report)), report);
    }
    if let Some(question) = input.first_chunk()
        && let Ok(kind) = ReportKind::read(*question)
    {
        assert_eq!([kind as u8], *question);
    }
}
