//! A moving line on stderr while a short command waits for the store.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two movements.
const TICK: Duration = Duration::from_millis(100);

/// The line. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Shows a line with this text, if `is_shown`.
    pub(crate) fn new(is_shown: bool, text: &str) -> Self {
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let bar = bar.with_style(ProgressStyle::default_spinner()).with_message(text.to_owned());
        if is_shown {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Shows another text.
    pub(crate) fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
