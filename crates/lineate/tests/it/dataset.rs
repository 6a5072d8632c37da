//! What is said of a training set that is not what was meant.

use serde_json::{Value, json};

use crate::program::{Place, Serving, run_in};

/// The same history without created times.
const UNDATED: &str = "\
project: flights
entities:
  - {name: airport, keys: [{name: origin, type: string}]}
views:
  - name: weather
    entity: airport
    event_time: event_timestamp
    ttl: 3h
    features: [{name: temp, type: float64}]
services:
  - name: delay_model
    features: [weather.temp, {view: weather, as: dest, features: [temp], keys: {origin: dest}}]
";

const HISTORY: &str = "\
origin,event_timestamp,temp
JFK,2013-06-01T11:00:00Z,21.5
LGA,2013-06-01T11:00:00Z,
";

fn undated() -> Place {
    let place = Place::new();
    place.write("weather.yaml", UNDATED);
    place.write("history.csv", HISTORY);
    place.prepare();
    place
}

#[test]
fn mode_known_without_a_created_time_is_warned_of_before_and_after() {
    let place = undated();
    let create =
        ["dataset", "create", "d", "--spine", "labels.csv", "--service", "delay_model", "--mode", "known"];
    let said = "view `weather` has no created time";
    let run = place.embedded(&create);
    assert!(run.stderr.starts_with("warning: ") && run.stderr.contains(said), "{}", run.stderr);
    assert!(run.stdout.contains("FILLED"), "{}", run.stdout);

    let serving = Serving::start_with(place.path(), &["--data-dir", "other", "--listen", "127.0.0.1:0"]);
    for line in ["apply weather.yaml", "ingest weather history.csv"] {
        let arguments: Vec<&str> = line.split(' ').chain(["--addr", &serving.address]).collect();
        run_in(place.path(), &arguments, "").text();
    }
    let arguments = [&create[..], &["--addr", &serving.address, "--format", "json"]].concat();
    let run = run_in(place.path(), &arguments, "");
    let warning: Value = serde_json::from_str(&run.stderr).expect("JSON");
    assert!(warning["warning"]["message"].as_str().is_some_and(|text| text.contains(said)), "{warning}");
    let made = run.json();
    assert_eq!(made["warnings"], json!([warning["warning"]["message"]]));
    let none = |alias: &str| json!({"alias": alias, "view": "weather@v1", "mode": "known", "filled": 0, "null": 4, "expired": 0});
    assert_eq!(made["matches"], json!([none("weather"), none("dest")]));

    let shown = place.json("dataset show d");
    assert_eq!((&shown["matches"], &shown["warnings"]), (&made["matches"], &made["warnings"]));
    let text = place.embedded(&["dataset", "show", "d"]).text();
    assert!(text.contains(said), "{text}");
    let run =
        place.embedded(&["dataset", "create", "e", "--spine", "labels.csv", "--service", "delay_model"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(place.json("dataset show e")["warnings"], json!([]));
}

#[test]
fn a_training_set_says_how_many_rows_each_view_filled() {
    let place = undated();
    let made = place.json("dataset create delays --spine labels.csv --service delay_model");
    let counts = |made: &Value, at: usize| {
        ["filled", "null", "expired"].map(|name| made["matches"][at][name].as_u64().unwrap_or(u64::MAX))
    };
    // JFK 11:30 and LGA 11:10 are there (LGA's value is null, of a row), JFK 15:00 is too old, EWR unknown.
    assert_eq!(counts(&made, 0), [2, 1, 1]);
    // LGA 11:30 and JFK 11:10 are there, JFK is too old at 15:00 and two days later.
    assert_eq!(counts(&made, 1), [2, 0, 2]);
    let text = place.embedded(&["dataset", "show", "delays"]).text();
    assert!(text.contains("VIEW      MODE    FILLED   NULL   EXPIRED\n"), "{text}");
    assert!(text.contains("weather   event        2      1         1\n"), "{text}");
}

#[test]
fn a_spine_without_its_time_column_is_told_how_to_name_another() {
    let place = Place::new();
    place.prepare();
    place.write("labels.csv", "origin,dest,at\nJFK,LGA,2013-06-01T11:30:00Z\n");
    let create = ["dataset", "create", "d", "--spine", "labels.csv", "--service", "delay_model"];
    let run = place.embedded(&create);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("`event_timestamp`") && run.stderr.contains("`--time`"), "{}", run.stderr);
    place.embedded(&[&create[..], &["--time", "at"]].concat()).text();
}
