//! The commands that a person at the device has: the real binary asks the real agent.

mod bundle;
mod details;
mod hands;
mod helped;
mod logs;
mod replies;
mod schemas;
mod shown;
mod situations;

use crate::support::Device;

/// What a command prints for scripts.
fn json(device: &Device, command: &[&str]) -> serde_json::Value {
    let output = device.run(command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command:?}: {error}: {output:?}"))
}

/// What a command ended with and printed. What differs from run to run is masked: durations, sizes, the device's
/// own names; columns are one blank apart.
fn say(device: &Device, command: &[&str]) -> (i32, String) {
    let output = device.run(command);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), masked(device, &String::from_utf8(said).unwrap()))
}

fn masked(device: &Device, text: &str) -> String {
    let text = text.replace(&device.socket.display().to_string(), "SOCKET").replace(&device.id, "DEVICE");
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n";
    let text: String = text.lines().map(line).collect();
    // how long a command ran that ends at once
    (0..10).fold(text, |text, seconds| text.replace(&format!(" after {seconds} s"), " after # s"))
}

/// `1m5s` and `1234` become `#`; the count of restarts, which is no duration, stays if it is short.
fn word(word: &str) -> String {
    let bare = word.trim_end_matches([',', ';', ':']);
    let is_long = bare.len() > 2 && bare.bytes().all(|byte| byte.is_ascii_digit());
    let units = bare.trim_start_matches(|c: char| c.is_ascii_digit() || "dhms".contains(c));
    let is_duration = units.is_empty()
        && bare.starts_with(|c: char| c.is_ascii_digit())
        && bare.ends_with(['d', 'h', 'm', 's']);
    if is_long || is_duration { word.replacen(bare, "#", 1) } else { word.to_owned() }
}

/// Waits until this command ends with this code and prints this; shows what it printed on the way.
fn wait_for(device: &Device, command: &[&str], code: i32, expected: &str) {
    let mut last = String::new();
    device.wait_for(&format!("{command:?} to say:\n{expected}"), || {
        let (found, text) = say(device, command);
        if text != last {
            println!("{command:?}: {found}\n{text}");
            last.clone_from(&text);
        }
        (found == code && text == expected).then_some(())
    });
}

fn wait_for_explanation(device: &Device, name: &str, code: i32, expected: &str) {
    wait_for(device, &["explain", name], code, &expected.replacen('\n', "\nsince: #\n", 1));
}
