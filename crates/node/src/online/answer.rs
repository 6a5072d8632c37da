//! From the best rows to columns, statuses and times.

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::interleave,
};
use lineate_segment::matcher::{Cut, Outcome};
use lineate_types::TimestampUs;

use super::{
    plan::OnlineView,
    probe::{Best, Place, ViewRows},
    request::{Moment, Request},
};
use crate::{
    Error, Result, ViewPlan,
    api::{LookupReply, Status, ViewAnswer},
};

/// The answer to a request, from what was found in each view.
///
/// # Errors
/// The columns do not fit together; a bug.
pub(super) fn reply(request: &Request, views: &[ViewRows], moment: &Moment) -> Result<LookupReply> {
    let plan = &request.plan;
    let width = plan.service.output.fields().len();
    let mut columns: Vec<Option<ArrayRef>> = vec![None; width];
    let mut statuses: Vec<Vec<Status>> = vec![Vec::new(); width];
    let mut answers = Vec::with_capacity(views.len());
    for ((view_plan, view), rows) in plan.service.views.iter().zip(&plan.views).zip(views) {
        let cut = moment.cut(view_plan);
        let values = columns_of(view_plan, view, rows, &cut, moment.at)?;
        let outcomes: Vec<Option<Outcome>> =
            rows.best.iter().map(|best| best.as_ref().map(|best| best.outcome(&cut, moment.at))).collect();
        for (position, values) in view_plan.columns.iter().zip(values) {
            if let Some(of_column) = statuses.get_mut(*position) {
                let row = |(row, outcome): (usize, &Option<Outcome>)| status(*outcome, &values, row);
                *of_column = outcomes.iter().enumerate().map(row).collect();
            }
            if let Some(column) = columns.get_mut(*position) {
                *column = Some(values);
            }
        }
        answers.push(ViewAnswer {
            alias: view_plan.alias.clone(),
            view: view.name.clone(),
            columns: view_plan.columns.clone(),
            event_times: rows.best.iter().map(|best| best.as_ref().and_then(Best::event_time)).collect(),
        });
    }
    let columns: Vec<ArrayRef> = columns.into_iter().flatten().collect();
    if columns.len() != width {
        return Err(Error::Internal(format!("{} of {width} columns were answered", columns.len())));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(request.entities));
    let features = RecordBatch::try_new_with_options(plan.service.output.clone(), columns, &options)?;
    Ok(LookupReply { service: plan.name.clone(), as_of: moment.as_of, features, statuses, views: answers })
}

impl Best {
    fn outcome(&self, cut: &Cut, at: TimestampUs) -> Outcome {
        cut.outcome(self.rank.event_time, self.deleted, at)
    }

    /// When it happened, unless it is a tombstone.
    fn event_time(&self) -> Option<TimestampUs> {
        (!self.deleted).then_some(self.rank.event_time)
    }
}

fn status(outcome: Option<Outcome>, values: &ArrayRef, row: usize) -> Status {
    match outcome {
        None | Some(Outcome::Deleted) => Status::Absent,
        Some(Outcome::Expired) => Status::Expired,
        Some(Outcome::Live) if values.is_null(row) => Status::Null,
        Some(Outcome::Live) => Status::Present,
    }
}

/// One column per feature of the plan, one row per entity; null where there is no live row.
fn columns_of(
    plan: &ViewPlan,
    view: &OnlineView,
    rows: &ViewRows,
    cut: &Cut,
    at: TimestampUs,
) -> Result<Vec<ArrayRef>> {
    let live = |best: &Option<Best>| best.as_ref().is_some_and(|best| best.outcome(cut, at) == Outcome::Live);
    let packed =
        |best: &Option<Best>| matches!(best, Some(Best { place: Place::Entry(..), .. })) && live(best);
    let unpacked = match rows.best.iter().any(packed) {
        false => None,
        true => {
            let values = rows.best.iter().map(|best| match best {
                Some(Best { place: Place::Entry(entry, number), .. }) if live(best) => {
                    Some(entry.values(*number))
                }
                _ => None,
            });
            Some(view.shape.packer.unpack(values)?.project(&view.projection)?)
        }
    };
    let entities = rows.best.len();
    let mut columns = Vec::with_capacity(plan.features.fields().len());
    for (position, field) in plan.features.fields().iter().enumerate() {
        let base = match &unpacked {
            Some(unpacked) => unpacked.columns().get(position).cloned(),
            None => Some(new_null_array(field.data_type(), entities)),
        };
        let base =
            base.ok_or_else(|| Error::Internal(format!("feature `{}` was not unpacked", field.name())))?;
        if rows.parts.is_empty() {
            columns.push(base);
            continue;
        }
        let mut arrays: Vec<&dyn Array> = vec![base.as_ref()];
        arrays.extend(rows.parts.iter().filter_map(|part| part.columns().get(position)).map(AsRef::as_ref));
        let places: Vec<(usize, usize)> = rows.best.iter().enumerate().map(place).collect();
        columns.push(interleave(&arrays, &places)?);
    }
    Ok(columns)
}

/// Where the value of an entity is: among the unpacked ones, at its own row, unless a part has it.
fn place((entity, best): (usize, &Option<Best>)) -> (usize, usize) {
    match best {
        Some(Best { place: Place::Part(part, row), .. }) => (part + 1, *row),
        _ => (0, entity),
    }
}
