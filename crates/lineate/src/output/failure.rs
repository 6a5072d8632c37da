//! Errors and warnings on standard error: for people, or as `{"error":{"kind","message","details"}}` and
//! `{"warning":{"message"}}`.

use std::io::Write;

use console::style;
use lineate_client::v1::ErrorDetail;
use serde_json::{Map, Value, json};

use super::Format;
use crate::error::Error;

/// Prints why a command failed.
pub(crate) fn print(error: &Error, format: Format) {
    let (mut detail, hint) = (error.detail(), error.hint());
    let text = match format {
        Format::Json => {
            detail.details.extend(hint.map(|hint| ("hint".to_owned(), hint)));
            format!("{}\n", document(&detail))
        }
        _ => page(&detail, hint.as_deref()),
    };
    // Nobody is left to tell if standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints what whoever asked should know before the command goes on.
pub(crate) fn warn(text: &str, format: Format) {
    let line = match format {
        Format::Json => json!({"warning": {"message": text}}).to_string(),
        _ => format!("{}: {text}", style("warning").yellow().bold().for_stderr()),
    };
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints why a command line cannot be run, as JSON.
pub(crate) fn print_usage_json(refusal: &clap::Error) {
    let text = refusal.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let detail = ErrorDetail {
        kind: "invalid".to_owned(),
        message,
        details: [("usage".to_owned(), text)].into(),
        ..ErrorDetail::default()
    };
    let _ = writeln!(std::io::stderr(), "{}", document(&detail));
}

fn document(detail: &ErrorDetail) -> Value {
    let mut details: Map<String, Value> =
        detail.details.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    if let Some(micros) = detail.retry_after_us {
        details.insert("retry_after_us".into(), micros.into());
    }
    json!({"error": {"kind": detail.kind, "message": detail.message, "details": details}})
}

fn page(detail: &ErrorDetail, hint: Option<&str>) -> String {
    let mark = style("error").red().bold().for_stderr();
    let mut text = format!("{mark}: {}\n", detail.message);
    if let Some(hint) = hint {
        text += &format!("{}: {hint}\n", style("hint").cyan().bold().for_stderr());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_one_form_for_programs_and_one_for_people() {
        let detail = ErrorDetail {
            kind: "not_found".into(),
            message: "view `wether` does not exist; did you mean `weather`?".into(),
            details: [("view".to_owned(), "wether".to_owned())].into(),
            retry_after_us: None,
        };
        assert_eq!(
            document(&detail).to_string(),
            r#"{"error":{"kind":"not_found","message":"view `wether` does not exist; did you mean `weather`?","details":{"view":"wether"}}}"#
        );
        assert_eq!(
            page(&detail, Some("look")),
            "error: view `wether` does not exist; did you mean `weather`?\nhint: look\n"
        );
    }
}
