//! Training sets.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use lineate_ledger::Record;
use lineate_node::ServicePlan;
use lineate_proto::{
    match_mode,
    v1::{
        CreateDatasetEvent, CreateDatasetRequest, Dataset, DatasetColumn, DatasetFile, DatasetListing,
        ListDatasetsRequest, Progress, ShowDatasetRequest, VerifyDatasetEvent, VerifyDatasetRequest,
        VerifyReport, ViewMatches, create_dataset_event,
        datasets_server::Datasets,
        verify_dataset_event,
        verify_report::{Check, Finding},
    },
};
use lineate_query::DatasetRequest;
use lineate_state::meta::{self as state, CreateDataset, DatasetState};
use lineate_types::{MatchMode, Name, VersionedName, limits};
use tonic::{Request, Response, Status};

use super::{
    Service, lineage,
    store::upload_id,
    work::{self, Events},
};
use crate::{Result, app::App, reader, trace};

/// The spine where its caller gives it no name.
const SPINE: &str = "the spine";
/// The spine's time column where none is named.
const TIME_COLUMN: &str = "event_timestamp";

#[tonic::async_trait]
impl Datasets for Service {
    type CreateStream = Events<CreateDatasetEvent>;
    type VerifyStream = Events<VerifyDatasetEvent>;

    async fn create(
        &self,
        request: Request<CreateDatasetRequest>,
    ) -> Result<Response<Self::CreateStream>, Status> {
        Ok(Response::new(create(&self.0, request.into_inner())?))
    }

    async fn list(&self, request: Request<ListDatasetsRequest>) -> Result<Response<DatasetListing>, Status> {
        let ListDatasetsRequest { project, all_versions } = request.into_inner();
        let mut listed: BTreeMap<(Name, Name, u32), DatasetState> = BTreeMap::new();
        for state in self.0.node().meta().read().datasets() {
            if project.is_empty() || state.draft.project.as_str() == project {
                // Versions come in order, so that without all of them the newest stays.
                let version = if all_versions { state.version } else { 0 };
                listed
                    .insert((state.draft.project.clone(), state.draft.name.clone(), version), state.clone());
            }
        }
        let datasets = listed.values().map(summary).collect();
        Ok(Response::new(DatasetListing { datasets }))
    }

    async fn show(&self, request: Request<ShowDatasetRequest>) -> Result<Response<Dataset>, Status> {
        let named = request.into_inner().dataset;
        trace::about("dataset", &named);
        let state = find(&self.0, &named)?;
        Ok(Response::new(message(&self.0, &state)))
    }

    async fn verify(
        &self,
        request: Request<VerifyDatasetRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let named = request.into_inner().dataset;
        trace::about("dataset", &named);
        let reference = reader::reference("dataset", &named)?;
        let app = self.0.clone();
        let events = work::run(
            &self.0,
            |progress| async move {
                let (principal, project) = (app.principal(), reference.project.as_ref());
                Ok(report(
                    lineate_query::verify(app.node(), principal, project, &reference.name, progress).await?,
                ))
            },
            |progress| VerifyDatasetEvent { event: Some(verify_dataset_event::Event::Progress(progress)) },
            |report| VerifyDatasetEvent { event: Some(verify_dataset_event::Event::Report(report)) },
        )?;
        Ok(Response::new(events))
    }
}

/// Makes a new version of a training set: how far it is, then the set.
///
/// # Errors
/// The request makes no sense, or too much is under way.
pub(crate) fn create(app: &App, request: CreateDatasetRequest) -> Result<Events<CreateDatasetEvent>> {
    trace::about("dataset", &request.name);
    let request = wanted(request)?;
    // Where the service does not exist, the work says so.
    let plan = app.node().service_plan(request.project.as_ref(), &request.service);
    let warnings = plan.map(|plan| warnings(&plan, request.mode)).unwrap_or_default();
    let worker = app.clone();
    let events = work::run(
        app,
        |progress| async move {
            let made = lineate_query::create(worker.node(), worker.principal(), request, progress).await?;
            let version = Some(made.versioned.version);
            let name = VersionedName { name: made.versioned.name, version };
            Ok(message(&worker, &worker.node().dataset(&made.versioned.project, &name)?))
        },
        |progress| CreateDatasetEvent { event: Some(create_dataset_event::Event::Progress(progress)) },
        |dataset| CreateDatasetEvent { event: Some(create_dataset_event::Event::Dataset(dataset)) },
    )?;
    let warned = warnings.into_iter().map(|warning| {
        let progress = Progress { warning, ..Progress::default() };
        Ok(CreateDatasetEvent { event: Some(create_dataset_event::Event::Progress(progress)) })
    });
    Ok(stream::iter(warned).chain(events).boxed())
}

/// The training set a reference names.
///
/// # Errors
/// There is none.
pub(crate) fn find(app: &App, text: &str) -> Result<DatasetState> {
    let reference = reader::reference("dataset", text)?;
    let project = app.node().meta().read().catalog().project(reference.project.as_ref())?;
    Ok(app.node().dataset(&project, &reference.name)?)
}

fn wanted(request: CreateDatasetRequest) -> Result<DatasetRequest> {
    let (mut project, name) = reader::unversioned("dataset", &request.name)?;
    let service = reader::reference("service", &request.service)?;
    if project.is_none() {
        project = service.project;
    }
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    Ok(DatasetRequest {
        project,
        name,
        service: service.name,
        spine: upload_id(&request.spine_upload_id)?,
        spine_path: or(request.spine_name, SPINE),
        time_column: or(request.time_column, TIME_COLUMN),
        mode: match_mode("mode", &request.mode)?,
        snapshot: reader::time(request.snapshot_us),
        window_rows: limits::TRAINING_WINDOW_ROWS,
    })
}

/// A training set without its columns, files and inputs.
fn summary(state: &DatasetState) -> Dataset {
    let draft = &state.draft;
    Dataset {
        project: draft.project.to_string(),
        name: draft.name.to_string(),
        version: state.version,
        record: state.record.to_string(),
        service: format!("{}@v{}", draft.service, draft.service_version),
        mode: draft.mode.map(|mode| mode.to_string()).unwrap_or_default(),
        snapshot_us: draft.snapshot.0,
        contract_version: state.contract_version,
        rows: draft.rows,
        spine_hash: draft.spine.physical.to_string(),
        time_column: draft.spine.time_column.clone(),
        commit_time_us: state.created.0,
        ..Dataset::default()
    }
}

/// What is likely to be unintended: nobody knows when the rows of a view without created times became known, so in
/// mode `known` nothing loaded after a label's time is there for it.
fn warnings(plan: &ServicePlan, mode: Option<MatchMode>) -> Vec<String> {
    let views = plan.views.iter().map(|view| &view.view).filter(|view| view.created_time.is_none());
    let mut names: Vec<String> = views.map(|view| format!("`{}`", view.name)).collect();
    names.sort();
    names.dedup();
    let (views, have, their) = match names.len() {
        0 => return Vec::new(),
        1 => ("view", "has", "its"),
        _ => ("views", "have", "their"),
    };
    match mode {
        Some(MatchMode::Known) => vec![format!(
            "{views} {} {have} no created time: in mode known {their} rows count as known from their commit to this \
             store, so labels before that get nulls; use mode event, or declare `created_time`",
            names.join(", ")
        )],
        _ => Vec::new(),
    }
}

fn matches(plan: &ServicePlan, draft: &CreateDataset) -> Vec<ViewMatches> {
    let of_view = |found: &state::ViewMatches| {
        let view = plan.views.iter().find(|view| view.alias == found.alias);
        let mode = view.map(|view| draft.mode.unwrap_or(view.view.default_mode()));
        ViewMatches {
            alias: found.alias.to_string(),
            view: view.map(|view| view.view.to_string()).unwrap_or_default(),
            mode: mode.map(|mode| mode.to_string()).unwrap_or_default(),
            filled: found.filled,
            null: draft.rows.saturating_sub(found.filled).saturating_sub(found.expired),
            expired: found.expired,
        }
    };
    draft.matches.iter().map(of_view).collect()
}

fn message(app: &App, state: &DatasetState) -> Dataset {
    let draft = &state.draft;
    let service = VersionedName { name: draft.service.clone(), version: Some(draft.service_version) };
    let (matches, warnings) = match app.node().service_plan(Some(&draft.project), &service) {
        Ok(plan) => (matches(&plan, draft), warnings(&plan, draft.mode)),
        Err(_) => Default::default(),
    };
    let spine_columns = state.draft.spine.columns.len();
    let columns = state.draft.columns.iter().enumerate().map(|(position, column)| DatasetColumn {
        name: column.name.clone(),
        r#type: column.data_type.clone(),
        logical_hash: column.logical.to_string(),
        from_spine: position < spine_columns,
    });
    let files = state.draft.files.iter().map(|file| DatasetFile {
        hash: file.physical.to_string(),
        bytes: file.bytes,
        rows: file.rows,
    });
    let meta = app.node().meta().read();
    let (views, inputs) = match meta.ledger().record(&state.record) {
        Some(Record::Dataset(record)) => {
            let graph = meta.ledger().graph();
            let views = record.views.iter().map(|view| match graph.node(*view) {
                Some(node) => match (&node.name, node.version) {
                    (Some(name), Some(version)) => format!("{name}@v{version}"),
                    _ => node.title(),
                },
                None => view.to_string(),
            });
            (views.collect(), record.inputs.iter().map(ToString::to_string).collect())
        }
        _ => (Vec::new(), Vec::new()),
    };
    let (columns, files) = (columns.collect(), files.collect());
    Dataset { views, inputs, columns, files, matches, warnings, ..summary(state) }
}

/// What verifying a training set found, as a message.
pub(super) fn report(found: lineate_query::VerifyReport) -> VerifyReport {
    let mut findings = Vec::new();
    for column in found.columns.iter().filter(|column| !column.is_equal()) {
        let problem = match column.recomputed {
            Some(_) => "the join gives other values now than were recorded",
            None => "the join does not give this column any more",
        };
        findings.push(Finding {
            kind: "corrupt".to_owned(),
            subject: format!("column {}", column.name),
            problem: problem.to_owned(),
            expected: Some(column.recorded.to_string()),
            found: column.recomputed.map(|hash| hash.to_string()),
        });
    }
    for file in &found.files {
        if let Some(fault) = &file.fault {
            findings.push(Finding {
                kind: "corrupt".to_owned(),
                subject: format!("stored file {}", file.physical),
                problem: fault.clone(),
                expected: None,
                found: None,
            });
        }
    }
    let bytes = found.dataset.draft.files.iter().map(|file| file.bytes).sum();
    VerifyReport {
        verified: found.verified,
        checkpoint: Some(lineage::checkpoint(found.ledger_size, found.ledger_root)),
        checks: vec![
            Check { name: "rows joined again".to_owned(), count: found.dataset.draft.rows, bytes: 0 },
            Check { name: "columns compared".to_owned(), count: found.columns.len() as u64, bytes: 0 },
            Check { name: "stored files re-hashed".to_owned(), count: found.files.len() as u64, bytes },
        ],
        findings,
    }
}
