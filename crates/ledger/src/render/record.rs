//! The JSON form of a record: every field by its name.

use lineate_types::Hash;
use serde_json::{Map, Value, json};

use crate::{
    Sealed,
    record::{
        Assertion, Collection, Dataset, Erasure, Evaluation, Load, Model, Promotion, Record, Run, Seal,
        Service, Source, View,
    },
};

/// What the caller of a drawing knows of what a record only names.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// A text by its commitment, or what became of it.
    pub text: &'a dyn Fn(Sealed) -> Value,
    /// A record by its id.
    pub node: &'a dyn Fn(Hash) -> Value,
}

/// All that a record says, as one JSON object: fields in the words of `docs/formats/record.md`, hashes and times as
/// text, what it seals and what it names as the caller knows them. What a record does not have is null.
pub fn record(record: &Record, known: Known<'_>) -> Map<String, Value> {
    let text = |sealed: &Sealed| (known.text)(*sealed);
    let node = |id: &Hash| (known.node)(*id);
    let fields = match record {
        Record::Source(Source { physical_hash, bytes, rows, format, path, .. }) => json!({
            "path": text(path),
            "format": format.as_str(),
            "rows": rows,
            "bytes": bytes,
            "physical_hash": physical_hash.to_string(),
        }),
        Record::View(View { definition_hash, entity, previous, .. }) => json!({
            "entity": entity.as_str(),
            "definition_hash": definition_hash.to_string(),
            "previous": previous.as_ref().map(node),
        }),
        Record::Service(Service { definition_hash, views, .. }) => json!({
            "views": views.iter().map(node).collect::<Vec<_>>(),
            "definition_hash": definition_hash.to_string(),
        }),
        Record::Load(load) => load_fields(load, known),
        Record::Seal(seal) => seal_fields(seal, known),
        Record::Dataset(dataset) => dataset_fields(dataset, known),
        Record::Run(Run { job, run, inputs, code, parameters, started, ended, .. }) => json!({
            "job": job.as_str(),
            "run": super::hex(run),
            "code": code.as_ref().map(text),
            "parameters": parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect::<Map<_, _>>(),
            "inputs": inputs.iter().map(node).collect::<Vec<_>>(),
            "started": started.map(|time| time.to_string()),
            "ended": ended.map(|time| time.to_string()),
        }),
        Record::Model(Model { run, artifact, .. }) => json!({
            "run": node(run),
            "artifact": artifact.map(|artifact| {
                json!({"physical_hash": artifact.physical_hash.to_string(), "bytes": artifact.bytes})
            }),
        }),
        Record::Evaluation(Evaluation { model, metrics, dataset, .. }) => json!({
            "model": node(model),
            "metrics": metrics.iter().map(|(name, value)| (name.clone(), json!(value.as_str()))).collect::<Map<_, _>>(),
            "dataset": dataset.as_ref().map(node),
        }),
        Record::Promotion(Promotion { alias, model, previous, .. }) => json!({
            "alias": alias.as_str(),
            "model": node(model),
            "previous": previous.as_ref().map(node),
        }),
        Record::Assertion(Assertion { about, predicate, value, replaces, .. }) => json!({
            "about": node(about),
            "predicate": predicate.as_str(),
            "value": value.as_ref().map(text),
            "replaces": replaces.as_ref().map(node),
        }),
        Record::Erasure(Erasure { about, texts, .. }) => json!({
            "about": node(about),
            "texts": texts.iter().map(|text| text.to_string()).collect::<Vec<_>>(),
        }),
        Record::Collection(Collection { members, .. }) => {
            json!({"members": members.iter().map(node).collect::<Vec<_>>()})
        }
    };
    let mut document = Map::new();
    document.insert("project".to_owned(), json!(record.project().as_str()));
    if let Some((_, name, version)) = record.name() {
        document.insert("name".to_owned(), json!(name.as_str()));
        document.insert("version".to_owned(), json!(version));
    }
    if let Value::Object(fields) = fields {
        document.extend(fields);
    }
    if let Some(principal) = record.principal() {
        document.insert("principal".to_owned(), text(&principal));
    }
    document
}

fn load_fields(load: &Load, known: Known<'_>) -> Value {
    let segments: Vec<Value> = load
        .segments
        .iter()
        .map(|segment| {
            json!({
                "shard": segment.shard.0,
                "rows": segment.rows,
                "physical_hash": segment.physical_hash.to_string(),
            })
        })
        .collect();
    json!({
        "view": (known.node)(load.view),
        "load_id": load.load_id,
        "rows": load.rows,
        "tombstones": load.tombstones,
        "logical_hash": load.logical_hash.to_string(),
        "commit_time": load.commit_time.to_string(),
        "sources": load.sources.iter().map(|source| (known.node)(*source)).collect::<Vec<_>>(),
        "segments": segments,
    })
}

fn seal_fields(seal: &Seal, known: Known<'_>) -> Value {
    let writers =
        seal.writers.iter().map(|(writer, rows)| json!({"writer": writer.to_string(), "rows": rows}));
    json!({
        "view": (known.node)(seal.view),
        "earlier_views": seal.earlier_views.iter().flatten().map(|view| (known.node)(*view)).collect::<Vec<_>>(),
        "shard": seal.shard.0,
        "rows": seal.rows,
        "first_commit": seal.first_commit.to_string(),
        "last_commit": seal.last_commit.to_string(),
        "logical_hash": seal.logical_hash.to_string(),
        "physical_hash": seal.physical_hash.to_string(),
        "writers": writers.collect::<Vec<_>>(),
    })
}

fn dataset_fields(dataset: &Dataset, known: Known<'_>) -> Value {
    let nodes = |ids: &mut dyn Iterator<Item = &Hash>| ids.map(|id| (known.node)(*id)).collect::<Vec<_>>();
    let spine_columns = dataset
        .spine
        .columns
        .iter()
        .map(|column| json!({"name": column.name, "logical_hash": column.logical_hash.to_string()}));
    let columns = dataset.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.data_type,
            "logical_hash": column.logical_hash.to_string(),
        })
    });
    let files = dataset.files.iter().map(|file| {
        json!({"rows": file.rows, "bytes": file.bytes, "physical_hash": file.physical_hash.to_string()})
    });
    json!({
        "service": (known.node)(dataset.service),
        "views": nodes(&mut dataset.views.iter()),
        "mode": dataset.mode.map(|mode| mode.to_string()),
        "snapshot": dataset.snapshot.to_string(),
        "contract_version": dataset.contract_version,
        "rows": dataset.rows,
        "spine": {
            "rows": dataset.spine.rows,
            "time_column": dataset.spine.time_column,
            "physical_hash": dataset.spine.physical_hash.to_string(),
            "columns": spine_columns.collect::<Vec<_>>(),
        },
        "columns": columns.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "inputs": nodes(&mut dataset.inputs.iter()),
    })
}
