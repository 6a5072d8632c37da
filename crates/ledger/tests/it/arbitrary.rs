//! Records of every kind with any valid fields.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{
    Record, Sealed,
    record::{
        Artifact, Assertion, Collection, Column, Dataset, Erasure, Evaluation, File, Format, Load,
        LoadSegment, Model, Promotion, Run, Seal, Service, Source, Spine, SpineColumn, View,
    },
};
use lineate_types::{Hash, MatchMode, Name, ShardId, TimestampUs, WriterId};
use proptest::{collection, option, prelude::*};

fn name() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9]{0,20}(_[a-z0-9]{1,8})?".prop_map(|text| Name::new(text).expect("follows the rule"))
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

fn hashes(least: usize) -> impl Strategy<Value = BTreeSet<Hash>> {
    collection::btree_set(hash(), least..6)
}

fn sealed() -> impl Strategy<Value = Sealed> {
    hash().prop_map(Sealed)
}

fn time() -> impl Strategy<Value = TimestampUs> {
    any::<i64>().prop_map(TimestampUs)
}

fn version() -> impl Strategy<Value = u32> {
    1..=u32::MAX
}

/// Numbers of every CBOR length.
fn count() -> impl Strategy<Value = u64> {
    (any::<u64>(), 8_u32..64).prop_map(|(number, shift)| number >> shift)
}

fn source() -> impl Strategy<Value = Record> {
    let format = prop::sample::select(&Format::ALL[..]);
    (name(), hash(), any::<u64>(), any::<u64>(), format, sealed()).prop_map(
        |(project, physical_hash, bytes, rows, format, path)| {
            Record::Source(Source { project, physical_hash, bytes, rows, format, path })
        },
    )
}

fn view() -> impl Strategy<Value = Record> {
    (name(), name(), version(), hash(), name(), option::of(hash())).prop_map(
        |(project, name, version, definition_hash, entity, previous)| {
            Record::View(View { project, name, version, definition_hash, entity, previous })
        },
    )
}

fn service() -> impl Strategy<Value = Record> {
    (name(), name(), version(), hash(), hashes(1)).prop_map(
        |(project, name, version, definition_hash, views)| {
            Record::Service(Service { project, name, version, definition_hash, views })
        },
    )
}

fn load() -> impl Strategy<Value = Record> {
    let segments = collection::btree_set(
        (any::<u16>(), hash(), count()).prop_map(|(shard, physical_hash, rows)| LoadSegment {
            shard: ShardId(shard),
            physical_hash,
            rows,
        }),
        0..5,
    );
    (name(), hash(), collection::vec(hash(), 0..5), any::<u64>(), hash(), segments, time(), sealed())
        .prop_map(|(project, view, sources, load_id, logical_hash, segments, commit_time, principal)| {
            let rows = segments.iter().map(|segment| segment.rows).sum();
            Record::Load(Load {
                project,
                view,
                sources,
                load_id,
                rows,
                tombstones: rows / 2,
                logical_hash,
                segments,
                commit_time,
                principal,
            })
        })
}

fn seal() -> impl Strategy<Value = Record> {
    let writers = collection::btree_map(any::<u64>().prop_map(WriterId), count(), 0..5);
    let earlier_views = option::of(collection::btree_set(hash(), 1..3));
    (name(), hash(), any::<u16>(), time(), time(), writers, hash(), hash(), earlier_views).prop_map(
        |(project, view, shard, one, other, writers, logical_hash, physical_hash, earlier_views)| {
            Record::Seal(Seal {
                project,
                view,
                shard: ShardId(shard),
                first_commit: one.min(other),
                last_commit: one.max(other),
                rows: writers.values().sum(),
                writers,
                logical_hash,
                physical_hash,
                earlier_views,
            })
        },
    )
}

fn dataset() -> impl Strategy<Value = Record> {
    let named = collection::vec(("\\PC{0,12}", hash()), 0..4);
    let columns = collection::vec(("\\PC{0,12}", "[a-z0-9<>(),]{1,12}", hash()), 0..4);
    let mode = option::of(prop::sample::select(vec![MatchMode::Event, MatchMode::Known, MatchMode::Served]));
    let files = collection::vec((hash(), any::<u64>(), count()), 1..4);
    (
        (name(), name(), version(), hash(), hashes(0), hashes(0)),
        (named, hash(), "\\PC{0,12}", mode, time(), any::<u32>()),
        (columns, files, sealed()),
    )
        .prop_map(|(identity, pins, (columns, files, principal))| {
            let (project, name, version, service, views, inputs) = identity;
            let (named, spine_hash, time_column, mode, snapshot, contract_version) = pins;
            let files: Vec<File> = files
                .into_iter()
                .map(|(physical_hash, bytes, rows)| File { physical_hash, bytes, rows })
                .collect();
            let rows = files.iter().map(|file| file.rows).sum();
            let mut spine_columns: Vec<SpineColumn> =
                named.into_iter().map(|(name, logical_hash)| SpineColumn { name, logical_hash }).collect();
            spine_columns.push(SpineColumn { name: time_column.clone(), logical_hash: spine_hash });
            Record::Dataset(Dataset {
                project,
                name,
                version,
                service,
                views,
                spine: Spine { columns: spine_columns, physical_hash: spine_hash, rows, time_column },
                mode,
                snapshot,
                contract_version,
                inputs,
                rows,
                columns: columns
                    .into_iter()
                    .map(|(name, data_type, logical_hash)| Column { name, data_type, logical_hash })
                    .collect(),
                files,
                principal,
            })
        })
}

fn run() -> impl Strategy<Value = Record> {
    let parameters = collection::btree_map("\\PC{0,30}", sealed(), 0..5);
    (
        (name(), name(), any::<[u8; 16]>(), hashes(0), option::of(sealed())),
        (parameters, option::of(time()), option::of(time()), sealed()),
    )
        .prop_map(|((project, job, run, inputs, code), (parameters, started, ended, principal))| {
            Record::Run(Run { project, job, run, inputs, code, parameters, started, ended, principal })
        })
}

fn model() -> impl Strategy<Value = Record> {
    let artifact = option::of(
        (hash(), any::<u64>()).prop_map(|(physical_hash, bytes)| Artifact { physical_hash, bytes }),
    );
    (name(), name(), version(), hash(), artifact, sealed()).prop_map(
        |(project, name, version, run, artifact, principal)| {
            Record::Model(Model { project, name, version, run, artifact, principal })
        },
    )
}

fn evaluation() -> impl Strategy<Value = Record> {
    let metrics: BoxedStrategy<BTreeMap<_, _>> =
        collection::btree_map("\\PC{0,30}", any::<f64>().prop_map(Into::into), 1..5).boxed();
    (name(), hash(), metrics, option::of(hash()), sealed()).prop_map(
        |(project, model, metrics, dataset, principal)| {
            Record::Evaluation(Evaluation { project, model, metrics, dataset, principal })
        },
    )
}

fn promotion() -> impl Strategy<Value = Record> {
    (name(), name(), hash(), option::of(hash()), sealed()).prop_map(
        |(project, alias, model, previous, principal)| {
            Record::Promotion(Promotion { project, alias, model, previous, principal })
        },
    )
}

fn assertion() -> impl Strategy<Value = Record> {
    let said =
        prop_oneof![(sealed().prop_map(Some), option::of(hash())), (Just(None), hash().prop_map(Some)),];
    (name(), hash(), name(), said, sealed()).prop_map(
        |(project, about, predicate, (value, replaces), principal)| {
            Record::Assertion(Assertion { project, about, predicate, value, replaces, principal })
        },
    )
}

fn collected() -> impl Strategy<Value = Record> {
    (name(), hashes(1)).prop_map(|(project, members)| Record::Collection(Collection { project, members }))
}

fn erasure() -> impl Strategy<Value = Record> {
    (name(), hash(), collection::btree_set(sealed(), 1..5), sealed()).prop_map(
        |(project, about, texts, principal)| Record::Erasure(Erasure { project, about, texts, principal }),
    )
}

/// Any valid record.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        source(),
        view(),
        service(),
        load(),
        seal(),
        dataset(),
        run(),
        model(),
        evaluation(),
        promotion(),
        assertion(),
        collected(),
        erasure(),
    ]
}
