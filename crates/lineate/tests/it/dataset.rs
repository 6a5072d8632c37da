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
fn in_mode_served_a_label_sees_what_was_in_the_store_at_its_time() {
    let place = Place::new();
    place.write("weather.yaml", &UNDATED.replace("    ttl: 3h\n", ""));
    place.write("history.csv", HISTORY);
    place.prepare();
    // The first is of the time of the rows, long before they came here; the second is long after.
    let labels = "origin,dest,event_timestamp\nJFK,LGA,2013-06-01T11:30:00Z\nJFK,LGA,2200-01-01T00:00:00Z\n";
    place.write("labels.csv", labels);
    let temps = |mode: &str| {
        let made = place
            .json(&format!("dataset create {mode} --spine labels.csv --service delay_model --mode {mode}"));
        assert_eq!((&made["mode"], &made["matches"][0]["mode"]), (&json!(mode), &json!(mode)));
        let rows = place.embedded(&["dataset", "pull", mode]).text();
        let temp = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["weather__temp"].clone();
        rows.lines().map(temp).collect::<Vec<_>>()
    };
    assert_eq!(temps("served"), [Value::Null, json!(21.5)]);
    assert_eq!(temps("event"), [json!(21.5), json!(21.5)]);
    assert_eq!(place.json("dataset verify served")["verified"], true);
}

#[test]
fn times_without_a_zone_are_utc_where_the_view_says_so_and_refused_elsewhere() {
    let place = Place::new();
    place.write("history.csv", &HISTORY.replace("00Z,", "00,"));
    place.write("weather.yaml", UNDATED);
    place.embedded(&["apply", "weather.yaml"]).text();
    let refused = place.embedded(&["ingest", "weather", "history.csv"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("event_timestamp"), "{}", refused.stderr);

    place.write("weather.yaml", &UNDATED.replace("    ttl: 3h\n", "    ttl: 3h\n    naive_times: utc\n"));
    place.embedded(&["apply", "weather.yaml"]).text();
    assert_eq!(place.json("show view:weather")["naive_times_are_utc"], true);
    assert_eq!(place.json("ingest weather history.csv")["rows"], 2);
    let answer = place.json("get delay_model --entity origin=JFK,dest=JFK --at 2013-06-01T11:30:00Z");
    let feature = &answer["entities"][0]["features"]["weather__temp"];
    assert_eq!(
        (&feature["value"], &feature["event_time"]),
        (&json!(21.5), &json!("2013-06-01T11:00:00.000000Z"))
    );
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
