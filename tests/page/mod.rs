//! The status page in a real browser: Chromium, driven over the WebDriver protocol.
//!
//! Where there is no `chromedriver` these tests are skipped by name. `DWNG_SCREENSHOT=file.png` keeps a picture of
//! the page with some workloads on it, as the README shows it; `DWNG_SCREENSHOTS=directory` keeps those of [`looks`].

mod browser;
mod live;
mod looks;
mod made;

pub(crate) use browser::Browser;
