//! Rendering: one page, the same text for the same figures.

use super::{Machine, Section, Table};

/// What stands above the sections.
#[derive(Debug, Clone)]
pub struct Header {
    /// When it was made, as told.
    pub date: Option<String>,
    /// Times every figure was taken.
    pub runs: usize,
    /// The machine.
    pub machine: Machine,
    /// Share of the processor time that went to other machines meanwhile.
    pub steal: Option<f64>,
    /// Versions of the peers.
    pub peers: Vec<String>,
}

const INTRODUCTION: &str = "\
# Benchmarks

Made by one command, `cargo run --release -p lineate-bench -- report`, which starts the real server and everything it
is held against, on one machine, in one run. Do not edit: run it again.

## How to read this

- Machines are shared and differ, so no figure means anything alone. Read the **ratios**, of one table of one run.
- Every figure is the median of {RUNS}, with the least and the greatest beside it. A difference smaller than these
  spreads is none.
- A **floor** is the same work without Lineate: nothing that does the work can be faster. A **peer** is another program
  on the same data; what each includes stands above its table.
- The load generator, the server and the peers share the same processors. Processor time per operation (server process
  only, user and system) says what a shared processor hides.
";

/// The page, Markdown.
pub fn render(header: &Header, sections: &[Section]) -> String {
    let mut text = INTRODUCTION.replace("{RUNS}", &runs(header.runs));
    text += "\n## Machine and versions\n\n| | |\n|---|---|\n";
    let date = header.date.clone().unwrap_or_else(|| "not told; `--date` tells it".to_owned());
    let mut facts = vec![("date", date)];
    facts.extend(header.machine.facts.iter().cloned());
    if let Some(steal) = header.steal {
        facts.push((
            "taken by other machines",
            format!("{:.1} % of the processor time meanwhile", steal * 100.0),
        ));
    }
    facts.push(("peers", if header.peers.is_empty() { "none".to_owned() } else { header.peers.join(", ") }));
    for (name, value) in facts {
        text += &format!("| {name} | {value} |\n");
    }
    for section in sections.iter().filter(|section| !section.title.is_empty()) {
        text += &self::section(section);
    }
    text += "\n## Skipped\n\n";
    let mut skipped = sections.iter().flat_map(|section| &section.skipped).peekable();
    if skipped.peek().is_none() {
        text += "Nothing.\n";
    }
    for reason in skipped {
        text += &format!("- {reason}\n");
    }
    text
}

fn section(section: &Section) -> String {
    let mut text = format!("\n## {}\n", section.title);
    for paragraph in &section.paragraphs {
        text += &format!("\n{paragraph}\n");
    }
    for table in section.tables.iter().filter(|table| !table.rows.is_empty()) {
        text += &self::table(table);
    }
    if !section.notes.is_empty() {
        text.push('\n');
    }
    for note in &section.notes {
        text += &format!("- {note}\n");
    }
    text
}

fn table(table: &Table) -> String {
    let mut text = format!("\n**{}**\n\n| {} |\n|", table.caption, table.columns.join(" | "));
    for index in 0..table.columns.len() {
        // Names stand left, figures right.
        text.push_str(if index == 0 { "---|" } else { "---:|" });
    }
    text.push('\n');
    for row in &table.rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn runs(runs: usize) -> String {
    if runs == 1 { "one run".to_owned() } else { format!("{runs} runs") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_page_has_machine_sections_and_skips() {
        let mut table = Table::new("Rows per second", &["what", "rows/s"]);
        table.row(["ours".into(), "12 (10–13)".into()]);
        let section = Section {
            title: "Ingest".into(),
            paragraphs: vec!["What it is.".into()],
            tables: vec![table, Table::new("Empty", &["x"])],
            notes: vec!["A note.".into()],
            skipped: vec!["Redis: not installed".into()],
        };
        let header = Header {
            date: Some("2026-01-02".into()),
            runs: 5,
            machine: Machine { facts: vec![("processor", "A Chip".into())] },
            steal: Some(0.0123),
            peers: vec!["DuckDB 1".into()],
        };
        let page = render(&header, &[section]);
        let (introduction, rest) = page.split_once("\n## Machine").expect("it has machine facts");
        assert!(introduction.contains("the median of 5 runs"));
        expect![[r#"
             and versions

            | | |
            |---|---|
            | date | 2026-01-02 |
            | processor | A Chip |
            | taken by other machines | 1.2 % of the processor time meanwhile |
            | peers | DuckDB 1 |

            ## Ingest

            What it is.

            **Rows per second**

            | what | rows/s |
            |---|---:|
            | ours | 12 (10–13) |

            - A note.

            ## Skipped

            - Redis: not installed
        "#]]
        .assert_eq(rest);
    }
}
