//! What a person sees, and when.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustix::process::Signal;
use serde_json::json;

use super::browser::Browser;
use crate::support::{Device, SLEEP, edge_device, pause, workload};

/// How old a figure on the page may be on a machine that has much else to do; a quiet one needs half a second.
const PROMPT: Duration = Duration::from_secs(5);

/// Starts the agent with a page, and opens that.
fn open(device: &mut Device, browser: &Browser) {
    device.set("STATUS_PAGE", "true");
    device.start_taking_metrics();
    browser.open(&format!("http://127.0.0.1:{}/", device.port));
    wait_for_text(device, browser, &device.id);
}

fn wait_for_text(device: &Device, browser: &Browser, text: &str) {
    device.wait_for(&format!("the page to show '{text}'"), || browser.text().contains(text).then_some(()));
}

/// What the page shows of this workload's state.
fn state(browser: &Browser, name: &str) -> String {
    let rows = "[...document.querySelectorAll('#workloads tbody tr')]";
    let cell = format!("{rows}.find(row => row.cells[0].textContent === '{name}')?.cells[1].textContent");
    browser.value(&cell).as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_posted_metric_is_on_the_page_and_on_the_command_line_at_once() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let mut device = Device::without_podman("page-metric");
    device.profiles(&[("low", "battery < 20")]);
    open(&mut device, &browser);
    wait_for_text(&device, &browser, "p.low");
    let mut slowest = (Duration::ZERO, Duration::ZERO);
    for value in [42.5, 17.25, 63.75] {
        let (text, posted) = (value.to_string(), Instant::now());
        assert_eq!(device.post("battery", value), 200);
        let shown = device.run(&["metrics"]).stdout;
        slowest.1 = slowest.1.max(posted.elapsed());
        assert!(String::from_utf8_lossy(&shown).contains(&text));
        let card = "document.querySelector('#metrics h3 :last-child')?.textContent";
        device.wait_for("the value on the page", || {
            (browser.value(card).as_str() == Some(&*text)).then_some(())
        });
        slowest.0 = slowest.0.max(posted.elapsed());
    }
    println!("on the page after {:?}, on the command line after {:?}, at the latest", slowest.0, slowest.1);
    assert!(slowest.0 < PROMPT && slowest.1 < PROMPT, "{slowest:?}");
    let threshold = "document.querySelector('#metrics svg text').textContent";
    assert_eq!(browser.value(threshold), "< 20");
    let legend = "document.querySelector('#metrics li').textContent";
    assert_eq!(browser.value(legend), "< 20  p.low");
    let curve = browser.value("document.querySelector('#metrics .curve').getAttribute('d')");
    assert_eq!(curve.as_str().unwrap().matches('V').count(), 2, "two steps between three values: {curve}");
    let styled = "getComputedStyle(document.querySelector('.card:not([hidden])')).borderRadius";
    assert_eq!(browser.value(styled), "8px", "its own policy lets its style in");
}

#[test]
fn a_workload_flips_on_the_page_when_its_condition_does() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let Some(mut device) = Device::new("page-flips") else { return };
    device.profiles(&[("charged", "battery > 20")]);
    device.gated("lamp", "charged");
    open(&mut device, &browser);
    let wait = |word: &str| {
        device.wait_for(&format!("lamp to be {word}"), || (state(&browser, "lamp") == word).then_some(()));
    };
    wait("inactive");
    wait_for_text(&device, &browser, "battery is not posted");
    device.post("battery", 50);
    wait("running");
    wait_for_text(&device, &browser, "battery > 20, and battery is 50");
    assert_eq!(browser.value("document.getElementById('news').textContent"), "lamp is running");
    device.post("battery", 12);
    wait("inactive");
}

#[test]
fn foreign_text_on_the_page_stays_text() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let mut device = Device::without_podman("page-foreign");
    let evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>";
    device.profiles(&[(evil, "x > 1"), ("broken", evil)]);
    let mut foreign = workload("camera", "true");
    foreign["spec"]["profiles"] = json!([{"name": evil, "conditions": [evil]}]);
    device.manifest("camera.json", &foreign.to_string());
    open(&mut device, &browser);
    wait_for_text(&device, &browser, &format!("p.{evil}"));
    device.post("x", 5);
    let drawn = "[...document.querySelectorAll('#metrics li')].map(it => it.textContent).join()";
    device.wait_for("the threshold", || browser.value(drawn).as_str().unwrap().contains(evil).then_some(()));
    let text = browser.text();
    assert!(text.matches("<img src=x onerror=").count() >= 4, "names, causes and problems: {text}");
    assert_eq!(browser.value("document.querySelectorAll('img, b').length"), 0);
    assert_eq!(browser.value("document.title").as_str().unwrap().trim_start_matches("(!) "), device.id);
}

#[test]
fn the_page_says_that_the_agent_is_away_and_goes_on_when_it_is_back() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let mut device = Device::without_podman("page-away");
    open(&mut device, &browser);
    device.end(Signal::KILL);
    wait_for_text(&device, &browser, "The agent doesn't answer: no connection. What you see is ");
    device.start_taking_metrics();
    device.post("back", 1);
    let is_away = "document.getElementById('away').hidden";
    device.wait_for("the page to go on", || (browser.value(is_away) == true).then_some(()));
    wait_for_text(&device, &browser, "back");
}

#[test]
fn a_hidden_page_asks_nothing() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let mut device = Device::without_podman("page-hidden");
    open(&mut device, &browser);
    let asked = "performance.getEntriesByType('resource').length";
    let hide = |is_hidden: bool| {
        let script = format!(
            "(Object.defineProperty(document, 'hidden', {{value: {is_hidden}, configurable: true}}), \
             document.dispatchEvent(new Event('visibilitychange')))"
        );
        browser.value(&script);
    };
    hide(true);
    pause(1500); // the one under way
    let before = browser.value(asked);
    pause(3000);
    assert_eq!(browser.value(asked), before);
    hide(false);
    device.wait_for("it to ask again", || (browser.value(asked) != before).then_some(()));
}

#[test]
fn a_small_device_at_a_glance() {
    let Some(browser) = Browser::start_or_skip() else { return };
    let Some(mut device) = Device::new("page-glance") else { return };
    device.id = "pi-on-the-roof".into();
    device.set("DEVICE_ID", "pi-on-the-roof");
    let mut own = edge_device("pi-on-the-roof", &[]);
    own["spec"]["profiles"] = json!([
        {"name": "power", "conditions": [
            {"name": "charged", "expression": "battery > 60"},
            {"name": "low", "expression": "battery < 60 && battery > 20"},
        ]},
        {"name": "climate", "conditions": [{"name": "cool", "expression": "temperature < 70"}]},
    ]);
    device.manifest("device.json", &own.to_string());
    let add = |name: &str, script: &str, profiles: serde_json::Value| {
        let mut workload = workload(name, script);
        workload["spec"]["profiles"] = profiles;
        workload["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 45}});
        device.manifest(&format!("{name}.json"), &workload.to_string());
    };
    let power =
        json!([{"name": "power", "conditions": [{"name": "charged"}, {"name": "low", "cpu": 50_000}]}]);
    add("camera", SLEEP, power);
    add("detector", SLEEP, json!([{"name": "climate", "conditions": ["cool"]}]));
    add("gateway", SLEEP, json!([]));
    add("uploader", "echo no uplink; exit 3", json!([]));
    open(&mut device, &browser);
    // a battery that runs down under load, while the box gets warm
    for step in 0..30 {
        device.post("battery", 84.0 - f64::from(step) * 1.5);
        device.post("temperature", 54.0 + f64::from(step % 7) * 0.7 + f64::from(step) * 0.55);
        pause(if std::env::var_os("DWNG_SCREENSHOT").is_some() { 2000 } else { 20 });
    }
    for (name, word) in
        [("camera", "running"), ("detector", "inactive"), ("gateway", "running"), ("uploader", "back-off")]
    {
        device.wait_for(&format!("{name} to be {word}"), || (state(&browser, name) == word).then_some(()));
    }
    assert_eq!(browser.value("document.querySelectorAll('#metrics .curve').length"), 2);
    let is_wider = "document.documentElement.scrollWidth > innerWidth";
    let picture = browser.picture(1200, 815);
    assert_eq!(browser.value(is_wider), false, "no wider than its window");
    if let Some(file) = std::env::var_os("DWNG_SCREENSHOT") {
        std::fs::write(file, BASE64_STANDARD.decode(picture).unwrap()).unwrap();
    }
    browser.picture(360, 700);
    assert_eq!(browser.value(is_wider), false, "nor on a telephone");
}
