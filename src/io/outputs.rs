//! What a container printed whose pod could not be started, and is gone with it: kept until the pod has started, in the
//! runtime directory, for the commands. Each file has the container's name on its first line, and then what podman answered.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::state::Store;

/// In the runtime directory.
const DIR: &str = "outputs";
/// So many of them are kept,
const MAX_OUTPUTS: usize = 16;
/// and so many bytes of each.
const MAX_OUTPUT_BYTES: usize = 32 << 10;
/// What stands before each piece: the number of its stream, and its length.
const FRAME_HEADER_SIZE: usize = 8;

/// Where they are.
#[derive(Debug, Clone)]
pub struct ContainerOutputs(PathBuf);

impl ContainerOutputs {
    /// In this runtime directory.
    pub fn new(runtime_dir: &Path) -> Self {
        Self(runtime_dir.join(DIR))
    }

    /// Keeps the end of what this container of the pod printed.
    pub(super) fn save_output(&self, pod: &str, container: &str, mut printed: &[u8]) {
        while printed.len() > MAX_OUTPUT_BYTES
            && let Some((_, _, rest)) = split_frame(printed)
        {
            printed = rest;
        }
        self.remove_output(pod);
        let kept = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let age = |it: &fs::DirEntry| it.metadata().and_then(|it| it.modified()).ok();
        let kept: Vec<_> = kept.map(|it| (age(&it), it.path())).collect();
        if kept.len() >= MAX_OUTPUTS
            && let Some((_, oldest)) = kept.iter().min_by_key(|(at, _)| at)
        {
            let _ = fs::remove_file(oldest);
        }
        let content = [container.as_bytes(), b"\n", printed].concat();
        if let Err(error) = Store::new(&self.0).save(pod, &content) {
            log::debug!("the output of container '{container}' is lost: {error}");
        }
    }

    /// The pod has started.
    pub(super) fn remove_output(&self, pod: &str) {
        let _ = fs::remove_file(self.0.join(pod)); // mostly there is none
    }

    /// Keeps none of what was printed until now.
    pub(super) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.0); // mostly there is none
    }

    /// The container, and what it printed as podman answers it.
    pub fn load_output(&self, pod: &str) -> Option<(String, Vec<u8>)> {
        let mut content = Store::new(&self.0).load(pod).filter(|_| !pod.is_empty())?;
        let end = content.iter().position(|byte| *byte == b'\n')?;
        let name = String::from_utf8_lossy(&content[..end]).into_owned();
        content.drain(..=end);
        Some((name, content))
    }
}

/// The first of the pieces, with the number of its stream; and what comes after it.
pub fn split_frame(printed: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = printed.split_at_checked(FRAME_HEADER_SIZE)?;
    let length = u32::from_be_bytes(head[4..].try_into().ok()?);
    let (piece, rest) = rest.split_at(rest.len().min(length as usize));
    Some((head[0], piece, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(stream: u8, text: &str) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn the_end_of_what_was_printed_is_kept_of_the_last_few_until_the_pod_starts() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = ContainerOutputs::new(dir.path());
        outputs.save_output("a-1", "init", &[framed(1, "out"), framed(2, "err")].concat());
        let (name, printed) = outputs.load_output("a-1").unwrap();
        let (stream, first, rest) = split_frame(&printed).unwrap();
        assert_eq!(
            (&*name, stream, first, split_frame(rest).unwrap().1),
            ("init", 1, &b"out"[..], &b"err"[..])
        );
        let many: Vec<u8> = (0..10_000).flat_map(|n| framed(1, &format!("line {n}\n"))).collect();
        outputs.save_output("a-1", "init", &many);
        let printed = outputs.load_output("a-1").unwrap().1;
        assert!(
            printed.len() <= MAX_OUTPUT_BYTES
                && printed.ends_with(b"line 9999\n")
                && split_frame(&printed).is_some()
        );
        for n in 0..40 {
            outputs.save_output(&format!("b-{n}"), "c", b"");
        }
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), MAX_OUTPUTS);
        outputs.remove_output("b-39");
        assert_eq!((outputs.load_output("b-39"), outputs.load_output("")), (None, None));
    }
}
