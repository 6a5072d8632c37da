//! A server that may have few files open at once.

use std::fmt::Write;

use serde_json::json;

use crate::program::{Place, Serving, run_in};

const DEFINITIONS: &str = "\
project: p
entities:
  - {name: thing, keys: [{name: id, type: string}]}
views:
  - {name: one, entity: thing, event_time: happened, features: [{name: value, type: int64}, {name: note, type: string}]}
  - {name: two, entity: thing, event_time: happened, features: [{name: value, type: int64}, {name: note, type: string}]}
services:
  - {name: both, features: [one.value, {view: two, as: other, features: [value]}]}
";

/// Loads of each view: as many segments in each shard, which is too few to compact them.
const LOADS: u32 = 6;
const KEYS: u32 = 200;
const DESCRIPTORS: u32 = 256;

fn rows(minute: u32) -> String {
    let mut text = "id,happened,value,note\n".to_owned();
    for key in 0..KEYS {
        writeln!(text, "key-{key},2024-01-01T00:{minute:02}:00Z,{minute},{}", "x".repeat(200))
            .expect("writes");
    }
    text
}

#[test]
fn a_server_with_few_descriptors_opens_many_segments_and_goes_on_writing() {
    let place = Place::new();
    place.write("views.yaml", DEFINITIONS);
    place.write("settings.yaml", "data_dir: store\nlisten: 127.0.0.1:0\nshards: 16\nlog_bytes: 512KiB\n");
    let serving = Serving::start_limited(place.path(), &["--config", "settings.yaml"], DESCRIPTORS);
    let run = |line: &str| {
        let arguments: Vec<&str> =
            line.split(' ').chain(["--addr", &serving.address, "--format", "json"]).collect();
        run_in(place.path(), &arguments, "")
    };
    run("apply views.yaml").json();
    for load in 0..LOADS {
        place.write("rows.csv", &rows(load));
        run("ingest one rows.csv").json();
        run("ingest two rows.csv").json();
    }
    let status = run("cluster status").json();
    let segments = status["segments"].as_u64();
    assert_eq!(segments, Some(u64::from(2 * LOADS * 16)), "{status}");

    let mut spine = "id,happened\n".to_owned();
    for key in 0..KEYS {
        writeln!(spine, "key-{key},2024-01-01T00:30:00Z").expect("writes");
    }
    place.write("spine.csv", &spine);
    for round in 0..3 {
        let made =
            run(&format!("dataset create d{round} --spine spine.csv --time happened --service both")).json();
        assert_eq!(made["matches"][1]["filled"], KEYS, "{made}");
        let entities: String = (0..KEYS).map(|key| format!(" --entity id=key-{key}")).collect();
        run(&format!("get both{entities}")).json();
        // Far more than a file of the log takes.
        let row = |key: u32| {
            let (happened, note) = (format!("2024-01-01T00:{:02}:00Z", LOADS + round), "x".repeat(200));
            json!({"id": format!("key-{key}"), "happened": happened, "value": round, "note": note})
                .to_string()
                + "\n"
        };
        place.write("rows.ndjson", &(0..KEYS).map(row).collect::<String>());
        for _ in 0..4 {
            run("push one rows.ndjson").json();
        }
    }
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}
