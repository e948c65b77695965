//! What an open status page costs.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use super::{
    Report, cpu_ns, managed, median, pss_kib, round,
    support::{
        children,
        http::{connect, exchange},
    },
};

/// With a server, 10 workloads, and a page that asks twice a second.
pub(super) fn measure(report: &mut Report) {
    let names: Vec<String> = (0..10).map(|n| format!("p{n:02}")).collect();
    let Some((mut device, _proxy, _edge)) = managed("watched", &names) else { return };
    device.kill();
    device.set("STATUS_PAGE", "true");
    device.start();
    device.wait_for_running(&names.iter().map(String::as_str).collect::<Vec<_>>());
    device.post("x", 1);
    let mut stream = connect(device.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).unwrap();
    assert!(page.starts_with(b"HTTP/1.1 200"));
    let pids: Vec<u32> = std::iter::once(device.pid()).chain(children(device.pid())).collect();
    let cpu = || pids.iter().map(|pid| cpu_ns(*pid)).sum::<u64>();
    let (before, start) = (cpu(), Instant::now());
    let (mut took, mut most, mut size) = (Vec::new(), 0, 0);
    while start.elapsed() < Duration::from_secs(30) {
        let asked = Instant::now();
        let (status, text) = exchange(device.address(), "GET /status.json HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(status, 200);
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        (size, most) = (text.len(), most.max(pss_kib(device.pid())));
        thread::sleep(Duration::from_millis(500));
    }
    let percent = (cpu() - before) as f64 / start.elapsed().as_nanos() as f64 * 100.0;
    report.add("the status page, with its head", page.len(), "bytes");
    report.add("PSS of agent and receiver, 10 workloads, linked, a page open", most, "KiB");
    report.add("CPU with 10 workloads, linked, a page open", round(percent, 3), "% of a core");
    report.add("a report for the page, 10 workloads", size, "bytes");
    report.add("answer to the page, median", round(median(took), 2), "ms");
}
