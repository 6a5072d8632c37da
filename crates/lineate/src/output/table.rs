//! Tables for people: no lines, a quiet header, numbers to the right.

use console::{Alignment, measure_text_width, pad_str, style};

/// How wide a column may get before its cells are cut.
const MAX_WIDTH: usize = 64;

/// A column's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new<Title: Into<String>>(columns: impl IntoIterator<Item = (Title, Side)>) -> Self {
        let columns = columns.into_iter().map(|(title, side)| (title.into(), side));
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column; cells may be styled.
    pub(crate) fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().map(|cell| shorten(cell.into())).collect());
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, indented by two.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, (title, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(position));
                cells.map(|cell| measure_text_width(cell)).chain([title.len()]).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let padded: Vec<String> = cells
                .zip(&self.columns)
                .zip(&widths)
                .map(|((cell, (_, side)), width)| {
                    let alignment = match side {
                        Side::Left => Alignment::Left,
                        Side::Right => Alignment::Right,
                    };
                    pad_str(&cell, *width, alignment, None).into_owned()
                })
                .collect();
            format!("  {}\n", padded.join("   ").trim_end())
        };
        let header = line(&mut self.columns.iter().map(|(title, _)| style(title).dim().to_string()));
        let body = self.rows.iter().map(|row| line(&mut row.iter().cloned()));
        std::iter::once(header).chain(body).collect()
    }
}

fn shorten(cell: String) -> String {
    let line = cell.replace(['\n', '\r', '\t'], " ");
    if measure_text_width(&line) <= MAX_WIDTH {
        return line;
    }
    console::truncate_str(&line, MAX_WIDTH, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn numbers_go_right_and_long_cells_are_cut() {
        let mut table = Table::new([("NAME", Side::Left), ("ROWS", Side::Right), ("NOTE", Side::Left)]);
        table.row(["weather", "26,115", "ok"]);
        table.row(["rösti\n", "7", ""]);
        table.row(["x".repeat(100), "1".into(), "end".into()]);
        // The indentation matters, so the first line is one that `expect!` may not strip.
        let text = format!("table\n{}", table.render());
        expect![[r#"
            table
              NAME                                                                 ROWS   NOTE
              weather                                                            26,115   ok
              rösti                                                                   7
              xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…        1   end
        "#]]
        .assert_eq(&text);
    }
}
