//! `lineate get`.

use clap::Args;
use console::{StyledObject, style};
use lineate_client::{Answer, Client, v1::FeatureStatus};
use lineate_types::TimestampUs;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::{
    entity::{self, Entity},
    error::Error,
    output::{
        Output, Page, Report, cell,
        table::{Side, Table},
    },
};

const EXAMPLES: &str = "\
Examples:
  lineate get delay_model --entity origin=JFK,dest=LAX
  lineate get delay_model --entity origin=JFK --entity origin=LGA
  lineate get delay_model --entity origin=JFK --at 2013-06-01T12:00:00Z
  lineate get delay_model --entity 'name=a%2Cb'          write : , = % in values as %3A %2C %3D %25

Statuses: present; null (the row says so); absent (no row, or it was deleted); expired (the latest row is \
older than the view's ttl). The answer holds as of the time shown: nothing committed later can change it.";

/// Looks the features of a service up for one or more entities, now or at a time.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The service: [project/]name[@vN]
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The keys of one entity; repeat it for more
    #[arg(long = "entity", required = true, value_name = "KEY=VALUE,...")]
    entities: Vec<Entity>,
    /// What was known then, such as 2013-06-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<TimestampUs>,
}

pub(crate) async fn run(
    arguments: Arguments,
    client: &Client,
    output: &mut Output,
) -> Result<Outcome, Error> {
    let columns = entity::columns(&arguments.entities)?;
    let answer = client.get_features(&arguments.service, columns, arguments.at).await?;
    output.report(&Features { entities: arguments.entities, at: arguments.at, answer })?;
    Ok(Outcome::Done)
}

/// An answer beside what was asked.
pub(crate) struct Features {
    pub(crate) entities: Vec<Entity>,
    pub(crate) at: Option<TimestampUs>,
    pub(crate) answer: Answer,
}

impl Report for Features {
    fn text(&self, page: &mut Page) {
        let answer = &self.answer;
        let beside = match self.at {
            Some(at) => format!("at {at} · as of {}", answer.as_of),
            None => format!("as of {}", answer.as_of),
        };
        page.title(&answer.service, &beside);
        let schema = answer.features.schema();
        for (row, Entity(keys)) in self.entities.iter().enumerate() {
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            page.gap();
            page.line(&format!("{}", style(keys.join("  ")).cyan().bold()));
            let mut table = Table::new([
                ("FEATURE", Side::Left),
                ("VALUE", Side::Right),
                ("STATUS", Side::Left),
                ("EVENT TIME", Side::Left),
            ]);
            for (position, (field, column)) in
                schema.fields().iter().zip(answer.features.columns()).enumerate()
            {
                let status = answer.status(row, position);
                let value = match status {
                    FeatureStatus::Present => cell::text(field, column, row),
                    _ => style("–").dim().to_string(),
                };
                let time = answer.event_time(row, position).map(|time| time.to_string());
                table.row([
                    field.name().clone(),
                    value,
                    styled(status).to_string(),
                    time.unwrap_or_default(),
                ]);
            }
            page.table(&table);
        }
    }

    fn json(&self) -> Value {
        let answer = &self.answer;
        let schema = answer.features.schema();
        let entities: Vec<Value> = self
            .entities
            .iter()
            .enumerate()
            .map(|(row, Entity(keys))| {
                let keys: Map<String, Value> =
                    keys.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
                let features: Map<String, Value> = schema
                    .fields()
                    .iter()
                    .zip(answer.features.columns())
                    .enumerate()
                    .map(|(position, (field, column))| {
                        let time = answer.event_time(row, position).map(|time| time.to_string());
                        let feature = json!({
                            "value": cell::json(field, column, row),
                            "status": word(answer.status(row, position)),
                            "event_time": time,
                        });
                        (field.name().clone(), feature)
                    })
                    .collect();
                json!({"keys": keys, "features": features})
            })
            .collect();
        json!({
            "service": answer.service,
            "as_of": answer.as_of.to_string(),
            "at": self.at.map(|time| time.to_string()),
            "entities": entities,
        })
    }
}

fn word(status: FeatureStatus) -> &'static str {
    match status {
        FeatureStatus::Present => "present",
        FeatureStatus::Null => "null",
        FeatureStatus::Absent => "absent",
        FeatureStatus::Expired => "expired",
        FeatureStatus::Unspecified => "unknown",
    }
}

fn styled(status: FeatureStatus) -> StyledObject<&'static str> {
    let text = style(word(status));
    match status {
        FeatureStatus::Present => text.green(),
        FeatureStatus::Expired => text.yellow(),
        _ => text.dim(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use expect_test::expect;
    use lineate_client::{
        ipc,
        v1::{GetFeaturesReply, get_features_reply::ViewAnswer},
    };

    use super::*;

    fn features() -> Features {
        let columns: [(&str, ArrayRef); 2] = [
            ("weather__temp", Arc::new(Float64Array::from(vec![Some(21.5), None]))),
            ("weather__sky", Arc::new(StringArray::from(vec![None::<&str>, None]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("equal lengths");
        let reply = GetFeaturesReply {
            service: "delay_model@v1".into(),
            as_of_us: 1_370_088_000_000_000,
            features: ipc::encode(&batch).expect("encodes"),
            statuses: vec![1, 4, 2, 3].into(),
            views: vec![ViewAnswer {
                alias: "weather".into(),
                view: "weather@v1".into(),
                columns: vec![0, 1],
                event_times_us: vec![1_370_084_400_000_000, 1_370_000_000_000_000],
            }],
            entities: 2,
        };
        Features {
            entities: vec!["origin=JFK".parse().expect("valid"), "origin=LGA".parse().expect("valid")],
            at: None,
            answer: Answer::from_reply(reply).expect("whole"),
        }
    }

    #[test]
    fn an_answer_shows_value_status_and_time_of_every_feature() {
        let mut page = Page::default();
        let mut past = features();
        (past.entities, past.at) = (vec![], Some(TimestampUs(0)));
        past.text(&mut page);
        page.gap();
        features().text(&mut page);
        expect![[r#"
            delay_model@v1  at 1970-01-01T00:00:00.000000Z · as of 2013-06-01T12:00:00.000000Z

            delay_model@v1  as of 2013-06-01T12:00:00.000000Z

            origin=JFK
              FEATURE         VALUE   STATUS    EVENT TIME
              weather__temp    21.5   present   2013-06-01T11:00:00.000000Z
              weather__sky        –   null      2013-06-01T11:00:00.000000Z

            origin=LGA
              FEATURE         VALUE   STATUS    EVENT TIME
              weather__temp       –   expired   2013-05-31T11:33:20.000000Z
              weather__sky        –   absent
        "#]]
        .assert_eq(page.as_str());
    }

    #[test]
    fn the_document_holds_the_same() {
        let document = features().json();
        assert_eq!(document["as_of"], "2013-06-01T12:00:00.000000Z");
        let second = &document["entities"][1];
        assert_eq!(second["keys"]["origin"], "LGA");
        assert_eq!(second["features"]["weather__temp"]["status"], "expired");
        assert_eq!(second["features"]["weather__temp"]["value"], Value::Null);
        assert_eq!(second["features"]["weather__sky"]["event_time"], Value::Null);
    }
}
