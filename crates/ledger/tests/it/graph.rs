//! The graph: what may be added, and how names are found.

use lineate_ledger::{
    Error, Graph, Record, Sealed,
    graph::{At, Direction, Trace, Walk},
    record::{Role, Run, Source},
};
use lineate_types::{ErrorKind, HasKind, Hash, Name, NodeRef, TimestampUs};

use crate::samples::{self, name, story};

/// A graph whose entry `n` has the commit time `1000 + n`.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) graph: Graph,
}

impl Ledger {
    pub(crate) fn add(&mut self, record: &Record) -> Hash {
        self.try_add(record).expect("the record fits the graph")
    }

    pub(crate) fn try_add(&mut self, record: &Record) -> Result<Hash, Error> {
        let seq = self.graph.size();
        self.graph.add(seq, time(seq), record)
    }

    pub(crate) fn with(records: &[Record]) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.add(record);
        }
        ledger
    }
}

pub(crate) fn time(seq: u64) -> TimestampUs {
    TimestampUs(1_000 + i64::try_from(seq).expect("small"))
}

fn told() -> Ledger {
    Ledger::with(&story().into_iter().map(|(_, record)| record).collect::<Vec<_>>())
}

fn reference(text: &str) -> NodeRef {
    text.parse().expect("a reference")
}

fn resolve(ledger: &Ledger, text: &str) -> Result<String, String> {
    let found = ledger.graph.resolve(&reference(text), Some(&name("flights")), At::Newest);
    found.map(|node| node.title()).map_err(|error| error.to_string())
}

#[test]
fn a_record_is_added_only_after_what_it_names() {
    let mut ledger = Ledger::default();
    let view = samples::view("weather", 1, None);
    let service = samples::service(1, &[view.id()]);
    let error = ledger.try_add(&service).expect_err("the view is missing");
    let expected = Error::MissingInput { record: service.id(), target: view.id(), role: Role::HadMember };
    assert_eq!(error, expected);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(ledger.graph.size(), 0);
    ledger.add(&view);
    ledger.add(&service);
}

#[test]
fn an_input_of_the_wrong_kind_is_refused() {
    let mut ledger = told();
    let view = ledger.graph.resolve(&reference("view:weather"), None, At::Newest).expect("there").id;
    let error = ledger.try_add(&samples::model(9, view)).expect_err("a view is no run");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().ends_with("a view, as `was_generated_by`; expected a run"), "{error}");
}

#[test]
fn a_refused_record_leaves_the_graph_as_it_was() {
    let mut ledger = told();
    let before = format!("{:?}", ledger.graph);
    let (_, first) = &story()[0];
    assert!(matches!(ledger.try_add(first), Err(Error::DuplicateRecord { .. })));
    let other = samples::view(
        "weather",
        1,
        Some(ledger.graph.resolve(&reference("view:weather"), None, At::Newest).expect("there").id),
    );
    let error = ledger.try_add(&other).expect_err("v1 is taken");
    assert!(error.to_string().starts_with("view:flights/weather@v1 is record b3:"), "{error}");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let missing = samples::run(1, &[Hash::of(b"nowhere")]);
    assert!(matches!(ledger.try_add(&missing), Err(Error::MissingInput { .. })));
    assert_eq!(format!("{:?}", ledger.graph), before);
}

#[test]
fn entries_come_in_order_and_time_does_not_run_back() {
    let mut graph = Graph::new();
    let (one, other) = (samples::view("a", 1, None), samples::view("b", 1, None));
    assert_eq!(graph.add(1, TimestampUs(5), &one), Err(Error::NotNextEntry { expected: 0, actual: 1 }));
    assert!(graph.add(0, TimestampUs(5), &one).is_ok());
    assert!(matches!(graph.add(1, TimestampUs(4), &other), Err(Error::CommitTimeRegressed { .. })));
    assert!(graph.add(1, TimestampUs(5), &other).is_ok());
}

#[test]
fn names_are_found_with_and_without_version() {
    let mut ledger = told();
    let view = ledger.graph.resolve(&reference("view:weather"), None, At::Newest).expect("there").id;
    let second = samples::view("weather", 2, Some(view));
    ledger.add(&second);
    for (asked, found) in [
        ("view:weather", "view:flights/weather@v2"),
        ("view:weather@1", "view:flights/weather@v1"),
        ("view:flights/weather@v2", "view:flights/weather@v2"),
        ("dataset:delays", "dataset:flights/delays@v3"),
        ("load:l17", "load:flights/l17"),
        ("run:train", "run:flights/train@v1"),
        ("job:train", "run:flights/train@v1"),
        ("model:delay_model@v2", "model:flights/delay_model@v2"),
        ("eval:delay_model", "eval:flights/delay_model@v2"),
        ("deployment:production", "deployment:flights/production@v1"),
    ] {
        assert_eq!(resolve(&ledger, asked), Ok(found.to_owned()), "{asked}");
    }
    assert_eq!(resolve(&ledger, &second.id().to_string()), Ok("view:flights/weather@v2".to_owned()));
}

#[test]
fn runs_and_promotions_are_counted_in_log_order() {
    let mut ledger = told();
    let model = ledger.graph.resolve(&reference("model:delay_model"), None, At::Newest).expect("there").id;
    let second = ledger.add(&samples::run(0xcd, &[]));
    let next = ledger.add(&samples::model(3, second));
    let first =
        ledger.graph.resolve(&reference("deployment:production"), None, At::Newest).expect("there").id;
    let promotion = samples::promotion(next, Some(first));
    ledger.add(&promotion);
    let not_a_promotion = samples::promotion(next, Some(model));
    assert!(matches!(ledger.try_add(&not_a_promotion), Err(Error::WrongInput { .. })));
    assert_eq!(resolve(&ledger, "run:train"), Ok("run:flights/train@v2".to_owned()));
    assert_eq!(resolve(&ledger, "deployment:production"), Ok("deployment:flights/production@v2".to_owned()));
    assert_eq!(resolve(&ledger, "run:train@v1"), Ok("run:flights/train@v1".to_owned()));
}

#[test]
fn the_newest_of_several_evaluations_of_a_model_is_found() {
    let mut ledger = told();
    let model = ledger.graph.resolve(&reference("model:delay_model"), None, At::Newest).expect("there").id;
    let newest = ledger.add(&samples::evaluation(model, None));
    let found = ledger.graph.resolve(&reference("eval:delay_model@v2"), None, At::Newest).expect("there");
    assert_eq!(found.id, newest);
}

#[test]
fn what_is_not_there_is_answered_with_what_is_near() {
    let ledger = told();
    let unknown = |text: &str| resolve(&ledger, text).expect_err("unknown");
    assert_eq!(unknown("view:wether"), "`view:wether` is not in the ledger; did you mean `weather`?");
    assert_eq!(
        unknown("dataset:delays@v4"),
        "`dataset:delays@v4` is not in the ledger; it has version v3 only"
    );
    assert_eq!(
        unknown("view:flighs/weather"),
        "`view:flighs/weather` is not in the ledger; there is no project `flighs`, did you mean `flights`?"
    );
    let young = Ledger::with(&[samples::view("weather", 1, None)]);
    assert_eq!(
        resolve(&young, "model:x").expect_err("not there"),
        "`model:x` is not in the ledger; project `flights` has no model"
    );
    assert!(unknown("source:x").contains("files are named by their content, as source:b3:HEX"));
    assert!(unknown("agent:ada").ends_with("agents are sealed, give the commitment as b3:HEX"));
    let hash = Hash::of(b"nothing").to_string();
    assert_eq!(unknown(&hash), format!("`{hash}` is not in the ledger"));
}

#[test]
fn a_name_without_project_means_the_only_one_or_must_be_told() {
    let mut ledger = told();
    let found = |ledger: &Ledger, default: Option<&Name>| {
        ledger.graph.resolve(&reference("view:weather"), default, At::Newest).map(|node| node.title())
    };
    assert_eq!(found(&ledger, None), Ok("view:flights/weather@v1".to_owned()));
    let mut foreign = samples::view("weather", 1, None);
    if let Record::View(view) = &mut foreign {
        view.project = name("trains");
    }
    ledger.add(&foreign);
    let error = found(&ledger, None).expect_err("two projects");
    assert_eq!(error.to_string(), "`view:weather` names no project; expected one of `flights`, `trains`");
    assert_eq!(found(&ledger, Some(&name("trains"))), Ok("view:trains/weather@v1".to_owned()));
    let nothing = Graph::new().resolve(&reference("view:weather"), None, At::Newest).map(|node| node.id);
    assert_eq!(nothing.map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[test]
fn a_name_is_found_only_from_its_entry_on() {
    let mut ledger = Ledger::default();
    let first = ledger.add(&samples::view("weather", 1, None));
    ledger.add(&samples::view("weather", 2, Some(first)));
    let at = |at: At| {
        let found = ledger.graph.resolve(&reference("view:weather"), None, at);
        found.map(|node| node.version).map_err(|error| error.to_string())
    };
    assert_eq!(at(At::Newest), Ok(Some(2)));
    assert_eq!(at(At::Size(2)), Ok(Some(2)));
    assert_eq!(at(At::Size(1)), Ok(Some(1)));
    assert_eq!(at(At::Time(time(0))), Ok(Some(1)));
    assert_eq!(at(At::Time(time(1))), Ok(Some(2)));
    let error = at(At::Size(0)).expect_err("before all");
    assert!(error.contains("it was recorded at 1970-01-01T00:00:00.001000Z as entry 0"), "{error}");
    let missing = ledger.graph.resolve(&reference("view:weather@v2"), None, At::Size(1));
    assert!(missing.is_err());
    assert!(ledger.graph.resolve(&NodeRef::Id(first), None, At::Size(0)).is_err());
}

#[test]
fn an_agent_is_one_node_from_its_first_record_on() {
    let ledger = told();
    let ada = samples::sealed("ada").0;
    let node = ledger.graph.node(ada).expect("ada loaded the file");
    assert_eq!((node.kind, node.seq, node.title()), (None, 3, "agent".to_owned()));
    let edges: Vec<Role> =
        ledger.graph.edges(ada, Direction::Down, At::Newest).map(|edge| edge.role).collect();
    let expected =
        [Role::WasAttributedTo, Role::WasAttributedTo, Role::WasAssociatedWith, Role::WasAttributedTo];
    assert_eq!(edges, expected);
    assert_eq!(ledger.graph.edges(ada, Direction::Down, At::Size(4)).count(), 1);
    assert_eq!(ledger.graph.nodes().filter(|node| node.kind.is_none()).count(), 2);
}

/// The first so many hex digits of an id.
fn digits(id: Hash, count: usize) -> String {
    id.to_string().chars().take("b3:".len() + count).collect()
}

#[test]
fn a_record_is_found_by_the_beginning_of_its_id() {
    let ledger = told();
    for (_, record) in story() {
        for count in [8, 12, 63, 64] {
            let node = reference(&digits(record.id(), count));
            assert_eq!(ledger.graph.resolve(&node, None, At::Newest).map(|node| node.id), Ok(record.id()));
        }
    }
    let last = story().last().map(|(_, record)| record.id()).expect("there");
    let error = ledger.graph.resolve(&reference(&digits(last, 12)), None, At::Size(1)).expect_err("later");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_beginning_of_several_ids_is_answered_with_them() {
    // Two hashes that begin alike are not found by trying: an agent's commitment is any hash.
    let like = |last: u8| {
        let mut bytes = *samples::sealed("twin").0.as_bytes();
        bytes[31] = last;
        Sealed(Hash::from_bytes(bytes))
    };
    let mut ledger = Ledger::default();
    for (number, principal) in (1..).zip([like(1), like(2)]) {
        let Record::Run(run) = samples::run(number, &[]) else { panic!("a run") };
        ledger.add(&Record::Run(Run { principal, ..run }));
    }
    let begun = reference(&digits(like(1).0, 12));
    let error = ledger.graph.resolve(&begun, None, At::Newest).expect_err("two");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let expected = format!(
        "`{begun}` begins 2 ids; give more digits of one, such as {} (agent), {} (agent)",
        like(1).0,
        like(2).0
    );
    assert_eq!(error.to_string(), expected);
    let alone = ledger.graph.resolve(&begun, None, At::Size(1)).map(|node| node.id);
    assert_eq!(alone, Ok(like(1).0), "at an entry before the second");
}

#[test]
fn an_alias_names_the_version_it_pointed_at_then() {
    let mut ledger = Ledger::default();
    let run = ledger.add(&samples::run(1, &[]));
    let models: Vec<Hash> = [1, 2].map(|version| ledger.add(&samples::model(version, run))).into();
    let [one, two] = [0, 1].map(|place: usize| models[place]);
    let first = ledger.add(&samples::promotion(one, None));
    let Record::Promotion(promotion) = samples::promotion(two, Some(first)) else { panic!("a promotion") };
    let alias = format!("model:flights/delay_model@{}", promotion.alias);
    ledger.add(&Record::Promotion(promotion));
    let node = reference(&alias);
    let named = |at| ledger.graph.resolve(&node, None, at).map(|node| node.id);
    assert_eq!((named(At::Newest), named(At::Size(4))), (Ok(two), Ok(one)));
    assert_eq!(named(At::Size(3)).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    let unknown = resolve(&ledger, "model:delay_model@staging").expect_err("no such alias");
    assert!(unknown.ends_with("; the aliases of the model are production"), "{unknown}");
}

#[test]
fn a_file_is_found_by_its_content_and_walked_from_all_its_loads() {
    let mut ledger = Ledger::default();
    let view = ledger.add(&samples::view("weather", 1, None));
    let Record::Source(once) = samples::source("a.csv") else { panic!("a source") };
    let again = Source { path: samples::sealed("b.csv"), ..once.clone() };
    let file = once.physical_hash;
    let sources = [Record::Source(once), Record::Source(again)].map(|source| ledger.add(&source));
    let loads = [(1, 0), (2, 1)]
        .map(|(number, place): (u64, usize)| ledger.add(&samples::load(number, view, &[sources[place]])));
    for text in [digits(file, 12), format!("source:{}", digits(file, 8)), file.to_string()] {
        let node = reference(&text);
        assert_eq!(ledger.graph.start(&node, None, At::Newest), Ok(file), "{text}");
        assert_eq!(
            ledger.graph.resolve(&node, None, At::Newest).map(|node| node.id),
            Ok(sources[1]),
            "{text}"
        );
        assert_eq!(
            ledger.graph.resolve(&node, None, At::Size(2)).map(|node| node.id),
            Ok(sources[0]),
            "{text}"
        );
    }
    let trace = Trace { direction: Direction::Down, ..Trace::default() };
    let found =
        |walk: Walk| walk.nodes.into_iter().map(|node| (node.node.id, node.depth)).collect::<Vec<_>>();
    let all = [(sources[0], 0), (sources[1], 0), (loads[0], 1), (loads[1], 1)];
    assert_eq!(found(ledger.graph.walk(file, &trace).expect("there")), all);
    let mut page = ledger.graph.walk(file, &Trace { limit: 1, ..trace }).expect("there");
    let mut paged = Vec::new();
    loop {
        let cursor = page.cursor.clone();
        paged.extend(found(page));
        match cursor {
            Some(cursor) => page = ledger.graph.resume(&cursor, 1).expect("there"),
            None => break,
        }
    }
    assert_eq!(paged, all, "page by page");
    let unknown = resolve(&ledger, "source:b3:0123456789").expect_err("no such file");
    assert!(unknown.contains("no file whose content has this hash was loaded"), "{unknown}");
}
