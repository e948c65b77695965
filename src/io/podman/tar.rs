//! Archives, as podman takes files: the headers of POSIX's `ustar`.

use crate::wire::podman::libpod::FileVolume;

const BLOCK: usize = 512;

/// The files of a tree; the directories on the way to them are podman's to make.
///
/// # Errors
/// A path is too long for an archive.
pub(super) fn archive(tree: &FileVolume) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for file in &tree.files {
        add(&mut all, &file.path, file.mode, Some(&file.content))?;
    }
    Ok(finish_archive(all))
}

/// One directory, or one empty file.
///
/// # Errors
/// The path is too long for an archive.
pub(super) fn single_entry_archive(path: &str, is_directory: bool) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    if is_directory { add(&mut all, path, 0o755, None) } else { add(&mut all, path, 0o644, Some(&[])) }?;
    Ok(finish_archive(all))
}

/// A file with its content, or a directory. They are root's.
///
/// # Errors
/// The path is too long for an archive.
pub(crate) fn add(all: &mut Vec<u8>, path: &str, mode: u32, content: Option<&[u8]>) -> Result<(), String> {
    let mut header = [0; BLOCK];
    let (prefix, name) = split_path(path).ok_or_else(|| format!("`{path}` is too long"))?;
    let bytes = content.unwrap_or_default();
    write_field(&mut header, 0, name.as_bytes());
    write_field(&mut header, 100, format!("{mode:07o}").as_bytes());
    write_field(&mut header, 108, b"0000000");
    write_field(&mut header, 116, b"0000000");
    write_field(&mut header, 124, format!("{:011o}", bytes.len()).as_bytes());
    write_field(&mut header, 136, b"00000000000");
    // blanks count for the sum that comes here; then its kind
    write_field(&mut header, 148, if content.is_some() { b"        0" } else { b"        5" });
    write_field(&mut header, 257, b"ustar\x0000");
    write_field(&mut header, 345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    write_field(&mut header, 148, format!("{sum:06o}\0").as_bytes());
    all.extend_from_slice(&header);
    all.extend_from_slice(bytes);
    all.resize(all.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// An archive that has all.
pub(crate) fn finish_archive(mut all: Vec<u8>) -> Vec<u8> {
    all.resize(all.len() + 2 * BLOCK, 0);
    all
}

fn write_field(header: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What a header has room for: 155 bytes of directories, 100 of the rest.
fn split_path(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let mut cuts = path.match_indices('/').map(|(at, _)| (&path[..at], &path[at + 1..]));
    cuts.find(|(prefix, name)| prefix.len() <= 155 && (1..=100).contains(&name.len()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    use super::*;
    use crate::wire::podman::libpod::File;

    #[test]
    fn the_files_come_out_as_they_went_in() {
        let long = format!("{}/{}/k", "d".repeat(90), "e".repeat(60));
        let file =
            |path: &str, mode, content: &[u8]| File { path: path.into(), mode, content: content.into() };
        let files = vec![file("a", 0o644, b"1"), file("b/c", 0o400, &[7; 512]), file(&long, 0o755, b"")];
        let tree = FileVolume { name: "v".into(), files, is_secret: false };
        let place = tempfile::tempdir().unwrap();
        let tar = place.path().join("tar");
        fs::write(&tar, archive(&tree).unwrap()).unwrap();
        let out = place.path().join("out");
        fs::create_dir(&out).unwrap();
        let done = Command::new("tar").arg("-xpf").arg(&tar).arg("-C").arg(&out).status();
        assert!(done.unwrap().success());
        for file in &tree.files {
            let path = out.join(&file.path);
            assert_eq!(fs::read(&path).unwrap(), file.content);
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, file.mode);
        }
        let endless = FileVolume { files: vec![file(&"x".repeat(101), 0, b"")], ..tree };
        assert!(archive(&endless).is_err());
    }
}
