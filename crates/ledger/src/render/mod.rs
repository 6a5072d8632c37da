//! A walk as people and programs read it: a tree, JSON, DOT, PROV-JSON; and all that one record says, as JSON.
//!
//! A page that is not the last says so in every format, and carries the cursor; rows that are not recorded yet stand
//! beside their view. Titles are made of
//! names, numbers and hashes; text that was sealed appears only if the caller opens it, with control characters
//! escaped.

mod beside;
mod dot;
mod json;
mod prov;
mod record;
mod tree;

pub use beside::{Beside, Note, Unsealed};
pub use dot::dot;
pub use json::json;
pub use prov::prov_json;
pub use record::{Known, record};
pub use tree::tree;

use std::fmt::Write;

/// Bytes as hex digits, for cursors.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text on one line that no terminal takes for a command.
pub fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_override(character) {
            // Writing to a `String` cannot fail.
            let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
        } else {
            line.push(character);
        }
    }
    line
}

/// Characters that reorder what stands around them.
const fn is_direction_override(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
