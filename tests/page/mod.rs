//! The status page in a real browser: Chromium, driven over the WebDriver protocol.
//!
//! Where there is no `chromedriver` these tests are skipped by name. `DWNG_SCREENSHOT=file.png` keeps a picture of
//! the page with some workloads on it, as the README shows it.

mod browser;
mod live;
