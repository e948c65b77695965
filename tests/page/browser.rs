//! A browser of a test's own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::support::{Part, skip_without};

/// Debian's packages put both here.
const DRIVER: &str = "/usr/bin/chromedriver";
const BROWSER: &str = "/usr/bin/chromium";
/// No window, nothing of a user's, and no talk but with the page.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// A session of WebDriver, with one window.
pub(crate) struct Browser {
    driver: Child,
    /// The session's URL.
    session: String,
    agent: Agent,
    _profile: TempDir,
}

impl Browser {
    /// `None` after saying by name which test was skipped: there is no browser.
    pub(super) fn start_or_skip() -> Option<Self> {
        if ![DRIVER, BROWSER].iter().all(|file| Path::new(file).exists()) {
            skip_without(
                Part::Found,
                "there is no Chromium with its driver: packages chromium and chromium-driver",
            );
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(DRIVER);
        // what it writes belongs to the test as well
        command.arg("--port=0").env("HOME", profile.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started = "ChromeDriver was started successfully on port ";
        let port = lines.find_map(|line| line.unwrap().strip_prefix(started).map(str::to_owned)).unwrap();
        let port = port.trim_end_matches('.');
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: url, agent, _profile: profile };
        let profile = format!("--user-data-dir={}", browser._profile.path().join("profile").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([&*profile, "--window-size=1000,900"]).collect();
        let options = json!({"binary": BROWSER, "args": flags});
        let wish = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.command("", &wish);
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {session}"));
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    /// Looks through the window that tests take turns at: a browser for each would be too much for a small machine. It
    /// ends with the last of those who wait for it.
    pub(crate) fn shared<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        static WINDOW: Mutex<Weak<Mutex<Browser>>> = Mutex::new(Weak::new());
        let mut window = WINDOW.lock().unwrap_or_else(PoisonError::into_inner);
        let browser = match window.upgrade() {
            Some(browser) => browser,
            None => Arc::new(Mutex::new(Self::start_or_skip()?)),
        };
        *window = Arc::downgrade(&browser);
        drop(window);
        let browser = browser.lock().unwrap_or_else(PoisonError::into_inner);
        Some(look(&browser))
    }

    fn command(&self, path: &str, parameters: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let mut response = self.agent.post(&url).send(parameters.to_string()).unwrap();
        let text = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_string().unwrap();
        assert_eq!(response.status(), 200, "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].clone()
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// The value of an expression on the page.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.command("/execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    /// What a person can read there.
    pub(super) fn text(&self) -> String {
        self.value("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Runs a command of Chromium's own.
    fn chromium(&self, name: &str, parameters: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// What a script hands to the function that is its last argument.
    pub(super) fn outcome(&self, script: &str) -> Value {
        self.command("/execute/async", &json!({"script": script, "args": []}))
    }

    /// What the user's system wants: `light` or `dark`.
    pub(super) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.chromium("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Makes the window so wide and high, and takes a picture of it: a PNG in base64.
    pub(super) fn picture(&self, width: u32, height: u32) -> String {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.chromium("Emulation.setDeviceMetricsOverride", &size);
        let shot = self.chromium("Page.captureScreenshot", &json!({"format": "png"}));
        shot["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // the browser ends with its session, and not with its driver
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
