//! How the page looks: in windows of all widths, with none to hundreds of workloads, by day and night; and whether those
//! can use it who don't see it.

use std::{fs, path::Path};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use device_worker_ng::agent::model::report::Report;
use serde_json::json;

use super::{browser::Browser, made};
use crate::support::{Device, Part, skip_without};

const WIDTHS: [u32; 7] = [320, 641, 768, 1000, 1001, 1280, 3840];
/// Of these there are pictures.
const PICTURES: [u32; 4] = [320, 768, 1280, 3840];
/// `scripts/install-needs ci` puts it there, by npm.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/axe.min.js");

/// Which boxes lie outside of the window, and which texts lie on others.
const FAULTS: &str = "(() => {
  const faults = [], boxes = [], say = (node) => `${node.parentNode.tagName}: ${node.textContent.slice(0, 40)}`;
  if (document.documentElement.scrollWidth > innerWidth) faults.push('wider than the window');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    if (node.parentNode.closest('.unseen, script, noscript, [hidden]') || !node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 1) continue;
      if (box.left < -1 || box.right > innerWidth + 1) faults.push('outside: ' + say(node));
      boxes.push([box, node]);
    }
  }
  boxes.sort(([a], [b]) => a.top - b.top);
  boxes.forEach(([a, one], index) => {
    for (let i = index + 1; i < boxes.length && boxes[i][0].top < a.bottom - 4; i++) {
      const [b, other] = boxes[i];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      if (wide > 1) faults.push(`${say(one)} on ${say(other)}`);
    }
  });
  return faults.slice(0, 10);
})()";

/// A page that any report can be put on.
struct Stage {
    browser: Browser,
    device: Device,
}

impl Stage {
    fn open_or_skip(name: &str) -> Option<Self> {
        let browser = Browser::start_or_skip()?;
        let mut device = Device::without_podman(name);
        device.set("STATUS_PAGE", "true");
        device.start_taking_metrics();
        browser.open(&format!("http://127.0.0.1:{}/", device.port));
        let past = made::past();
        browser.value(&format!(
            "(window.past = {past}, window.asks = [], window.fetch = async (path) => {{
               window.asks.push(path);
               if (!window.made) throw new TypeError('gone');
               return new Response(JSON.stringify(path === '/history.json' ? window.past : window.made));
             }}, 0)"
        ));
        Some(Self { browser, device })
    }

    fn put(&self, report: &Report) {
        self.browser.value(&format!("(window.made = {}, 0)", json!(report)));
        self.wait_for(&format!("document.getElementById('device').textContent === '{}'", report.device.id));
        self.wait_for("document.getElementById('away').hidden");
    }

    fn wait_for(&self, expression: &str) {
        let is_true = || (self.browser.value(expression) == true).then_some(());
        self.device.wait_for(expression, is_true);
    }

    fn text(&self, selector: &str) -> String {
        let text =
            format!("[...document.querySelectorAll('{selector}')].map(it => it.textContent).join('|')");
        self.browser.value(&text).as_str().unwrap_or_default().to_owned()
    }

    fn click(&self, selector: &str) {
        self.browser.value(&format!("document.querySelector('{selector}').click()"));
    }

    fn search(&self, word: &str) {
        let filter = "document.getElementById('filter')";
        let script = format!("({filter}.value = '{word}', {filter}.dispatchEvent(new Event('input')))");
        self.browser.value(&script);
    }
}

#[test]
fn nothing_is_cut_off_or_lies_on_other_text_at_any_width() {
    let Some(stage) = Stage::open_or_skip("page-widths") else { return };
    let kept = std::env::var_os("DWNG_SCREENSHOTS");
    for count in [0, 5, 40, 400] {
        stage.put(&made::report(count));
        for scheme in ["light", "dark"] {
            stage.browser.prefer(scheme);
            for width in WIDTHS {
                // (charts are drawn anew when the window has another width)
                let high = if width == 3840 { 2160 } else { 900 };
                stage.browser.picture(width, high);
                stage.wait_for(&format!("innerWidth === {width}"));
                let faults = stage.browser.value(FAULTS);
                assert_eq!(faults, json!([]), "{count} workloads, {width} pixels wide, {scheme}");
                if let Some(directory) = kept.as_ref().filter(|_| PICTURES.contains(&width)) {
                    let whole =
                        stage.browser.value("document.documentElement.scrollHeight").as_u64().unwrap();
                    let picture = stage.browser.picture(width, whole.clamp(u64::from(high), 2600) as u32);
                    let picture = BASE64_STANDARD.decode(picture).unwrap();
                    let name = format!("{count:03}-{width:04}-{scheme}.png");
                    fs::write(Path::new(directory).join(name), picture).unwrap();
                }
            }
        }
    }
}

#[test]
fn failures_come_first_in_natural_order_and_all_are_counted() {
    let Some(stage) = Stage::open_or_skip("page-order") else { return };
    stage.put(&made::report(40));
    let names = stage.text("#workloads tbody th");
    assert!(names.starts_with("w0|w5|w7|w15|w20|w25|w33|w35|w8|camera"), "{names}");
    assert!(names.contains("|w1|w2|w3|w6|w9|w10|w11|"), "{names}");
    let counts = stage.text("#counts li");
    assert_eq!(counts, "1 back-off|3 failed|4 unknown|1 pulling|1 inactive|1 scheduled|29 running");
    assert_eq!(stage.text("#remedies li"), format!("{} (4 workloads)", made::REMEDY), "once");
    assert_eq!(stage.text("#workloads .why").matches(made::REMEDY).count(), 0);
    assert_eq!(stage.text("#workloads .why").matches("see remedy 1 above").count(), 4);
    // what changes its place stays the same row
    stage.browser.value("(window.row = document.querySelectorAll('#workloads tbody tr')[1], 0)");
    let mut report = made::report(40);
    report.device.id = "mended".into();
    report.workloads.iter_mut().filter(|it| it.name == "w5").for_each(|it| it.well = true);
    stage.put(&report);
    assert_eq!(stage.browser.value("window.row.isConnected && window.row.rowIndex > 10"), true);
}

#[test]
fn the_filter_and_the_counts_choose_what_is_shown() {
    let Some(stage) = Stage::open_or_skip("page-filter") else { return };
    stage.put(&made::report(5));
    assert_eq!(stage.browser.value("document.getElementById('filter').hidden"), true, "few need none");
    stage.put(&made::report(40));
    stage.search(" W1");
    assert_eq!(stage.text("#workloads tbody th").split('|').count(), 11);
    assert_eq!(stage.text("#no-workloads"), "11 of 40 shown");
    stage.search("exit code 3");
    assert_eq!(stage.text("#workloads tbody th"), "w0");
    stage.search("nowhere");
    assert_eq!(stage.text("#no-workloads"), "0 of 40 shown");
    stage.search("");
    stage.click("#counts button[data-state=failed]");
    assert_eq!(stage.text("#workloads tbody th"), "w7|w20|w33");
    assert_eq!(stage.text("#counts [aria-pressed=true]"), "3 failed");
    stage.click("#counts button[data-state=failed]");
    assert_eq!(stage.text("#workloads tbody th").split('|').count(), 40);
}

#[test]
fn a_workload_tells_its_history_and_its_last_runs_when_it_is_asked() {
    let Some(stage) = Stage::open_or_skip("page-history") else { return };
    stage.put(&made::report(5));
    assert_eq!(
        stage.browser.value("window.asks.includes('/history.json')"),
        false,
        "not before a person looks"
    );
    let details = |name: &str| {
        let rows = "[...document.querySelectorAll('#workloads tbody tr')]";
        format!("{rows}.find(row => row.cells[0].textContent === '{name}').querySelector('details')")
    };
    stage.browser.value(&format!("{}.firstChild.click()", details("w0")));
    let text = |name: &str| stage.browser.value(&format!("{}.innerText", details(name)));
    stage.wait_for(&format!("{}.innerText.includes('back-off')", details("w0")));
    let known = text("w0");
    let known: Vec<&str> = known.as_str().unwrap().lines().filter(|line| !line.is_empty()).collect();
    assert!(known.contains(&"w0-0123456789ab, podman, from manifests"), "{known:?}");
    let newest = known.iter().position(|it| it.contains("back-off <b>now</b> (40 times since ")).unwrap();
    assert!(known[newest + 1].contains("for the first time"), "{known:?}");
    stage.browser.value(&format!("{}.firstChild.click()", details("w3")));
    stage.wait_for(&format!("{}.innerText.includes('(12 times')", details("w3")));
    let known = text("w3").as_str().unwrap().to_owned();
    assert_eq!(known.matches("with exit code 0").count(), 4, "{known}");
    assert!(known.contains("ran 11m 40s ago, after 7s, with exit code 1"), "{known}");
    assert!(known.contains("runs at */5 * * * *"), "{known}");
}

#[test]
fn who_listens_is_told_once_that_the_agent_is_away_and_that_it_is_back() {
    let Some(stage) = Stage::open_or_skip("page-listen") else { return };
    let report = made::report(5);
    stage.put(&report);
    stage.browser.value(
        "(window.said = [], new MutationObserver(() => window.said.push(document.getElementById('news').textContent))
          .observe(document.getElementById('news'), {childList: true, characterData: true, subtree: true}), 0)",
    );
    stage.browser.value("(window.made = null, window.asks = [], 0)");
    stage.wait_for("window.asks.length > 2 && !document.getElementById('away').hidden");
    stage.put(&report);
    stage.wait_for("window.said.length === 2");
    let said = json!(["The agent doesn't answer: no connection", "The agent answers again"]);
    assert_eq!(stage.browser.value("window.said"), said);
    assert_eq!(stage.text("[role=status]#news"), "The agent answers again");
}

#[test]
fn axe_finds_nothing_that_keeps_people_out() {
    let Ok(axe) = fs::read_to_string(AXE) else {
        skip_without(Part::Found, "axe-core isn't here: 'scripts/install-needs ci' gets it by npm");
        return;
    };
    let Some(stage) = Stage::open_or_skip("page-axe") else { return };
    stage.browser.value(&format!("(() => {{ {axe}; window.axe = axe }})()"));
    let find = |what: &str| {
        let found = stage.browser.outcome(
            "const done = arguments[0];
             axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations.map(
               ({ id, nodes }) => [id, ...nodes.map((it) => it.target.join() + ': ' + it.failureSummary)])),
               (error) => done(String(error)))",
        );
        assert_eq!(found, json!([]), "{what}: {found:#}");
    };
    for count in [0, 5, 40] {
        stage.put(&made::report(count));
        if count == 5 {
            stage.browser.value("document.querySelectorAll('summary').forEach((it) => it.click())");
        }
        for scheme in ["light", "dark"] {
            stage.browser.prefer(scheme);
            for width in [320, 1280] {
                stage.browser.picture(width, 900);
                find(&format!("{count} workloads, {width} pixels wide, {scheme}"));
            }
        }
    }
    stage.browser.value("(window.made = null, 0)");
    stage.wait_for("!document.getElementById('away').hidden");
    find("the agent is away");
}
