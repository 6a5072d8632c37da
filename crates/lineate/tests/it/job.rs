//! The whole job: define, load, push, look up, train, trace, verify.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::program::{Place, Serving, command, run_in};

/// Replaces what differs from run to run: hashes, times of commits, ids of stores.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("b3:") => "b3:#".into(),
        Value::String(text) if text.len() == 27 && text.ends_with('Z') && !text.starts_with("2013") => {
            "TIME".into()
        }
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| match name.as_str() {
                "cursor" | "root" | "writer" => (name.clone(), "#".into()),
                _ => (name.clone(), masked(value)),
            });
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

const JOB: [&str; 22] = [
    "apply weather.yaml --plan",
    "apply weather.yaml",
    "apply weather.yaml",
    "show",
    "show view:weather",
    "show service:delay_model@v1",
    "ingest weather history.csv",
    "ingest weather history.csv",
    "ingest weather history.csv --again",
    "push weather late.ndjson",
    "get delay_model --entity origin=JFK,dest=LGA --entity origin=EWR,dest=JFK",
    "dataset create delays --spine labels.csv --service delay_model",
    "dataset create delays --spine labels.csv --service delay_model --mode event",
    "dataset list --all",
    "dataset show delays@v1",
    "dataset verify delays@v1",
    "model register late --dataset delays --artifact labels.csv --code abc --param trees=20 --metric auc=0.75",
    "model promote late@v1 production",
    "model promote late@v1 production",
    "model list --all",
    "verify model:late",
    "verify",
];

const LATE: &str = r#"{"origin":"LGA","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.25,"note":null}
"#;

#[test]
fn an_embedded_store_and_a_server_run_the_same_job_alike() {
    let (here, there) = (Place::new(), Place::new());
    for place in [&here, &there] {
        place.write("late.ndjson", LATE);
        place.embedded(&["init", "--shards", "2"]).text();
    }
    let serving = Serving::start(there.path());
    for line in JOB {
        let mut arguments: Vec<&str> = line.split(' ').chain(["--format", "json"]).collect();
        let embedded = here.embedded(&arguments).json();
        arguments.extend(["--addr", &serving.address]);
        let remote = run_in(there.path(), &arguments, "").json();
        assert_eq!(masked(&embedded), masked(&remote), "{line}");
    }
    let tree = here.embedded(&["trace", "model:late"]).text();
    let remote = run_in(there.path(), &["trace", "model:late", "--addr", &serving.address], "").text();
    // Siblings are ordered by id, which differs from store to store; what there is does not.
    let nodes = |tree: &str| {
        let word =
            |line: &str| line.split_whitespace().find(|word| word.contains(':')).map(ToOwned::to_owned);
        let mut nodes: Vec<String> =
            tree.lines().filter_map(word).filter(|node| !node.starts_with("b3:")).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    };
    assert_eq!(nodes(&tree), nodes(&remote));
    assert!(tree.contains("history.csv"), "{tree}");
    let (code, log) = serving.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_training_set_knows_what_was_known_and_no_more() {
    let place = Place::new();
    place.prepare();
    place.json("dataset create delays --spine labels.csv --service delay_model");
    let rows = place.embedded(&["dataset", "pull", "delays"]).text();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let temps: Vec<(&Value, &Value)> =
        rows.iter().map(|row| (&row["weather__temp"], &row["dest__temp"])).collect();
    let null = Value::Null;
    // The correction of a day later is not there yet; 15:00 is past the three hours of 11:00; EWR is unknown.
    let (early, late) = (json!(21.5), json!(20.5));
    assert_eq!(temps, [(&early, &null), (&null, &late), (&null, &null), (&null, &null)]);
    let naive = place.json("dataset create naive --spine labels.csv --service delay_model --mode event");
    assert_eq!(naive["rows"], 4);
    let rows = place.embedded(&["dataset", "pull", "naive"]).text();
    assert!(rows.contains("99.5"), "{rows}");
}

#[test]
fn a_training_set_is_written_whole_in_every_format() {
    let place = Place::new();
    place.prepare();
    let made =
        place.json("dataset create delays --spine labels.csv --service delay_model --output delays.parquet");
    assert_eq!(made["output"]["rows"], 4);
    for name in ["delays.arrow", "delays.csv", "delays.ndjson"] {
        let pulled = place.json(&format!("dataset pull delays --output {name}"));
        let bytes = fs::metadata(place.path().join(name)).expect("there").len();
        assert_eq!((pulled["rows"].as_u64(), pulled["bytes"].as_u64()), (Some(4), Some(bytes)), "{name}");
    }
    let csv = fs::read_to_string(place.path().join("delays.csv")).expect("there");
    assert!(csv.starts_with("flight,origin,dest,event_timestamp,late,weather__temp,dest__temp\n1,JFK,LGA,2013-06-01T11:30:00.000000Z,true,21.5,\n"), "{csv}");
}

#[test]
fn damaged_output_is_not_verified_and_says_where() {
    let place = Place::new();
    place.prepare();
    let made = place.json("dataset create delays --spine labels.csv --service delay_model");
    place.json("dataset verify delays");
    let hash = made["files"][0]["hash"].as_str().expect("a hash").trim_start_matches("b3:").to_owned();
    let blob = find(&place.path().join("store/blobs"), &hash);
    let mut permissions = fs::metadata(&blob).expect("there").permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    fs::set_permissions(&blob, permissions).expect("writable");
    let mut bytes = fs::read(&blob).expect("reads");
    bytes[10] ^= 1;
    fs::write(&blob, bytes).expect("writes");
    let run = place.embedded(&["dataset", "verify", "delays", "--format", "json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["verified"], false);
    assert!(report["findings"][0]["subject"].as_str().expect("text").contains(&hash), "{report}");
    let run = place.embedded(&["verify", "dataset:delays"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("is not verified"), "{}", run.stdout);
    assert_eq!(place.embedded(&["verify"]).code, Some(1));
}

fn find(directory: &Path, hash: &str) -> std::path::PathBuf {
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("lists") {
            let path = entry.expect("an entry").path();
            let joined: String = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            if path.is_dir() {
                waiting.push(path);
            } else if joined.ends_with(hash) || joined.contains(hash) {
                return path;
            }
        }
    }
    panic!("no blob {hash}");
}

#[test]
fn lookups_say_why_a_value_is_missing() {
    let place = Place::new();
    place.prepare();
    let answer = place.json("get delay_model --entity origin=JFK,dest=EWR --at 2013-06-01T12:00:00Z");
    let features = &answer["entities"][0]["features"];
    assert_eq!(features["weather__temp"]["status"], "present");
    assert_eq!(features["weather__temp"]["value"], 21.5);
    assert_eq!(features["weather__temp"]["event_time"], "2013-06-01T11:00:00.000000Z");
    assert_eq!(features["dest__temp"]["status"], "absent");
    let answer = place.json("get delay_model --entity origin=JFK,dest=LGA --at 2013-06-01T18:00:00Z");
    assert_eq!(answer["entities"][0]["features"]["weather__temp"]["status"], "expired");
    let answer = place.json("get delay_model --entity origin=JFK,dest=LGA --at 2013-06-01T12:00:00Z");
    assert_eq!(answer["entities"][0]["features"]["dest__temp"]["status"], "null");
}

#[test]
fn pushed_rows_are_read_at_once_and_a_tombstone_ends_them() {
    let place = Place::new();
    place.prepare();
    let row = |temp: &str, deleted: &str| {
        format!(
            "{{\"origin\":\"BOS\",\"event_timestamp\":\"2024-01-01T00:00:0{deleted}Z\",\"created_timestamp\":\"2024-01-01T00:00:00Z\",\"temp\":{temp},\"note\":null,\"__deleted\":{}}}\n",
            deleted == "1"
        )
    };
    let pushed = place.embedded_with(&["push", "weather", "--format", "json"], &row("7.5", "0")).json();
    assert_eq!((pushed["rows"].as_u64(), pushed["repeated_batches"].as_u64()), (Some(1), Some(0)));
    let get = "get delay_model --entity origin=BOS,dest=BOS";
    assert_eq!(place.json(get)["entities"][0]["features"]["weather__temp"]["status"], "expired");
    place.embedded_with(&["push", "weather", "-"], &row("null", "1")).text();
    assert_eq!(place.json(get)["entities"][0]["features"]["weather__temp"]["status"], "absent");
}

#[test]
fn traces_go_both_ways_in_every_form() {
    let place = Place::new();
    place.prepare();
    place.json("dataset create delays --spine labels.csv --service delay_model");
    let up = place.json("trace dataset:delays");
    assert_eq!((&up["complete"], &up["cut"]), (&true.into(), &false.into()));
    let kinds: Vec<&str> =
        up["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["kind"].as_str()).collect();
    for kind in ["dataset", "service", "view", "load", "source"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let down = place.embedded(&["trace", "view:weather", "--down"]).text();
    assert!(down.contains("dataset:flights/delays@v1"), "{down}");
    assert!(place.embedded(&["trace", "dataset:delays", "--format", "dot"]).text().starts_with("digraph"));
    let prov = place.embedded(&["trace", "dataset:delays", "--format", "prov-json"]).json();
    assert!(prov["entity"].is_object());
    let first = place.json("trace dataset:delays --limit 2");
    assert_eq!(first["complete"], false);
    let cursor = first["cursor"].as_str().expect("a cursor");
    let rest = place.json(&format!("trace dataset:delays --cursor {cursor}"));
    let count = |page: &Value| page["nodes"].as_array().map_or(0, Vec::len);
    assert_eq!(count(&first) + count(&rest), count(&up));
    let row = "{\"origin\":\"BOS\",\"event_timestamp\":\"2024-01-01T00:00:00Z\",\"created_timestamp\":\"2024-01-01T00:00:00Z\",\"temp\":1,\"note\":null}\n";
    place.embedded_with(&["push", "weather"], row).text();
    let down = place.embedded(&["trace", "view:weather", "--down"]).text();
    assert!(down.contains("unsealed  1 row in 1 shard since 20"), "{down}");
    assert!(down.lines().last().is_some_and(|line| line.starts_with("complete at ledger size ")), "{down}");
    assert_eq!(place.json("trace view:weather")["nodes"][0]["unsealed"]["rows"], 1);
    assert_eq!(place.json("trace dataset:delays")["nodes"], up["nodes"], "later rows have no part in it");
    let same = place.embedded(&["diff", "dataset:delays", "dataset:delays@v1"]).text();
    assert!(same.contains("were made from the same"), "{same}");
}

#[test]
fn apply_shows_the_plan_once_and_before_it_is_refused() {
    let place = Place::new();
    let plan = place.embedded(&["apply", "weather.yaml", "--plan"]).text();
    let (changes, _) = plan.split_once("\n\n").expect("changes, then a summary");
    let applied = place.embedded(&["apply", "weather.yaml"]).text();
    assert_eq!(applied, format!("{changes}\n\napplied: 3 new, 0 changed, 0 unchanged\n"));
    let again = place.embedded(&["apply", "weather.yaml"]).text();
    assert!(again.ends_with("\n\nnothing to change (0 new, 0 changed, 3 unchanged)\n"), "{again}");

    // An owner of more bytes than a sealed text has is found when it is to be written.
    let owner = "o".repeat(lineate_types::limits::SEALED_TEXT_BYTES + 1);
    let definitions = fs::read_to_string(place.path().join("weather.yaml")).expect("there");
    place.write(
        "weather.yaml",
        &definitions.replace("    ttl: 3h\n", &format!("    ttl: 3h\n    owner: {owner}\n")),
    );
    let refused = place.embedded(&["apply", "weather.yaml"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stdout.contains("~ view weather@v1  changed"), "{}", refused.stdout);
    assert!(!refused.stdout.contains("applied"), "{}", refused.stdout);
}

#[test]
fn the_demo_shows_itself_in_a_new_directory_that_it_names() {
    let place = Place::new();
    let output = command(place.path(), &["demo"]).env("TMPDIR", place.path()).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let step = |line: &str| line.strip_prefix(' ')?.split_once("  ")?.0.parse::<u32>().ok();
    let steps: Vec<u32> = text.lines().filter_map(step).collect();
    assert_eq!(steps, Vec::from_iter(1..=8), "{text}");
    let names = fs::read_dir(place.path()).expect("lists").map(|entry| entry.expect("an entry").path());
    let made: Vec<_> = names.filter(|path| path.to_string_lossy().contains("lineate-demo-")).collect();
    let [directory] = made.as_slice() else { panic!("one directory, not {made:?}") };
    let store = directory.join("store").display().to_string();
    assert!(text.contains(&format!("The store stays in {store}.")), "{text}");
    let sets =
        run_in(place.path(), &["dataset", "list", "--data-dir", &store, "--format", "json"], "").json();
    // The number of rides that is told is that of the training set.
    let rides = sets["datasets"][0]["rows"].as_u64().expect("rows");
    assert!(text.contains(&format!("{},{:03} rides, each", rides / 1_000, rides % 1_000)), "{text}");
}

#[test]
fn the_demo_does_the_whole_job() {
    let place = Place::new();
    let demo = place.json("demo");
    let steps = demo["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 8);
    let of = |step: usize, name: &str| {
        let results = steps[step]["results"].as_array().expect("results").iter();
        results.filter_map(|result| result.get(name)).next_back().cloned().unwrap_or_default()
    };
    assert_eq!(of(0, "apply")["applied"], true);
    assert!(of(1, "ingest")["rows"].as_u64() > Some(10_000));
    assert!(of(2, "push")["rows"].as_u64() > Some(100));
    assert_eq!(of(3, "get")["entities"][0]["features"]["pickup__traffic"]["status"], "present");
    assert_eq!(of(4, "dataset")["rows"], 20_000);
    assert!(of(4, "leak").as_u64() > Some(1_000));
    let auc: f64 = of(5, "model")["metrics"]["auc"].as_str().expect("text").parse().expect("a number");
    assert!(auc > 0.7, "{auc}");
    assert!(of(6, "trace")["nodes"].as_array().map_or(0, Vec::len) > 8);
    assert_eq!(of(7, "verify")["verified"], true);
    assert_eq!(place.json("dataset list")["datasets"].as_array().map_or(0, Vec::len), 2);
}
