//! Progress on a terminal's standard error; nothing anywhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lineate_client::v1::{Progress, progress::Unit};

/// One line that shows what a long command does, phase by phase, and vanishes when it is done.
pub(crate) struct Bar {
    bar: ProgressBar,
    shown: Option<(String, Unit, bool)>,
}

impl Bar {
    /// A bar that shows nothing yet. Where standard error is no terminal, it never does.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(15));
        Self { bar, shown: None }
    }

    /// Shows how far the work is.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let unit = progress.unit();
        let phase = (progress.phase.clone(), unit, progress.total.is_some());
        if self.shown.as_ref() != Some(&phase) {
            self.bar.reset();
            self.bar.set_style(bar_style(unit, progress.total.is_some()));
            self.bar.set_message(progress.phase.clone());
            self.bar.enable_steady_tick(Duration::from_millis(100));
            self.shown = Some(phase);
        }
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
    }

    /// A handle that shows bytes of a phase from elsewhere, such as from a stream that is being sent.
    pub(crate) fn bytes(&mut self, phase: &str, total: Option<u64>) -> impl Fn(u64) + Send + 'static {
        self.show(&Progress { phase: phase.to_owned(), done: 0, total, unit: Unit::Bytes.into() });
        let bar = self.bar.clone();
        move |done| bar.set_position(done)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bar_style(unit: Unit, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        (Unit::Bytes, true) => {
            "{spinner:.cyan} {msg} {bar:32.cyan/dim} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
        }
        (Unit::Bytes, false) => "{spinner:.cyan} {msg} {bytes} {binary_bytes_per_sec}",
        (Unit::Unspecified, _) => "{spinner:.cyan} {msg} {elapsed}",
        (_, true) => "{spinner:.cyan} {msg} {bar:32.cyan/dim} {human_pos}/{human_len} {per_sec} {eta}",
        (_, false) => "{spinner:.cyan} {msg} {human_pos} {per_sec}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_valid_and_a_bar_takes_any_progress() {
        let mut bar = Bar::new();
        for unit in 0..6 {
            for total in [None, Some(10)] {
                let template = bar_style(Unit::try_from(unit).expect("a unit"), total.is_some());
                bar.bar.set_style(template);
                bar.show(&Progress { phase: "sorting".into(), done: 3, total, unit });
            }
        }
    }
}
