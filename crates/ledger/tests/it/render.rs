//! The text forms of a walk.

use std::collections::BTreeMap;

use expect_test::expect;
use lineate_ledger::{
    graph::{Direction, Trace, Walk},
    record::Kind,
    render::{self, Beside, Known, Unsealed},
};
use lineate_types::{Hash, limits};
use proptest::prelude::*;

use crate::{arbitrary, graph::Ledger, samples};

fn told() -> Ledger {
    Ledger::with(&samples::story().into_iter().map(|(_, record)| record).collect::<Vec<_>>())
}

fn walk(text: &str, trace: &Trace) -> Walk {
    let ledger = told();
    let start = ledger.graph.resolve(&text.parse().expect("a reference"), None, trace.at).expect("there").id;
    ledger.graph.walk(start, trace).expect("there")
}

#[test]
fn a_tree_shows_each_node_once_and_then_refers_to_it() {
    let text = render::tree(&walk("model:delay_model", &Trace::default()), Beside::nothing());
    expect![[r#"
        model:flights/delay_model@v2  b3:bb7d7d527164
        └─ run:flights/train@v1  b3:2d3a8955583e
           └─ dataset:flights/delays@v3  336,776 rows  b3:ec4c1f16680e
              ├─ service:flights/delay_model@v1  b3:31f7918a55f9
              │  └─ view:flights/weather@v1  b3:febf68a292dd
              ├─ view:flights/weather@v1  b3:febf68a292dd  (↑ seen above)
              ├─ seal shard 5  30 rows  b3:c146b0520c78
              │  └─ view:flights/weather@v1  b3:febf68a292dd  (↑ seen above)
              └─ load:flights/l17  100 rows  b3:ced0f8a6bb17
                 ├─ view:flights/weather@v1  b3:febf68a292dd  (↑ seen above)
                 └─ source:b3:5116c2135a20  100 rows  b3:27478968c89a
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_tree_downwards_shows_what_came_from_a_node() {
    let trace = Trace { direction: Direction::Down, depth: Some(2), ..Trace::default() };
    expect![[r#"
        view:flights/weather@v1  b3:febf68a292dd
        ├─ service:flights/delay_model@v1  b3:31f7918a55f9
        │  └─ dataset:flights/delays@v3  336,776 rows  b3:ec4c1f16680e
        │     ├─ run:flights/train@v1  b3:2d3a8955583e  …
        │     └─ eval:flights/delay_model@v2  b3:8162fc869f90
        ├─ load:flights/l17  100 rows  b3:ced0f8a6bb17
        │  ├─ dataset:flights/delays@v3  336,776 rows  b3:ec4c1f16680e  (↑ seen above)
        │  └─ collection of 2 inputs  b3:046e4427cf70
        ├─ seal shard 5  30 rows  b3:c146b0520c78
        │  ├─ dataset:flights/delays@v3  336,776 rows  b3:ec4c1f16680e  (↑ seen above)
        │  └─ collection of 2 inputs  b3:046e4427cf70  (↑ seen above)
        ├─ dataset:flights/delays@v3  336,776 rows  b3:ec4c1f16680e  (↑ seen above)
        ├─ assertion owner  b3:7448a7a3bb86
        └─ erasure of 2 texts  b3:e212733e693f
    "#]]
    .assert_eq(&render::tree(&walk("view:weather", &trace), Beside::nothing()));
}

#[test]
fn opened_text_stands_beside_its_node_and_cannot_move_the_cursor() {
    let path = samples::source("s3://bucket/weather.parquet").id();
    let note = move |id: Hash| (id == path).then(|| "s3://bucket/\u{1b}[2Jx\n\u{202e}y".to_owned());
    let text =
        render::tree(&walk("load:l17", &Trace::default()), Beside { note: &note, ..Beside::nothing() });
    expect![[r#"
        load:flights/l17  100 rows  b3:ced0f8a6bb17
        ├─ view:flights/weather@v1  b3:febf68a292dd
        └─ source:b3:5116c2135a20  100 rows  b3:27478968c89a  s3://bucket/\u{1b}[2Jx\u{a}\u{202e}y
    "#]]
    .assert_eq(&text);
}

#[test]
fn rows_without_a_record_stand_beside_their_view_in_every_format() {
    let trace = Trace { direction: Direction::Down, depth: Some(0), ..Trace::default() };
    let page = walk("view:weather", &trace);
    let since = "2024-05-01T00:00:00Z".parse().expect("a time");
    let rows = Unsealed { rows: 1_234, at_most: false, shards: 2, since };
    let unsealed = BTreeMap::from([(page.start, rows)]);
    let beside = Beside { unsealed: &unsealed, ..Beside::nothing() };
    expect![[r#"
        view:flights/weather@v1  b3:febf68a292dd  …
        └─ unsealed  1,234 rows in 2 shards since 2024-05-01T00:00:00.000000Z, not recorded yet
    "#]]
    .assert_eq(&render::tree(&page, beside));
    let expected = serde_json::json!(
        {"rows": 1_234, "at_most": false, "shards": 2, "since": "2024-05-01T00:00:00.000000Z"}
    );
    assert_eq!(render::json(&page, beside)["nodes"][0]["unsealed"], expected);
    assert!(render::dot(&page, beside).contains("unsealed  1,234 rows"));
    let start = format!("lineate:b3-{}", page.start.to_hex());
    assert_eq!(render::prov_json(&page, beside)["entity"][&start]["lineate:unsealedRows"], 1_234);
    let one = Unsealed { rows: 1, at_most: true, shards: 1, since };
    expect!["unsealed  at most 1 row in 1 shard since 2024-05-01T00:00:00.000000Z, not recorded yet"]
        .assert_eq(&one.to_string());
}

#[test]
fn a_page_that_is_not_the_last_says_so_in_every_format() {
    let page = walk("model:delay_model", &Trace { limit: 2, ..Trace::default() });
    let nothing = Beside::nothing();
    expect![[r#"
        model:flights/delay_model@v2  b3:bb7d7d527164
        └─ run:flights/train@v1  b3:2d3a8955583e
        … not complete: 2 nodes on this page, more follow
    "#]]
    .assert_eq(&render::tree(&page, nothing));
    assert!(render::dot(&page, nothing).contains("not complete"));
    let json = render::json(&page, nothing);
    assert_eq!(json["complete"], false);
    assert!(json["cursor"].is_string());
    let prov = render::prov_json(&page, nothing);
    let start = format!("lineate:b3-{}", page.start.to_hex());
    assert_eq!(prov["entity"][&start]["lineate:complete"], false);
}

#[test]
fn every_page_of_a_walk_draws_all_its_nodes() {
    let ledger = told();
    let trace = Trace { limit: 3, ..Trace::default() };
    let start =
        ledger.graph.resolve(&"model:delay_model".parse().expect("ok"), None, trace.at).expect("there");
    let mut page = ledger.graph.walk(start.id, &trace).expect("there");
    loop {
        let text = render::tree(&page, Beside::nothing());
        for found in &page.nodes {
            assert!(text.contains(&found.node.id.short()), "{text}");
        }
        let Some(cursor) = &page.cursor else { break };
        page = ledger.graph.resume(cursor, 3).expect("there");
    }
}

#[test]
fn a_chain_deeper_than_the_page_is_wide_is_counted() {
    let mut ledger = Ledger::default();
    let mut last = ledger.add(&samples::run(0, &[]));
    for number in 1..100 {
        last = ledger.add(&samples::run(number, &[last]));
    }
    let walk = ledger.graph.walk(last, &Trace::default()).expect("there");
    let text = render::tree(&walk, Beside::nothing());
    assert_eq!(text.lines().count(), limits::TRACE_TREE_DEPTH + 2);
    assert!(text.ends_with("└─ … and 35 deeper, see the JSON form\n"), "{text}");
}

#[test]
fn the_json_form_has_all_there_is() {
    let page = walk("load:l17", &Trace { agents: true, ..Trace::default() });
    let text = serde_json::to_string_pretty(&render::json(&page, Beside::nothing())).expect("JSON");
    expect![[r#"
        {
          "start": "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2",
          "direction": "up",
          "size": 13,
          "root": null,
          "complete": true,
          "cut": false,
          "cursor": null,
          "nodes": [
            {
              "id": "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2",
              "kind": "load",
              "title": "load:flights/l17",
              "seq": 3,
              "commit_time": "1970-01-01T00:00:00.001003Z",
              "project": "flights",
              "name": "l17",
              "rows": 100,
              "depth": 0,
              "cut": false
            },
            {
              "id": "b3:febf68a292dd805fb92d08b1a2e1e454a487d2991fd4d06b8be165f65f267f50",
              "kind": "view",
              "title": "view:flights/weather@v1",
              "seq": 1,
              "commit_time": "1970-01-01T00:00:00.001001Z",
              "project": "flights",
              "name": "weather",
              "version": 1,
              "depth": 1,
              "cut": false
            },
            {
              "id": "b3:27478968c89a06b65d70e1781828e577ee070ea202916083e5e2d4d70c01d484",
              "kind": "source",
              "title": "source:b3:5116c2135a20",
              "seq": 0,
              "commit_time": "1970-01-01T00:00:00.001000Z",
              "project": "flights",
              "file": "b3:5116c2135a20e2ccde23c06940c445333d394211aa38d9c693544f6465453186",
              "rows": 100,
              "depth": 1,
              "cut": false
            },
            {
              "id": "b3:0758a4e1b1de075181b6a9e9756995827a6d8982435b723a892b1a4002f4d49e",
              "kind": "agent",
              "title": "agent",
              "seq": 3,
              "commit_time": "1970-01-01T00:00:00.001003Z",
              "depth": 1,
              "cut": false
            }
          ],
          "edges": [
            {
              "from": "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2",
              "role": "specialization_of",
              "to": "b3:febf68a292dd805fb92d08b1a2e1e454a487d2991fd4d06b8be165f65f267f50"
            },
            {
              "from": "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2",
              "role": "was_derived_from",
              "to": "b3:27478968c89a06b65d70e1781828e577ee070ea202916083e5e2d4d70c01d484"
            },
            {
              "from": "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2",
              "role": "was_attributed_to",
              "to": "b3:0758a4e1b1de075181b6a9e9756995827a6d8982435b723a892b1a4002f4d49e"
            }
          ]
        }"#]]
    .assert_eq(&text);
}

#[test]
fn dot_quotes_what_it_is_given() {
    let page = walk("load:l17", &Trace::default());
    let path = samples::source("s3://bucket/weather.parquet").id();
    let note = move |id: Hash| (id == path).then(|| r#"C:\new "files""#.to_owned());
    expect![[r#"
        digraph lineage {
          rankdir=LR;
          node [shape=box];
          "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2" [label="load:flights/l17\n100 rows\nb3:ced0f8a6bb17", shape=ellipse];
          "b3:febf68a292dd805fb92d08b1a2e1e454a487d2991fd4d06b8be165f65f267f50" [label="view:flights/weather@v1\nb3:febf68a292dd", shape=ellipse];
          "b3:27478968c89a06b65d70e1781828e577ee070ea202916083e5e2d4d70c01d484" [label="source:b3:5116c2135a20\n100 rows\nC:\\new \"files\"\nb3:27478968c89a", shape=ellipse];
          "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2" -> "b3:febf68a292dd805fb92d08b1a2e1e454a487d2991fd4d06b8be165f65f267f50" [label="specialization_of"];
          "b3:ced0f8a6bb175bedaf8a3111281d0dc08e9ed6275ea8abe6a91c89f5eac576c2" -> "b3:27478968c89a06b65d70e1781828e577ee070ea202916083e5e2d4d70c01d484" [label="was_derived_from"];
        }
    "#]].assert_eq(&render::dot(&page, Beside { note: &note, ..Beside::nothing() }));
}

#[test]
fn prov_json_uses_the_relations_of_prov() {
    let page = walk("deployment:production", &Trace { agents: true, ..Trace::default() });
    let prov = render::prov_json(&page, Beside::nothing());
    let sections: Vec<String> = prov
        .as_object()
        .expect("an object")
        .iter()
        .map(|(section, members)| {
            format!("{section} {}", members.as_object().map_or(0, |members| members.len()))
        })
        .collect();
    expect![[r#"
        prefix 1
        activity 2
        entity 7
        agent 2
        used 2
        wasAssociatedWith 2
        wasGeneratedBy 1
        wasAttributedTo 3
        wasInfluencedBy 2
        wasDerivedFrom 3
        hadMember 1
        specializationOf 2"#]]
    .assert_eq(&sections.join("\n"));
}

/// What is known of nothing but its id.
const BY_ID: Known<'static> =
    Known { text: &|sealed| sealed.to_string().into(), node: &|id| id.to_string().into() };

#[test]
fn a_record_is_shown_with_all_it_says() {
    let story = samples::story();
    let (_, seal) = story.iter().find(|(_, record)| record.kind() == Kind::Seal).expect("there");
    expect![[r#"
        {
          "project": "flights",
          "view": "b3:febf68a292dd805fb92d08b1a2e1e454a487d2991fd4d06b8be165f65f267f50",
          "earlier_views": [],
          "shard": 5,
          "rows": 30,
          "first_commit": "2013-06-01T12:00:00.000001Z",
          "last_commit": "2013-06-01T12:00:00.000009Z",
          "logical_hash": "b3:a9adee29ebf116a8f00a5d55e35c5192915b82819a2dd2985a759eff5c46d23f",
          "physical_hash": "b3:b35f90583da9789a52be08ed70a29b125b7ed0fce8bd4e0883c14a3ec1a13b8a",
          "writers": [
            {
              "writer": "w1",
              "rows": 10
            },
            {
              "writer": "w300",
              "rows": 20
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&render::record(seal, BY_ID)).expect("JSON"));
}

proptest! {
    #[test]
    fn nothing_that_a_record_names_or_seals_is_left_out(record in arbitrary::record()) {
        let shown = serde_json::to_string(&render::record(&record, BY_ID)).expect("JSON");
        for edge in record.edges() {
            prop_assert!(shown.contains(&edge.target.to_string()), "{edge:?}: {shown}");
        }
        for sealed in record.sealed() {
            prop_assert!(shown.contains(&sealed.to_string()), "{sealed}: {shown}");
        }
    }
}
