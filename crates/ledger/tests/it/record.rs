//! Records: golden bytes of every kind, edges, and the rules of each kind.

use std::collections::BTreeSet;

use expect_test::{expect, expect_file};
use lineate_ledger::{
    Entry, Error, MerkleLog, Record, Sealed, SealedText,
    record::{Kind, MetricValue, Role},
};
use lineate_types::{ErrorKind, HasKind, Hash, TimestampUs};

use crate::samples::{self, story};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The published vectors: every record kind, its entry and leaf, the roots of the log they make. The file is
/// also read by `docs/formats/verify_record.py`, which shares no code with this crate.
#[test]
fn bytes_ids_and_roots_are_the_published_ones() {
    let mut text = String::from(
        "# sealed COMMITMENT SEALED-TEXT-BYTES\n# record KIND ID RECORD-BYTES\n\
         # entry SEQ LEAF-HASH ENTRY-BYTES\n# root SIZE ROOT\n",
    );
    let sealed = SealedText::new([7; 32], "ada").expect("short");
    text += &format!("sealed {} {}\n", sealed.commitment(), hex(&sealed.encode()));
    let mut log = MerkleLog::new();
    text += &format!("root 0 {}\n", log.root());
    let mut records: Vec<Record> = story().into_iter().map(|(_, record)| record).collect();
    let first = records.iter().find(|record| record.kind() == Kind::Promotion).map(Record::id);
    records.push(samples::promotion(Hash::of(b"another model"), first));
    for (seq, record) in (0_u64..).zip(records) {
        text += &format!("record {} {} {}\n", record.kind(), record.id(), hex(&record.encode()));
        let time = TimestampUs(1_370_088_000_000_020 + i64::try_from(seq).expect("small"));
        let entry = Entry::new(seq, record.kind(), record.id(), time);
        text += &format!("entry {seq} {} {}\n", entry.leaf(), hex(&entry.encode()));
        log.append(&entry.encode());
        text += &format!("root {} {}\n", log.size(), log.root());
    }
    expect_file!["../../../../docs/formats/record-vectors.txt"].assert_eq(&text);
}

#[test]
fn the_story_tells_of_every_kind_and_each_record_decodes_to_itself() {
    let kinds: BTreeSet<Kind> = story().iter().map(|(_, record)| record.kind()).collect();
    assert_eq!(kinds, BTreeSet::from(Kind::ALL));
    for (_, record) in story() {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

#[test]
fn the_domain_of_a_kind_is_made_of_its_word() {
    for kind in Kind::ALL {
        assert_eq!(kind.domain(), format!("lineate 2026 record {kind} v1"));
        assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
    }
}

#[test]
fn the_order_in_which_a_set_is_given_does_not_change_the_id() {
    let (one, other) = (Hash::of(b"1"), Hash::of(b"2"));
    assert_eq!(samples::service(1, &[one, other]).id(), samples::service(1, &[other, one]).id());
    assert_eq!(samples::service(1, &[one, one]).id(), samples::service(1, &[one]).id());
}

#[test]
fn the_order_of_the_files_of_a_load_changes_its_id() {
    let (view, one, other) = (Hash::of(b"v"), Hash::of(b"1"), Hash::of(b"2"));
    assert_ne!(samples::load(1, view, &[one, other]).id(), samples::load(1, view, &[other, one]).id());
}

#[test]
fn an_input_that_differs_changes_every_id_after_it() {
    let chain = |path: &str| {
        let source = samples::source(path);
        let view = samples::view("weather", 1, None);
        let service = samples::service(1, &[view.id()]);
        let load = samples::load(1, view.id(), &[source.id()]);
        let dataset = samples::dataset(1, service.id(), &[view.id()], &[load.id()]);
        let run = samples::run(1, &[dataset.id()]);
        samples::model(1, run.id()).id()
    };
    assert_eq!(chain("a.parquet"), chain("a.parquet"));
    assert_ne!(chain("a.parquet"), chain("b.parquet"));
}

#[test]
fn edges_are_the_inputs_in_the_order_of_the_fields_and_the_agent_last() {
    let words: std::collections::BTreeMap<Hash, &str> =
        story().iter().map(|(word, record)| (record.id(), *word)).collect();
    let mut text = String::new();
    for (word, record) in story() {
        for edge in record.edges() {
            let target = words.get(&edge.target).copied().unwrap_or("an agent");
            text += &format!("{word} {} {target}\n", edge.role);
        }
    }
    expect![[r#"
        service had_member view
        load specialization_of view
        load was_derived_from source
        load was_attributed_to an agent
        seal specialization_of view
        dataset had_plan service
        dataset had_plan view
        dataset was_derived_from seal
        dataset was_derived_from load
        dataset was_attributed_to an agent
        run used dataset
        run was_associated_with an agent
        model was_generated_by run
        model was_attributed_to an agent
        evaluation used model
        evaluation used dataset
        evaluation was_associated_with an agent
        promotion used model
        promotion was_associated_with an agent
        assertion about view
        assertion was_attributed_to an agent
        collection had_member seal
        collection had_member load
        erasure about view
        erasure was_associated_with an agent
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_file_loaded_twice_is_one_edge() {
    let source = Hash::of(b"source");
    let load = samples::load(1, Hash::of(b"view"), &[source, source]);
    let edges = load.edges();
    assert_eq!(edges.iter().filter(|edge| edge.role == Role::WasDerivedFrom).count(), 1);
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let id = Hash::of(b"x");
    let broken: Vec<(&str, Record)> = vec![
        ("version 0", samples::view("weather", 0, None)),
        ("a service without views", samples::service(1, &[])),
        ("a collection of nothing", samples::collection(&[])),
        (
            "tombstones beyond the rows",
            edited(samples::load(1, id, &[]), |record| {
                if let Record::Load(load) = record {
                    load.tombstones = 101;
                }
            }),
        ),
        (
            "rows that no segment holds",
            edited(samples::load(1, id, &[]), |record| {
                if let Record::Load(load) = record {
                    load.rows = 101;
                }
            }),
        ),
        (
            "commit times that run back",
            edited(samples::seal(id), |record| {
                if let Record::Seal(seal) = record {
                    seal.last_commit = TimestampUs(0);
                }
            }),
        ),
        (
            "an earlier view that is its own",
            edited(samples::seal(id), |record| {
                if let Record::Seal(seal) = record {
                    seal.earlier_views = Some([seal.view].into());
                }
            }),
        ),
        (
            "earlier views, and none",
            edited(samples::seal(id), |record| {
                if let Record::Seal(seal) = record {
                    seal.earlier_views = Some([].into());
                }
            }),
        ),
        (
            "rows that no writer wrote",
            edited(samples::seal(id), |record| {
                if let Record::Seal(seal) = record {
                    seal.rows += 1;
                }
            }),
        ),
        (
            "more rows than labels",
            edited(samples::dataset(1, id, &[], &[]), |record| {
                if let Record::Dataset(dataset) = record {
                    dataset.spine.rows += 1;
                }
            }),
        ),
        (
            "a time column that is not there",
            edited(samples::dataset(1, id, &[], &[]), |record| {
                if let Record::Dataset(dataset) = record {
                    dataset.spine.time_column = "when".to_owned();
                }
            }),
        ),
        (
            "no metrics",
            edited(samples::evaluation(id, None), |record| {
                if let Record::Evaluation(evaluation) = record {
                    evaluation.metrics.clear();
                }
            }),
        ),
        (
            "nothing said",
            edited(samples::assertion(id, "owner", "x"), |record| {
                if let Record::Assertion(assertion) = record {
                    assertion.value = None;
                }
            }),
        ),
    ];
    for (why, record) in broken {
        let error = Record::decode(&record.encode()).expect_err(why);
        assert!(matches!(error, Error::InvalidRecord { .. }), "{why}: {error}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{why}");
    }
    let long = edited(samples::run(1, &[]), |record| {
        if let Record::Run(run) = record {
            run.parameters.insert("k".repeat(1_025), Sealed(id));
        }
    });
    assert!(matches!(long.check(), Err(Error::TooLarge { limit: 1_024, .. })));
}

fn edited(mut record: Record, edit: impl FnOnce(&mut Record)) -> Record {
    edit(&mut record);
    record
}

#[test]
fn metrics_are_decimal_text_kept_as_given() {
    for good in ["0", "-0.0", "007", "0.93", "1e-5", "1.5E+10", "NaN", "Infinity", "-Infinity"] {
        assert_eq!(good.parse::<MetricValue>().map(|value| value.to_string()), Ok(good.to_owned()));
    }
    for bad in ["", "-", ".5", "5.", "1e", "1e+", "+1", "0x1", "nan", "inf", " 1", "1 ", "1,5", "١"] {
        assert!(bad.parse::<MetricValue>().is_err(), "{bad}");
    }
    let floats =
        [(0.1, "0.1"), (1.0, "1.0"), (1e300, "1e300"), (f64::NAN, "NaN"), (f64::NEG_INFINITY, "-Infinity")];
    for (float, text) in floats {
        assert_eq!(MetricValue::from(float).as_str(), text);
    }
}

#[test]
fn a_commitment_opens_with_its_text_and_salt_only_and_shows_neither() {
    let text = SealedText::new([7; 32], "ada").expect("short");
    assert_eq!(text.verify(text.commitment()), Ok(()));
    for other in [SealedText::new([8; 32], "ada"), SealedText::new([7; 32], "adb")] {
        assert!(other.expect("short").verify(text.commitment()).is_err());
    }
    assert_eq!(SealedText::decode(&text.encode()), Ok(text.clone()));
    assert!(!format!("{text:?}").contains("ada"));
    assert!(SealedText::new([7; 32], "x".repeat(256 * 1024)).is_ok());
    assert!(SealedText::new([7; 32], "x".repeat(256 * 1024 + 1)).is_err());
}

#[test]
fn the_longest_sealed_text_decodes() {
    let text = SealedText::new([7; 32], "x".repeat(256 * 1024)).expect("at the bound");
    assert_eq!(SealedText::decode(&text.encode()), Ok(text));
}
