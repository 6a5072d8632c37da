//! What is said beside definitions, and looking definitions up.

use serde_json::{Value, json};

use crate::program::Place;

const FILE: &str = "definitions.yaml";

/// Applies one view with these lines beside it, and gives the plan's change of the view.
fn apply(place: &Place, beside: &str, features: &str) -> Value {
    let text = format!(
        "project: p\nentities:\n  - {{name: thing, keys: [{{name: id, type: int64}}]}}\nviews:\n  - name: v\n    entity: thing\n    event_time: t\n    features: [{features}]\n{beside}services:\n  - {{name: s, features: [v.a], owner: serving@example.com}}\n"
    );
    place.write(FILE, &text);
    place.json(&format!("apply {FILE}"))["changes"][1].clone()
}

const ONE: &str = "{name: a, type: int64}";
const TWO: &str = "{name: a, type: int64}, {name: b, type: int64}";

fn said(place: &Place, node: &str) -> Value {
    let shown = place.json(&format!("show {node}"));
    json!([shown["owner"], shown["description"], shown["tags"]])
}

#[test]
fn what_is_said_beside_a_definition_is_what_was_applied_last() {
    let place = Place::new();
    apply(
        &place,
        "    owner: one@example.com\n    description: of things\n    tags: {tier: '1', pii: 'no'}\n",
        ONE,
    );
    assert_eq!(said(&place, "view:v"), json!(["one@example.com", "of things", {"tier": "1", "pii": "no"}]));
    assert_eq!(said(&place, "service:s"), json!(["serving@example.com", null, {}]));

    let change = apply(&place, "    owner: two@example.com\n    tags: {tier: '2', pii: 'no'}\n", ONE);
    assert_eq!((&change["kind"], &change["name"]), (&json!("changed"), &json!("v@v1")));
    let details = json!([
        "owner: one@example.com → two@example.com",
        "description: of things is withdrawn",
        "tag: tier=1 → tier=2",
    ]);
    let sorted = |value: &Value| {
        let mut lines: Vec<String> = value.as_array().expect("lines").iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&change["details"]), sorted(&details));
    assert_eq!(said(&place, "view:v"), json!(["two@example.com", null, {"tier": "2", "pii": "no"}]));

    let back = apply(&place, "    owner: one@example.com\n    tags: {tier: '2', pii: 'no'}\n", ONE);
    assert_eq!(back["details"], json!(["owner: two@example.com → one@example.com"]));
    let again = apply(&place, "    owner: one@example.com\n    tags: {tier: '2', pii: 'no'}\n", ONE);
    assert_eq!((&again["kind"], &again["details"]), (&json!("unchanged"), &json!([])));

    let next = apply(&place, "    owner: one@example.com\n", TWO);
    assert_eq!(next["name"], "v@v2");
    assert_eq!(said(&place, "view:v@v2"), json!(["one@example.com", null, {}]), "it belongs to the name");
    assert_eq!(said(&place, "view:v@v2"), said(&place, "view:v@v1"));
}

#[test]
fn definitions_and_records_are_shown_with_the_ids_of_their_records() {
    let place = Place::new();
    place.json("init");
    assert_eq!(place.embedded(&["show"]).text(), "nothing is defined yet; `lineate apply FILE` defines\n");
    apply(&place, "    owner: one@example.com\n", ONE);
    let all = place.json("show");
    let kinds: Vec<&str> =
        all["definitions"].as_array().expect("all").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["entity", "view", "service"]);
    for node in ["view:v", "service:s"] {
        let definition = place.json(&format!("show {node}"));
        let id = definition["record"].as_str().expect("an id");
        let record = place.json(&format!("show {id}"));
        assert_eq!(record["title"], format!("{}@v1", node.replace(':', ":p/")));
        let traced = place.json(&format!("trace {node}"));
        assert_eq!(traced["start"], id, "the same record as in the graph");
    }
    assert_eq!(place.json("show service:s")["features"][0]["view"], "v@v1");
    let text = place.embedded(&["show", "view:v"]).text();
    assert!(text.contains("owner         one@example.com"), "{text}");
}

/// The field of a text that is kept.
fn kept(value: &Value) -> &str {
    assert_eq!(value["state"], "kept", "{value}");
    value["text"].as_str().expect("text")
}

#[test]
fn a_model_reads_back_all_that_was_recorded_of_it() {
    let place = Place::new();
    place.prepare();
    place.json("dataset create delays --spine labels.csv --service delay_model");
    let registered = place.json(
        "model register late --dataset delays --artifact labels.csv --code abc --param trees=20 --metric auc=0.750",
    );
    place.json("model register late --dataset delays");
    place.json("model promote late@v1 production");
    place.json("model promote late@v2 production");
    let shown = place.json("show model:late@v1");
    assert_eq!(shown["id"], registered["record"]);
    assert_eq!(shown["fields"]["artifact"]["physical_hash"], registered["artifact"]["hash"]);
    let [run, evaluation] = shown["related"].as_array().expect("related").as_slice() else {
        panic!("a run and its metrics: {shown}");
    };
    assert_eq!(kept(&run["fields"]["code"]), "abc");
    assert_eq!(kept(&run["fields"]["parameters"]["trees"]), "20");
    assert_eq!(run["fields"]["inputs"][0]["title"], "dataset:flights/delays@v1");
    assert_eq!(evaluation["fields"]["metrics"], json!({"auc": "0.750"}));
    let moved = |place: usize| {
        let moved = &shown["promotions"][place];
        (
            moved["alias"].clone(),
            moved["from"].clone(),
            moved["to"].clone(),
            kept(&moved["principal"]).len() > 2,
        )
    };
    let (first, second) = (json!("model:flights/late@v1"), json!("model:flights/late@v2"));
    assert_eq!(moved(0), (json!("production"), Value::Null, first.clone(), true));
    assert_eq!(moved(1), (json!("production"), first, second, true));
    assert_eq!(shown["aliases"], json!([]));
    assert_eq!(place.json("show model:late")["aliases"], json!(["production"]));
    let text = place.embedded(&["show", "model:late@v1"]).text();
    for line in
        ["code        abc", "parameters  trees=20", "metrics    auc=0.750", "production   late@v1   late@v2"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn every_record_of_a_store_can_be_shown_at_a_checkpoint() {
    let place = Place::new();
    place.prepare();
    place.json("dataset create delays --spine labels.csv --service delay_model");
    place.json("model register late --dataset delays --metric auc=0.75");
    place.json("model promote late@v1 production");
    let walk = place.json("trace model:late --agents");
    for node in walk["nodes"].as_array().expect("nodes") {
        let shown = place.json(&format!("show {}", node["id"].as_str().expect("id")));
        assert_eq!((&shown["title"], &shown["root"]), (&node["title"], &walk["root"]));
        assert_eq!(shown["fields"].is_null(), node["kind"] == "agent", "{shown}");
    }
    let load = place.json("show load:l1");
    assert_eq!(load["fields"]["rows"], 4);
    let source = &load["related"][0]["fields"];
    assert_eq!((kept(&source["path"]), &source["format"]), ("history.csv", &json!("csv")));
    let text = place.embedded(&["show", "dataset:delays"]).text();
    assert!(text.contains("weather__temp     float64"), "{text}");
    assert!(text.contains("  at ledger size 9, root "), "{text}");
}

#[test]
fn nodes_are_named_by_aliases_by_the_beginning_of_ids_and_by_files() {
    let place = Place::new();
    place.prepare();
    place.json("ingest weather history.csv --again");
    place.json("dataset create delays --spine labels.csv --service delay_model");
    let model = place.json("model register late --dataset delays");
    place.json("model promote late@v1 production");
    let id = model["record"].as_str().expect("an id");
    for node in ["model:late@production", "model:flights/late@production", &id[..11]] {
        assert_eq!(place.json(&format!("show {node}"))["id"], id, "{node}");
        assert_eq!(place.json(&format!("trace {node}"))["start"], id, "{node}");
        assert_eq!(place.json(&format!("verify {node}"))["verified"], true, "{node}");
    }
    let titles = |walk: &Value| -> Vec<String> {
        let nodes = walk["nodes"].as_array().expect("nodes").iter();
        nodes.map(|node| node["title"].as_str().expect("title").to_owned()).collect()
    };
    let from_file = place.json("trace --file history.csv");
    for title in ["load:flights/l1", "load:flights/l2", "dataset:flights/delays@v1", "model:flights/late@v1"]
    {
        assert!(titles(&from_file).iter().any(|found| found == title), "{title}: {from_file}");
    }
    let source = titles(&from_file).swap_remove(0);
    assert!(source.starts_with("source:b3:"), "{source}");
    assert_eq!(titles(&place.json(&format!("trace {source} --down"))), titles(&from_file));
    let run = place.embedded(&["trace", "--file", "labels.csv", "--format", "json"]);
    assert_eq!((run.code, run.error().0.as_str()), (Some(1), "not_found"));
    let refused = place.embedded(&["model", "promote", "late@v1", "v2", "--format", "json"]).error();
    assert!(refused.1.contains("reads as a version"), "{refused:?}");
}

#[test]
fn models_are_listed_and_a_promotion_to_the_same_version_is_none() {
    let place = Place::new();
    place.prepare();
    assert_eq!(place.json("model list"), json!({"models": []}));
    place.json("dataset create delays --spine labels.csv --service delay_model");
    place.json("model register late --dataset delays --metric auc=0.75");
    place.json("model register late --dataset delays");
    assert_eq!(place.json("model promote late@v1 production")["changed"], true);
    let size = place.json("show model:late")["size"].clone();
    assert_eq!(place.json("model promote late@v1 production")["changed"], false);
    let text = place.embedded(&["model", "promote", "late@v1", "production"]).text();
    assert!(text.contains("already, nothing was recorded"), "{text}");
    assert_eq!(place.json("show model:late")["size"], size);
    let listed = |line: &str| -> Vec<Value> {
        let models = place.json(line)["models"].as_array().expect("models").clone();
        models
            .iter()
            .map(|model| json!([model["name"], model["version"], model["aliases"], model["metrics"]]))
            .collect()
    };
    assert_eq!(listed("model list"), [json!(["late", 2, [], {}])]);
    let first = json!(["late", 1, ["production"], {"auc": "0.75"}]);
    assert_eq!(listed("model list --all"), [first, json!(["late", 2, [], {}])]);
    let text = place.embedded(&["model", "list", "--all"]).text();
    assert!(text.contains("flights/late@v1   production   flights/delays@v1   auc=0.75"), "{text}");
}
