//! What is defined, as it is shown.

use lineate_client::v1::{
    Annotations, CatalogListing, Column, Definition, Entity, Service, View, definition::Definition as Kind,
};
use lineate_types::DurationUs;
use serde_json::{Map, Value, json};

use crate::output::{
    Page, Report, number,
    table::{Side, Table},
};

impl Report for CatalogListing {
    fn text(&self, page: &mut Page) {
        let mut table = Table::new([
            ("DEFINITION", Side::Left),
            ("KEYS", Side::Left),
            ("FEATURES", Side::Right),
            ("OWNER", Side::Left),
        ]);
        for definition in self.definitions.iter().filter_map(|one| one.definition.as_ref()) {
            let keys =
                |keys: &[Column]| keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
            let owner = |beside: &Option<Annotations>| {
                beside.as_ref().and_then(|beside| beside.owner.clone()).unwrap_or_default()
            };
            match definition {
                Kind::Entity(entity) => {
                    table.row([title(definition), keys(&entity.keys), String::new(), String::new()]);
                }
                Kind::View(view) => table.row([
                    title(definition),
                    keys(&view.keys),
                    number::count(view.features.len() as u64),
                    owner(&view.annotations),
                ]),
                Kind::Service(service) => table.row([
                    title(definition),
                    keys(&service.keys),
                    number::count(service.features.len() as u64),
                    owner(&service.annotations),
                ]),
            }
        }
        match self.definitions.is_empty() {
            true => page.line("nothing is defined yet; `lineate apply FILE` defines"),
            false => page.table(&table),
        }
    }

    fn json(&self) -> Value {
        json!({"definitions": self.definitions.iter().map(Report::json).collect::<Vec<_>>()})
    }
}

impl Report for Definition {
    fn text(&self, page: &mut Page) {
        let Some(definition) = &self.definition else { return };
        page.title(&title(definition), "");
        match definition {
            Kind::Entity(entity) => page.facts([("keys", columns(&entity.keys))]),
            Kind::View(view) => show_view(page, view),
            Kind::Service(service) => show_service(page, service),
        }
    }

    fn json(&self) -> Value {
        match &self.definition {
            None => Value::Null,
            Some(Kind::Entity(entity)) => entity_document(entity),
            Some(Kind::View(view)) => view_document(view),
            Some(Kind::Service(service)) => service_document(service),
        }
    }
}

fn title(definition: &Kind) -> String {
    match definition {
        Kind::Entity(entity) => format!("entity:{}/{}", entity.project, entity.name),
        Kind::View(view) => format!("view:{}/{}@v{}", view.project, view.name, view.version),
        Kind::Service(service) => {
            format!("service:{}/{}@v{}", service.project, service.name, service.version)
        }
    }
}

fn show_view(page: &mut Page, view: &View) {
    let history = if view.shares_history { "shared with the version before" } else { "" };
    let facts = [
        ("entity", view.entity.clone()),
        ("keys", columns(&view.keys)),
        ("event time", view.event_time.clone()),
        ("created time", view.created_time.clone().unwrap_or_default()),
        ("time to live", view.ttl_us.map_or_else(|| "no limit".to_owned(), ttl)),
        ("mode", view.default_mode.clone()),
        ("history", history.to_owned()),
    ];
    page.facts(facts.into_iter().chain(beside(view.annotations.as_ref(), &view.record)));
    page.gap();
    let mut table = Table::new([("FEATURE", Side::Left), ("TYPE", Side::Left)]);
    for feature in &view.features {
        table.row([feature.name.clone(), feature.r#type.clone()]);
    }
    page.table(&table);
}

fn show_service(page: &mut Page, service: &Service) {
    let facts = [("keys", columns(&service.keys))];
    page.facts(facts.into_iter().chain(beside(service.annotations.as_ref(), &service.record)));
    page.gap();
    let mut table =
        Table::new([("COLUMN", Side::Left), ("TYPE", Side::Left), ("FROM", Side::Left), ("BY", Side::Left)]);
    for feature in &service.features {
        table.row([
            feature.column.clone(),
            feature.r#type.clone(),
            format!("{}.{}", feature.view, feature.feature),
            feature.key_columns.join(", "),
        ]);
    }
    page.table(&table);
}

fn beside(beside: Option<&Annotations>, record: &str) -> [(&'static str, String); 4] {
    let Annotations { owner, description, tags } = beside.cloned().unwrap_or_default();
    let mut tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    tags.sort_unstable();
    [
        ("owner", owner.unwrap_or_default()),
        ("description", description.unwrap_or_default()),
        ("tags", tags.join("  ")),
        ("record", record.to_owned()),
    ]
}

fn columns(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("{} {}", column.name, column.r#type)).collect::<Vec<_>>().join(", ")
}

fn ttl(micros: i64) -> String {
    DurationUs(micros).to_string()
}

fn entity_document(entity: &Entity) -> Value {
    json!({
        "kind": "entity",
        "project": entity.project,
        "name": entity.name,
        "keys": column_documents(&entity.keys),
    })
}

fn view_document(view: &View) -> Value {
    let document = json!({
        "kind": "view",
        "project": view.project,
        "name": view.name,
        "version": view.version,
        "entity": view.entity,
        "keys": column_documents(&view.keys),
        "event_time": view.event_time,
        "created_time": view.created_time,
        "ttl": view.ttl_us.map(ttl),
        "naive_times_are_utc": view.naive_times_are_utc,
        "default_mode": view.default_mode,
        "shares_history": view.shares_history,
        "features": column_documents(&view.features),
        "record": view.record,
    });
    annotated(document, view.annotations.as_ref())
}

fn service_document(service: &Service) -> Value {
    let features: Vec<Value> = service
        .features
        .iter()
        .map(|feature| {
            json!({
                "column": feature.column,
                "type": feature.r#type,
                "view": feature.view,
                "alias": feature.alias,
                "feature": feature.feature,
                "key_columns": feature.key_columns,
            })
        })
        .collect();
    let document = json!({
        "kind": "service",
        "project": service.project,
        "name": service.name,
        "version": service.version,
        "keys": column_documents(&service.keys),
        "features": features,
        "record": service.record,
    });
    annotated(document, service.annotations.as_ref())
}

fn annotated(mut document: Value, beside: Option<&Annotations>) -> Value {
    let Annotations { owner, description, tags } = beside.cloned().unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        let tags: Map<String, Value> = tags.into_iter().map(|(key, value)| (key, json!(value))).collect();
        fields.extend([
            ("owner".to_owned(), json!(owner)),
            ("description".to_owned(), json!(description)),
            ("tags".to_owned(), Value::Object(tags)),
        ]);
    }
    document
}

fn column_documents(columns: &[Column]) -> Vec<Value> {
    columns.iter().map(|column| json!({"name": column.name, "type": column.r#type})).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn column(name: &str, data_type: &str) -> Column {
        Column { name: name.into(), r#type: data_type.into() }
    }

    #[test]
    fn a_view_shows_what_decides_its_answers_and_who_answers_for_it() {
        let annotations = Annotations {
            owner: Some("ops@example.com".into()),
            description: None,
            tags: [("tier".to_owned(), "1".to_owned())].into(),
        };
        let view = View {
            project: "flights".into(),
            name: "weather".into(),
            version: 2,
            entity: "airport".into(),
            keys: vec![column("origin", "string")],
            event_time: "event_timestamp".into(),
            ttl_us: Some(3 * 3_600_000_000),
            default_mode: "event".into(),
            features: vec![column("temp", "float64")],
            annotations: Some(annotations),
            record: "b3:77".into(),
            shares_history: true,
            ..View::default()
        };
        let definition = Definition { definition: Some(Kind::View(view)) };
        let mut page = Page::default();
        definition.text(&mut page);
        expect![[r#"
            view:flights/weather@v2
              entity        airport
              keys          origin string
              event time    event_timestamp
              time to live  3h
              mode          event
              history       shared with the version before
              owner         ops@example.com
              tags          tier=1
              record        b3:77

              FEATURE   TYPE
              temp      float64
        "#]]
        .assert_eq(page.as_str());
        let document = definition.json();
        assert_eq!(document["owner"], "ops@example.com");
        assert_eq!(document["tags"]["tier"], "1");
        assert_eq!((&document["ttl"], &document["description"]), (&json!("3h"), &Value::Null));
    }
}
