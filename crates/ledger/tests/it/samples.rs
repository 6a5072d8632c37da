//! One record of every kind, joined into the lineage of one model.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Record, Sealed, SealedText,
    record::{
        Artifact, Assertion, Collection, Column, Dataset, Erasure, Evaluation, File, Format, Load,
        LoadSegment, Model, Promotion, Run, Seal, Service, Source, Spine, SpineColumn, View,
    },
};
use lineate_types::{Hash, MatchMode, Name, ShardId, TimestampUs, WriterId};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn sealed(text: &str) -> Sealed {
    SealedText::new([7; 32], text).expect("short").commitment()
}

fn flights() -> Name {
    name("flights")
}

pub(crate) fn source(path: &str) -> Record {
    Record::Source(Source {
        project: flights(),
        physical_hash: Hash::of(path.as_bytes()),
        bytes: 1_024,
        rows: 100,
        format: Format::Parquet,
        path: sealed(path),
    })
}

pub(crate) fn view(title: &str, version: u32, previous: Option<Hash>) -> Record {
    Record::View(View {
        project: flights(),
        name: name(title),
        version,
        definition_hash: Hash::of(format!("{title}@v{version}").as_bytes()),
        entity: name("airport"),
        previous,
    })
}

pub(crate) fn service(version: u32, views: &[Hash]) -> Record {
    Record::Service(Service {
        project: flights(),
        name: name("delay_model"),
        version,
        definition_hash: Hash::of(b"service"),
        views: views.iter().copied().collect(),
    })
}

pub(crate) fn load(load_id: u64, view: Hash, sources: &[Hash]) -> Record {
    Record::Load(Load {
        project: flights(),
        view,
        sources: sources.to_vec(),
        load_id,
        rows: 100,
        tombstones: 2,
        logical_hash: Hash::of(b"rows"),
        segments: BTreeSet::from([
            LoadSegment { shard: ShardId(0), physical_hash: Hash::of(b"segment 0"), rows: 60 },
            LoadSegment { shard: ShardId(3), physical_hash: Hash::of(b"segment 3"), rows: 40 },
        ]),
        commit_time: TimestampUs(1_370_088_000_000_000),
        principal: sealed("ada"),
    })
}

pub(crate) fn seal(view: Hash) -> Record {
    Record::Seal(Seal {
        project: flights(),
        view,
        shard: ShardId(5),
        first_commit: TimestampUs(1_370_088_000_000_001),
        last_commit: TimestampUs(1_370_088_000_000_009),
        rows: 30,
        writers: BTreeMap::from([(WriterId(1), 10), (WriterId(300), 20)]),
        logical_hash: Hash::of(b"streamed rows"),
        physical_hash: Hash::of(b"sealed segment"),
        earlier_views: None,
    })
}

pub(crate) fn dataset(version: u32, service: Hash, views: &[Hash], inputs: &[Hash]) -> Record {
    Record::Dataset(Dataset {
        project: flights(),
        name: name("delays"),
        version,
        service,
        views: views.iter().copied().collect(),
        spine: Spine {
            columns: vec![
                SpineColumn { name: "origin".into(), logical_hash: Hash::of(b"origin") },
                SpineColumn { name: "event_timestamp".into(), logical_hash: Hash::of(b"time") },
            ],
            physical_hash: Hash::of(b"spine"),
            rows: 336_776,
            time_column: "event_timestamp".into(),
        },
        mode: Some(MatchMode::Known),
        snapshot: TimestampUs(1_370_088_000_000_010),
        contract_version: 1,
        inputs: inputs.iter().copied().collect(),
        rows: 336_776,
        columns: vec![Column {
            name: "weather__temp".into(),
            data_type: "float64".into(),
            logical_hash: Hash::of(b"temp"),
        }],
        files: vec![File { physical_hash: Hash::of(b"file"), bytes: 4_096, rows: 336_776 }],
        principal: sealed("ada"),
    })
}

pub(crate) fn run(uuid: u8, inputs: &[Hash]) -> Record {
    Record::Run(Run {
        project: flights(),
        job: name("train"),
        run: [uuid; 16],
        inputs: inputs.iter().copied().collect(),
        code: Some(sealed("1f3c9a")),
        parameters: BTreeMap::from([
            ("depth".to_owned(), sealed("6")),
            ("a_longer_name".to_owned(), sealed("x")),
        ]),
        started: Some(TimestampUs(1_370_088_000_000_011)),
        ended: None,
        principal: sealed("ada"),
    })
}

pub(crate) fn model(version: u32, run: Hash) -> Record {
    Record::Model(Model {
        project: flights(),
        name: name("delay_model"),
        version,
        run,
        artifact: Some(Artifact { physical_hash: Hash::of(b"weights"), bytes: 77 }),
        principal: sealed("ada"),
    })
}

pub(crate) fn evaluation(model: Hash, dataset: Option<Hash>) -> Record {
    Record::Evaluation(Evaluation {
        project: flights(),
        model,
        metrics: BTreeMap::from([
            ("auc".to_owned(), "0.93".parse().expect("decimal")),
            ("loss".to_owned(), f64::NAN.into()),
        ]),
        dataset,
        principal: sealed("grace"),
    })
}

pub(crate) fn promotion(model: Hash, previous: Option<Hash>) -> Record {
    Record::Promotion(Promotion {
        project: flights(),
        alias: name("production"),
        model,
        previous,
        principal: sealed("grace"),
    })
}

pub(crate) fn assertion(about: Hash, predicate: &str, value: &str) -> Record {
    Record::Assertion(Assertion {
        project: flights(),
        about,
        predicate: name(predicate),
        value: Some(sealed(value)),
        replaces: None,
        principal: sealed("grace"),
    })
}

pub(crate) fn collection(members: &[Hash]) -> Record {
    Record::Collection(Collection { project: flights(), members: members.iter().copied().collect() })
}

pub(crate) fn erasure(about: Hash, texts: &[Sealed]) -> Record {
    let texts = texts.iter().copied().collect();
    Record::Erasure(Erasure { project: flights(), about, texts, principal: sealed("grace") })
}

/// One record of every kind, each after what it names, with a word for each.
pub(crate) fn story() -> Vec<(&'static str, Record)> {
    let source = source("s3://bucket/weather.parquet");
    let view = view("weather", 1, None);
    let service = service(1, &[view.id()]);
    let load = load(17, view.id(), &[source.id()]);
    let seal = seal(view.id());
    let dataset = dataset(3, service.id(), &[view.id()], &[load.id(), seal.id()]);
    let run = run(0xab, &[dataset.id()]);
    let model = model(2, run.id());
    let evaluation = evaluation(model.id(), Some(dataset.id()));
    let promotion = promotion(model.id(), None);
    let assertion = assertion(view.id(), "owner", "ops@example.com");
    let collection = collection(&[load.id(), seal.id()]);
    let erasure = erasure(view.id(), &assertion.sealed());
    let records = [
        source, view, service, load, seal, dataset, run, model, evaluation, promotion, assertion, collection,
        erasure,
    ];
    records.into_iter().map(|record| (record.kind().as_str(), record)).collect()
}
