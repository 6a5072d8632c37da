//! `lineate erase`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use lineate_client::{
    Client,
    v1::{EraseRequest, Erasure, erasure::ErasedText},
};
use serde_json::{Value, json};

use super::{Outcome, diff};
use crate::{
    error::Error,
    output::{
        Output, Page, Report, checkpoint, number,
        table::{Side, Table},
    },
};

const EXAMPLES: &str = "\
Examples:
  lineate erase view:weather --what owner      who ever answered for it
  lineate erase model:late@v2                  the code revision and parameters of its run
  lineate erase load:l7 --yes                  the paths of its files, without asking
  lineate erase b3:296b8eebdaa8                the name of a principal, in all records (see trace --agents)

Erased is the text that is kept beside a record. The record, its id and every proof stay as they are, and the \
erasure is recorded with who had it done. There is no way back.";

/// Erases texts that are kept beside records: owners, paths, parameters, names.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// KIND:[PROJECT/]NAME[@vN] or b3:HEX
    #[arg(value_name = "NODE")]
    node: String,
    /// owner, description, tag, path, code, parameter or principal; repeat it for more [default: all but principal]
    #[arg(long, value_name = "WORD", hide_default_value = true)]
    what: Vec<String>,
    /// Only show what would be erased
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let Arguments { node, what, plan, yes } = arguments;
    let request = EraseRequest { node, what, plan: true };
    if !yes {
        let planned = client.erase(request.clone()).await?;
        if plan {
            output.report(&Planned(planned))?;
            return Ok(Outcome::Done);
        }
        if !confirmed(planned).await? {
            return Err(Error::Usage("nothing was erased".to_owned()));
        }
    }
    output.report(&client.erase(EraseRequest { plan: false, ..request }).await?)?;
    Ok(Outcome::Done)
}

/// Asks whoever sits at the terminal.
///
/// # Errors
/// Nobody does.
async fn confirmed(planned: Erasure) -> Result<bool, Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage("erasing cannot be undone; say --yes where nobody can be asked".to_owned()));
    }
    let asked = tokio::task::spawn_blocking(move || -> io::Result<bool> {
        let mut page = Page::default();
        Planned(planned).text(&mut page);
        let mut terminal = io::stderr();
        write!(terminal, "{}Erase them for good? Type yes: ", page.as_str())?;
        terminal.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    });
    Ok(asked.await.map_err(io::Error::other)??)
}

/// What would be erased.
struct Planned(Erasure);

impl Report for Planned {
    fn text(&self, page: &mut Page) {
        let title = self.0.node.as_ref().map(|node| node.title.as_str()).unwrap_or_default();
        page.title(&format!("{title}: {} would be erased", counted(&self.0, false)), "");
        page.table(&table(&self.0.texts));
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}

impl Report for Erasure {
    fn text(&self, page: &mut Page) {
        let title = self.node.as_ref().map(|node| node.title.as_str()).unwrap_or_default();
        let place = checkpoint::place(self.checkpoint.as_ref());
        if self.records.is_empty() {
            page.verdict(true, &format!("{title}: {} erased before", counted(self, true)), &place);
        } else {
            page.verdict(true, &format!("{title}: {} erased", counted(self, false)), &place);
        }
        page.table(&table(&self.texts));
        page.facts(self.records.iter().map(|record| ("record", record)));
    }

    fn json(&self) -> Value {
        let texts = self.texts.iter().map(|text| {
            json!({
                "what": text.what,
                "of": number::text_or_null(&text.of),
                "commitment": text.commitment,
                "title": text.title,
                "before": text.before,
            })
        });
        let mut document = json!({
            "node": self.node.as_ref().map(diff::node),
            "texts": texts.collect::<Vec<_>>(),
            "records": self.records,
        });
        checkpoint::put(&mut document, self.checkpoint.as_ref());
        document
    }
}

fn counted(erasure: &Erasure, before: bool) -> String {
    let texts = erasure.texts.iter().filter(|text| text.before == before);
    number::counted(texts.count() as u64, "text")
}

fn table(texts: &[ErasedText]) -> Table {
    let mut table =
        Table::new([("TEXT", Side::Left), ("OF", Side::Left), ("COMMITMENT", Side::Left), ("", Side::Left)]);
    for text in texts {
        let what = format!("{} {}", text.what, text.of);
        let before = if text.before { "erased before" } else { "" };
        table.row([what.trim_end(), &text.title, &number::short_hash(&text.commitment), before]);
    }
    table
}
