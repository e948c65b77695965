//! Several files in one input: each after a line `=== name`.

const MARK: &[u8] = b"=== ";

/// The files of an input in their order; what stands before the first mark is called "".
pub fn files(input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(String::new(), Vec::new())];
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(MARK) {
            Some(name) => files.push((String::from_utf8_lossy(name).trim_end().to_owned(), Vec::new())),
            None => files.last_mut().expect("there is one").1.extend_from_slice(line),
        }
    }
    files
}

/// The first file of this name, as text; else nothing.
pub fn text(files: &[(String, Vec<u8>)], name: &str) -> String {
    String::from_utf8_lossy(bytes(files, name)).into_owned()
}

/// The first file of this name; else nothing.
pub fn bytes<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    files.iter().find(|file| file.0 == name).map_or(&[], |file| &file.1)
}
