//! Bad input gets a clear error, the right exit code, and loses nothing.

use crate::program::{Place, run_in};

/// Runs a line on a prepared store and gives exit code, kind and message.
fn fail(place: &Place, line: &str, input: &str) -> (Option<i32>, String, String) {
    let arguments: Vec<&str> = line.split(' ').chain(["--format", "json"]).collect();
    let run = place.embedded_with(&arguments, input);
    let (kind, message) = run.error();
    assert_eq!(run.stdout, "", "{line}");
    (run.code, kind, message)
}

#[test]
fn what_does_not_exist_is_answered_with_what_is_near() {
    let place = Place::new();
    place.prepare();
    for (line, near) in [
        ("ingest wether history.csv", "weather"),
        ("push wether -", "weather"),
        ("get delay_modle --entity origin=JFK,dest=LGA", "delay_model"),
        ("dataset create d --spine labels.csv --service delay_modle", "delay_model"),
        ("trace view:wether", "weather"),
        ("get delay_model --entity orgin=JFK,dest=LGA", "origin"),
    ] {
        let (code, kind, message) = fail(&place, line, "");
        assert_eq!(code, Some(1), "{line}: {message}");
        assert!(["not_found", "invalid"].contains(&kind.as_str()), "{line}: {kind} {message}");
        assert!(message.contains(near), "{line}: {message}");
    }
}

#[test]
fn rows_that_do_not_fit_are_refused_by_place_and_column_and_nothing_is_loaded() {
    let place = Place::new();
    place.prepare();
    let header = "origin,event_timestamp,created_timestamp,temp,note\n";
    let good = "JFK,2013-06-05T10:00:00Z,2013-06-05T10:15:00Z,1.5,x\n";
    for (name, text, expected) in [
        ("empty.csv", String::new(), "empty"),
        ("type.csv", format!("{header}{good}JFK,2013-06-05T10:00:00Z,2013-06-05T10:15:00Z,warm,x\n"), "temp"),
        (
            "zone.csv",
            format!("{header}JFK,2013-06-05T10:00:00,2013-06-05T10:15:00Z,1.5,x\n"),
            "event_timestamp",
        ),
        ("key.csv", format!("{header},2013-06-05T10:00:00Z,2013-06-05T10:15:00Z,1.5,x\n"), "origin"),
        (
            "missing.csv",
            "origin,event_timestamp,created_timestamp,note\nJFK,2013-06-05T10:00:00Z,,x\n".to_owned(),
            "temp",
        ),
        ("cut.parquet", "PAR1 and no more".to_owned(), "parquet"),
    ] {
        place.write(name, &text);
        let (code, kind, message) = fail(&place, &format!("ingest weather {name}"), "");
        assert_eq!((code, kind.as_str()), (Some(1), "invalid"), "{name}: {message}");
        assert!(message.to_lowercase().contains(expected), "{name}: {message}");
    }
    let status = place.json("cluster status");
    assert_eq!(status["sealed_rows"].as_u64().unwrap_or(0) + status["open_rows"].as_u64().unwrap_or(0), 4);
}

#[test]
fn a_pushed_line_that_does_not_fit_is_named_and_its_batch_not_written() {
    let place = Place::new();
    place.prepare();
    let good = r#"{"origin":"BOS","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.5,"note":null}"#;
    let text = format!("{good}\n{}\n", good.replace("1.5", "\"warm\""));
    let (code, kind, message) = fail(&place, "push weather", &text);
    assert_eq!((code, kind.as_str()), (Some(1), "invalid"), "{message}");
    assert!(message.contains("line 2") && message.contains("temp"), "{message}");
    assert!(message.ends_with("nothing is written"), "{message}");
    let (_, kind, message) = fail(&place, "push weather", "{\"origin\":\"BOS\"}\n");
    assert_eq!(kind, "invalid", "{message}");
    let answer = place.json("get delay_model --entity origin=BOS,dest=BOS --at 2013-06-01T10:00:00Z");
    assert_eq!(answer["entities"][0]["features"]["weather__temp"]["status"], "absent");
}

#[test]
fn a_push_that_breaks_off_says_what_is_written_and_how_to_go_on() {
    let place = Place::new();
    place.prepare();
    let row = |temp: &str| {
        format!(
            r#"{{"origin":"BOS","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":{temp},"note":null}}"#
        )
    };
    let text = format!("{}\n", row("1.5")).repeat(9_000) + &row("\"warm\"") + "\n";
    place.write("rows.ndjson", &text);
    let run = place.embedded(&["push", "weather", "rows.ndjson", "--format", "json"]);
    let (kind, message) = run.error();
    assert_eq!((run.code, kind.as_str()), (Some(1), "invalid"), "{message}");
    assert!(message.starts_with("line 9001, column `temp`"), "{message}");
    let document: serde_json::Value = serde_json::from_str(&run.stderr).expect("JSON");
    let detail = |name: &str| document["error"]["details"][name].as_str().unwrap_or_default().to_owned();
    let written: usize = detail("lines_written").parse().expect("a number");
    assert!(written > 0 && written < 9_001, "{written}");
    assert_eq!(detail("rows_written"), detail("lines_written"));
    assert!(message.ends_with(&format!("of the lines 1 to {written} are written")), "{message}");
    let next = format!("tail -n +{} rows.ndjson | lineate push weather -", written + 1);
    assert!(detail("hint").contains(&next), "{}", detail("hint"));
    let rest = text.lines().skip(written).map(|line| line.replace("\"warm\"", "2.5") + "\n");
    let rest =
        place.embedded_with(&["push", "weather", "--format", "json"], &rest.collect::<String>()).json();
    assert_eq!(rest["rows"], 9_001 - written);
    let status = place.json("cluster status");
    let rows = |name: &str| status[name].as_u64().unwrap_or(0);
    assert_eq!(rows("sealed_rows") + rows("open_rows"), 4 + 9_001);
}

#[test]
fn a_directory_without_a_store_is_named_and_left_as_it_is() {
    let place = Place::new();
    let before = std::fs::read_dir(place.path()).expect("lists").count();
    for line in [
        "get s --entity origin=JFK",
        "push weather -",
        "ingest weather history.csv",
        "show",
        "trace view:weather",
        "diff dataset:a dataset:b",
        "verify",
        "dataset list",
        "dataset create d --spine labels.csv --service s",
        "model promote m production",
        "cluster status",
    ] {
        let (code, kind, message) = fail(&place, line, "");
        assert_eq!((code, kind.as_str()), (Some(1), "not_found"), "{line}: {message}");
        assert!(message.starts_with("there is no store in store;"), "{line}: {message}");
    }
    assert_eq!(std::fs::read_dir(place.path()).expect("lists").count(), before);
    place.json("apply weather.yaml");
    assert_eq!(place.json("cluster status")["shards"], 16);
}

#[test]
fn the_demo_leaves_a_store_with_other_definitions_as_it_is() {
    let place = Place::new();
    place.prepare();
    let before = place.json("show");
    let run = place.embedded(&["demo"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    assert!(run.stderr.contains("name an empty or a new directory"), "{}", run.stderr);
    assert_eq!(place.json("show"), before);
    assert!(!place.path().join("store-demo-files").exists());
}

#[test]
fn a_training_set_whose_file_cannot_be_written_is_not_made() {
    let place = Place::new();
    place.prepare();
    let line = "dataset create d --spine labels.csv --service delay_model --output none/d.csv";
    let (code, kind, message) = fail(&place, line, "");
    assert_eq!((code, kind.as_str()), (Some(1), "not_found"), "{message}");
    assert!(message.contains("none/d.csv"), "{message}");
    assert_eq!(place.json("dataset list")["datasets"], serde_json::json!([]));
}

#[test]
fn a_file_without_rows_is_named() {
    let place = Place::new();
    place.prepare();
    place.write("nothing.csv", "");
    place.write("blank.csv", " \n");
    place.write("header.csv", "origin,event_timestamp,created_timestamp,temp,note\n");
    for name in ["nothing.csv", "blank.csv", "header.csv"] {
        for line in [
            format!("ingest weather history.csv {name}"),
            format!("dataset create d --spine {name} --service delay_model"),
        ] {
            let (code, _, message) = fail(&place, &line, "");
            assert_eq!(code, Some(1), "{line}: {message}");
            assert!(message.starts_with(&format!("{name}: ")), "{line}: {message}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_touches_nothing() {
    let place = Place::new();
    for line in [
        "",
        "frobnicate",
        "get s",
        "get s --entity nonsense",
        "get s --entity a=1 --at yesterday",
        "get s --entity a=1 --data-dir store --addr 127.0.0.1:1",
        "apply missing --format yaml",
        "cluster status --format dot --data-dir store",
        "serve",
        "show --addr foo",
        "init --addr 127.0.0.1:1",
        "init --data-dir store --shards 0",
        "model register m --dataset d --metric auc=good",
        "dataset create d --spine s --service s --mode best",
        "dataset create d --spine s --service s --output d.xlsx --data-dir store2",
        "trace view:v --up --down",
    ] {
        let arguments: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let run = run_in(place.path(), &arguments, "");
        assert_eq!(run.code, Some(2), "{line}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{line}");
    }
    assert!(!place.path().join("store").exists());
    let run = run_in(place.path(), &["frobnicate", "--format", "json"], "");
    let (kind, message) = run.error();
    assert_eq!((run.code, kind.as_str()), (Some(2), "invalid"));
    assert!(message.contains("frobnicate"), "{message}");
}

#[test]
fn nobody_listening_is_said_with_what_to_do() {
    let place = Place::new();
    let run = run_in(place.path(), &["dataset", "list", "--addr", "127.0.0.1:1"], "");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no lineate server answers at 127.0.0.1:1"), "{}", run.stderr);
    assert!(run.stderr.contains("hint:") && run.stderr.contains("lineate serve"), "{}", run.stderr);
    let run = run_in(place.path(), &["dataset", "list", "--addr", "127.0.0.1:1", "--format", "json"], "");
    let document: serde_json::Value = serde_json::from_str(&run.stderr).expect("JSON");
    let hint = document["error"]["details"]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("lineate serve"), "{}", run.stderr);
}

#[test]
fn a_definition_that_is_wrong_names_file_and_reason() {
    let place = Place::new();
    place.write(
        "wrong.yaml",
        "project: flights\nviews:\n  - {name: v, entity: nobody, event_time: t, features: []}\n",
    );
    let (code, kind, message) = fail(&place, "apply wrong.yaml", "");
    assert_eq!(code, Some(1));
    assert!(["invalid", "not_found"].contains(&kind.as_str()), "{kind}");
    assert!(message.contains("nobody") || message.contains("feature"), "{message}");
    place.write("typo.yaml", "project: flights\nentites: []\n");
    let (_, kind, message) = fail(&place, "apply typo.yaml", "");
    assert_eq!(kind, "invalid");
    assert!(message.contains("typo.yaml") && message.contains("entites"), "{message}");
}

#[test]
fn a_plan_and_files_that_cannot_be_read_make_no_store() {
    let place = Place::new();
    let plan = place.embedded(&["apply", "weather.yaml", "--plan"]);
    assert!(plan.stderr.contains("no store in store yet"), "{}", plan.stderr);
    assert!(plan.text().contains("+ view weather@v1"));
    let missing = place.embedded(&["apply", "missing.yaml"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(!place.path().join("store").exists());
}
