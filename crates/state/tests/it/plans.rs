//! What a definition file would do, and what it may not.

use expect_test::{Expect, expect};
use lineate_state::{
    catalog::{Catalog, Plan, authored::Definitions},
    codec,
    meta::{AssertionDraft, Define, MetaCommand, MetaMachine, MetaReply, MetaRequest},
};
use lineate_storage::kv::KvBatch;
use lineate_types::{Hash, MatchMode, TimestampUs};
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "project": "flights",
        "entities": [
            {"name": "airport", "keys": [{"name": "origin", "type": "string"}]},
            {"name": "route", "keys": [{"name": "origin", "type": "string"}, {"name": "dest", "type": "string"}]}
        ],
        "views": [{
            "name": "weather", "entity": "airport", "event_time": "event_timestamp", "ttl": "3h",
            "owner": "ops@example.com", "features": [{"name": "temp", "type": "float64"}]
        }],
        "services": [{
            "name": "delay",
            "features": ["weather.temp", {"view": "weather", "as": "dest_weather", "keys": {"origin": "dest"}}]
        }]
    })
}

/// The base definitions with one place changed.
fn with(pointer: &str, value: Value) -> Definitions {
    let mut file = base();
    *file.pointer_mut(pointer).expect("the place exists") = value;
    read(file)
}

fn read(file: Value) -> Definitions {
    serde_json::from_value(file).expect("reads")
}

fn applied(catalog_file: Definitions) -> Catalog {
    let mut machine = MetaMachine::default();
    let plan = machine.catalog().plan(&catalog_file).expect("plans");
    let command = MetaCommand::Define(Define {
        catalog_version: plan.catalog_version,
        resolved: plan.resolved,
        assertions: vec![],
    });
    let request = MetaRequest { agent: Hash::of(b"p"), command };
    let at = lineate_state::Position { index: 1, commit_time: TimestampUs(1) };
    let reply = machine.apply(at, &codec::encode(&request), &mut KvBatch::new()).expect("applies");
    assert_eq!(reply, MetaReply::Done);
    machine.catalog().clone()
}

fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        text += &format!("{} {} {}\n", change.kind, change.what, change.name);
        change.details.iter().for_each(|detail| text += &format!("    {detail}\n"));
        change.breaks.iter().for_each(|breaks| text += &format!("  ! {breaks}\n"));
    }
    text
}

fn check(catalog: &Catalog, file: &Definitions, expected: &Expect) {
    let text = match catalog.plan(file) {
        Ok(plan) => show(&plan),
        Err(error) => format!("error: {error}\n"),
    };
    expected.assert_eq(&text);
}

#[test]
fn a_first_plan_is_all_new_and_a_second_all_unchanged() {
    check(
        &Catalog::default(),
        &read(base()),
        &expect![[r#"
        new entity airport
            keys origin string
        new entity route
            keys origin string, dest string
        new view weather@v1
            1 features of entity airport
        new service delay@v1
            2 features of weather@v1, weather@v1 as dest_weather
    "#]],
    );
    let catalog = applied(read(base()));
    assert!(catalog.plan(&read(base())).expect("plans").is_empty());
    check(
        &catalog,
        &read(base()),
        &expect![[r#"
        unchanged entity airport
            keys origin string
        unchanged entity route
            keys origin string, dest string
        unchanged view weather@v1
        unchanged service delay@v1
            2 features of weather@v1, weather@v1 as dest_weather
    "#]],
    );
}

#[test]
fn an_added_feature_shares_the_history_and_services_stay_pinned() {
    let catalog = applied(read(base()));
    let features = json!([{"name": "wind", "type": "float64"}, {"name": "temp", "type": "float64"}]);
    let file = with("/views/0/features", features);
    check(
        &catalog,
        &file,
        &expect![[r#"
            unchanged entity airport
                keys origin string
            unchanged entity route
                keys origin string, dest string
            changed view weather@v2
                + wind float64
              ! service delay@v1 stays on weather@v1
              ! rows written to weather must carry `wind`, null where unknown; those written to weather@v1 go on
            changed service delay@v2
                3 features of weather@v2, weather@v2 as dest_weather
                dest_weather: weather@v1 -> weather@v2
                weather: weather@v1 -> weather@v2
                + dest_weather__wind
        "#]],
    );
    let plan = catalog.plan(&file).expect("plans");
    let [view] = plan.resolved.views.as_slice() else { panic!("one view") };
    let before = catalog.views().next().expect("v1");
    assert_eq!((view.version, view.history), (2, before.history));
}

/// One view with everything a definition may say, after a merge patch of it (RFC 7396).
fn one_view(patch: &Value) -> Definitions {
    let mut file = base();
    let feature = |name: &str, data_type: &str| json!({"name": name, "type": data_type});
    let mut view = json!({
        "name": "weather", "entity": "airport", "event_time": "seen", "created_time": "known", "ttl": "3h",
        "features": [feature("temp", "float64"), feature("wind", "int64")]
    });
    for (field, value) in patch.as_object().expect("an object") {
        view[field] = value.clone();
    }
    let entity = json!({"name": "field", "keys": [{"name": "origin", "type": "string"}]});
    file["entities"].as_array_mut().expect("a list").push(entity);
    file["views"] = json!([view]);
    file["services"] = json!([]);
    read(file)
}

#[test]
fn any_other_change_of_a_view_starts_an_empty_history() {
    let (temp, wind) = (json!({"name": "temp", "type": "float64"}), json!({"name": "wind", "type": "int64"}));
    let gust = json!({"name": "gust", "type": "int64"});
    let cases = [
        (json!({}), json!({"created_time": null})),
        (json!({}), json!({"created_time": "told"})),
        (json!({"created_time": null}), json!({})),
        (json!({}), json!({"features": [temp]})),
        (json!({}), json!({"features": [wind, temp]})),
        (json!({}), json!({"features": [temp, gust]})),
        (json!({}), json!({"features": [wind, temp, gust]})),
        (json!({}), json!({"features": [{"name": "temp", "type": "float32"}, wind]})),
        (json!({}), json!({"entity": "field"})),
        (json!({}), json!({"entity": "route"})),
        (json!({}), json!({"naive_times": "utc"})),
        (json!({"naive_times": "utc"}), json!({})),
        (json!({}), json!({"event_time": "at"})),
        (json!({}), json!({"ttl": "4h"})),
        (json!({}), json!({"ttl": null})),
        (json!({"ttl": null}), json!({})),
        (json!({}), json!({"ttl": "4h", "features": [temp, wind, gust]})),
        (json!({}), json!({"created_time": null, "features": [temp, wind, gust]})),
    ];
    let mut text = String::new();
    for (before, after) in cases {
        let catalog = applied(one_view(&before));
        let plan = catalog.plan(&one_view(&after)).expect("plans");
        let ([view], Some(was)) = (plan.resolved.views.as_slice(), catalog.views().next()) else {
            panic!("one view: {after}")
        };
        assert_eq!((view.version, view.history == was.history), (2, false), "{before} -> {after}");
        let change = plan.changes.iter().find(|change| change.what == "view").expect("is named");
        assert_eq!(change.breaks, ["weather@v2 starts empty: its rows must be ingested again"], "{after}");
        text += &format!("{}\n", change.details.join("; "));
    }
    expect![[r#"
        created_time: known -> none
        created_time: known -> told
        created_time: none -> known
        - wind int64
        the order of its features
        + gust int64; - wind int64
        + gust int64
        temp: float64 -> float32
        entity: airport -> field
        entity: airport -> route; keys: origin string -> origin string, dest string
        naive_times are UTC: false -> true
        naive_times are UTC: true -> false
        event_time: seen -> at
        ttl: 3h -> 4h
        ttl: 3h -> none
        ttl: none -> 3h
        ttl: 3h -> 4h; + gust int64
        created_time: known -> none; + gust int64
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_default_mode_of_a_view_changes_with_its_created_time() {
    let mode = |patch: Value| applied(one_view(&patch)).views().next().expect("one").default_mode();
    assert_eq!(mode(json!({})), MatchMode::Known);
    assert_eq!(mode(json!({"created_time": null})), MatchMode::Event);
}

#[test]
fn a_change_that_starts_an_empty_history_says_so() {
    let catalog = applied(read(base()));
    check(
        &catalog,
        &with("/views/0/ttl", json!("4h")),
        &expect![[r#"
            unchanged entity airport
                keys origin string
            unchanged entity route
                keys origin string, dest string
            changed view weather@v2
                ttl: 3h -> 4h
              ! weather@v2 starts empty: its rows must be ingested again
              ! service delay@v1 stays on weather@v1
            changed service delay@v2
                2 features of weather@v2, weather@v2 as dest_weather
                dest_weather: weather@v1 -> weather@v2
                weather: weather@v1 -> weather@v2
        "#]],
    );
}

#[test]
fn owners_and_tags_make_no_version() {
    let catalog = applied(read(base()));
    let plan = catalog.plan(&with("/views/0/owner", json!("else@example.com"))).expect("plans");
    assert!(plan.is_empty());
    assert_eq!(plan.notes.first().map(|note| note.text.as_str()), Some("else@example.com"));
}

#[test]
fn wrong_definitions_say_what_would_be_right() {
    let catalog = applied(read(base()));
    let cases = [
        ("/entities/0/keys/0/type", json!("int64")),
        ("/entities/0/keys/0/type", json!("float64")),
        ("/views/0/entity", json!("airprot")),
        ("/views/0/features/0/type", json!("flaot64")),
        ("/views/0/features/0/name", json!("origin")),
        ("/views/0/ttl", json!("3 hours")),
        ("/services/0/features/0", json!("wether.temp")),
        ("/services/0/features/0", json!("weather.tmp")),
        ("/services/0/features/0", json!("weather@v7.temp")),
        ("/services/0/features/1/as", json!("weather")),
        ("/services/0/features/1/keys", json!({"orign": "dest"})),
        ("/services/0/features", json!(["weather.temp", "weather.*"])),
        ("/services/0/features", json!([])),
    ];
    let mut text = String::new();
    for (pointer, value) in cases {
        let error = catalog.plan(&with(pointer, value.clone())).expect_err(pointer);
        text += &format!("{pointer} = {value}\n    {error}\n");
    }
    expect![[r#"
        /entities/0/keys/0/type = "int64"
            entity `airport`: its keys are (origin string) and never change in place; the file says (origin int64). Define an entity of another name
        /entities/0/keys/0/type = "float64"
            entity `airport`: key `origin`: a key cannot be float64; it can be bool, int64, string, bytes, date, timestamp, uuid
        /views/0/entity = "airprot"
            view `weather`: entity `flights/airprot` does not exist; did you mean `airport`?
        /views/0/features/0/type = "flaot64"
            view `weather`: feature `temp`: `flaot64` is not a type: `flaot64` is unknown; did you mean `float64`? The types are bool, int32, int64, float32, float64, string, bytes, timestamp, date, uuid, json, decimal(38,9), list<T>, map<string,T>, struct<a:T,b:T>, vector<float32,768>
        /views/0/features/0/name = "origin"
            view `weather`: column `origin` occurs twice; names are unique
        /views/0/ttl = "3 hours"
            view `weather`: ttl: `3 hours` is not a duration: its unit is unknown; expected one of w d h m s ms us
        /services/0/features/0 = "wether.temp"
            service `delay`: view `flights/wether` does not exist; did you mean `weather`?
        /services/0/features/0 = "weather.tmp"
            service `delay`: feature `tmp` is not in view `weather@v1`; did you mean `temp`?
        /services/0/features/0 = "weather@v7.temp"
            service `delay`: view `weather@v7` does not exist; its newest version is v1
        /services/0/features/1/as = "weather"
            service `delay`: column `weather__temp` occurs twice; give one of the views another name with `as`
        /services/0/features/1/keys = {"orign":"dest"}
            service `delay`: `orign` is not a key of view `weather@v1`; its keys are origin string
        /services/0/features = ["weather.temp","weather.*"]
            service `delay`: column `weather__temp` occurs twice; give one of the views another name with `as`
        /services/0/features = []
            service `delay`: it has no features; a service has at least one
    "#]].assert_eq(&text);
}

#[test]
fn a_service_that_wants_one_request_column_as_two_types_is_refused() {
    let keys = |file: &mut Value, features: Value| {
        let text = json!({"name": "store", "keys": [{"name": "store", "type": "string"}, {"name": "sku", "type": "int64"}]});
        let number = json!({"name": "bay", "keys": [{"name": "store", "type": "int64"}]});
        file["entities"].as_array_mut().expect("a list").extend([text, number]);
        let view = |name: &str, entity: &str| json!({"name": name, "entity": entity, "event_time": "t", "features": [{"name": "x", "type": "bool"}]});
        file["views"].as_array_mut().expect("a list").extend([view("stock", "store"), view("bays", "bay")]);
        file["services"][0]["features"] = features;
    };
    let refused = |features: Value| {
        let mut file = base();
        keys(&mut file, features);
        Catalog::default().plan(&read(file)).map(drop).map_err(|error| error.to_string())
    };
    let clash = |column: &str, known: &str, other: &str| {
        Err(format!(
            "service `delay`: column `{column}` gives a key of type {known} and one of type {other}; \
             map one of them to another column with `keys`"
        ))
    };
    assert_eq!(refused(json!(["stock.x", "bays.x"])), clash("store", "string", "int64"));
    assert_eq!(refused(json!(["bays.x", "stock.x"])), clash("store", "int64", "string"));
    let one_view = json!([{"view": "stock", "as": "dst", "keys": {"store": "sku"}}]);
    assert_eq!(refused(one_view), clash("sku", "string", "int64"));
    let mapped = json!(["stock.x", {"view": "bays", "keys": {"store": "bay"}}]);
    assert_eq!(refused(mapped), Ok(()));
}

#[test]
fn unknown_fields_and_bare_views_are_refused_while_reading() {
    for (pointer, value, expected) in [
        (
            "/views/0",
            json!({"name": "w", "entity": "airport", "event_time": "t", "features": [], "tll": "3h"}),
            "unknown field `tll`",
        ),
        ("/services/0/features/0", json!("weather"), "write `weather.*` for all of view `weather`"),
        ("/project", json!("Flights"), "it must begin with a letter a to z"),
    ] {
        let mut file = base();
        *file.pointer_mut(pointer).expect("exists") = value;
        let error = serde_json::from_value::<Definitions>(file).expect_err(pointer).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_refused_assertion_leaves_the_catalog_and_the_ledger_as_they_were() {
    let mut machine = MetaMachine::default();
    let plan = machine.catalog().plan(&read(base())).expect("plans");
    let good = AssertionDraft {
        service: false,
        project: "flights".parse().expect("a name"),
        name: "weather".parse().expect("a name"),
        predicate: "owner".into(),
        value: Some(Hash::of(b"owner")),
        replaces: None,
    };
    let bad = [
        AssertionDraft { name: "wether".parse().expect("a name"), ..good.clone() },
        AssertionDraft { predicate: "Not a name".into(), ..good.clone() },
        AssertionDraft { replaces: Some(Hash::of(b"nothing")), ..good.clone() },
        AssertionDraft { value: None, ..good.clone() },
    ];
    let define = |assertions| {
        let (catalog_version, resolved) = (plan.catalog_version, plan.resolved.clone());
        let command = MetaCommand::Define(Define { catalog_version, resolved, assertions });
        codec::encode(&MetaRequest { agent: Hash::of(b"p"), command })
    };
    let at = lineate_state::Position { index: 1, commit_time: TimestampUs(1) };
    for bad in bad {
        let mut batch = KvBatch::new();
        let reply = machine.apply(at, &define(vec![good.clone(), bad.clone()]), &mut batch).expect("applies");
        assert!(matches!(reply, MetaReply::Refused(_)), "{bad:?}");
        assert!(batch.is_empty(), "{bad:?}");
        assert_eq!((machine.ledger().size(), machine.catalog().views().count()), (0, 0), "{bad:?}");
    }
    let reply = machine.apply(at, &define(vec![good]), &mut KvBatch::new()).expect("applies");
    assert_eq!((reply, machine.ledger().size()), (MetaReply::Done, 3));
}

#[test]
fn a_changed_service_says_which_features_and_keys_changed() {
    let catalog = applied(read(base()));
    let features =
        json!([{"view": "weather", "as": "dest_weather", "keys": {"origin": "goal"}}, "weather.temp"]);
    check(
        &catalog,
        &with("/services/0/features", features),
        &expect![[r#"
        unchanged entity airport
            keys origin string
        unchanged entity route
            keys origin string, dest string
        unchanged view weather@v1
        changed service delay@v2
            2 features of weather@v1, weather@v1 as dest_weather
            dest_weather: keys {origin: dest} -> {origin: goal}
    "#]],
    );
    let features = json!(["weather.temp", {"view": "weather", "as": "home"}]);
    check(
        &catalog,
        &with("/services/0/features", features),
        &expect![[r#"
        unchanged entity airport
            keys origin string
        unchanged entity route
            keys origin string, dest string
        unchanged view weather@v1
        changed service delay@v2
            2 features of weather@v1, weather@v1 as home
            + home__temp
            - dest_weather__temp
    "#]],
    );
}
