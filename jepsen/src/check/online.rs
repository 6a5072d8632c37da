//! Lookups at `as_of` equal the training set in mode `served` at that time, and time does not go back.

use lineate_client::Client;

use crate::{
    Error, Result,
    history::{History, Shared, View},
    table::{self, SERVICE},
    workload::{entities, everyone, pull, train},
};

pub(super) async fn equals_served(client: &Client, history: &Shared) -> Result<()> {
    let answer = client.get_features(SERVICE, entities(&everyone()), None).await;
    let answer = answer.map_err(Error::asking("looking everyone up"))?;
    {
        let mut history = history.lock();
        let before = history.answered(&everyone());
        if answer.as_of.0 < before {
            return Err(Error::violation(format!("as_of {} came after as_of {before}", answer.as_of.0)));
        }
        history.answer(&everyone(), answer.as_of.0);
    }
    let labels = History::everyone_at(answer.as_of);
    let dataset = train(client, history, "served", "served", &labels, None).await?;
    let (_, trained) = pull(client, &dataset).await?;
    for (view, trained) in [View::Pushed, View::Loaded].into_iter().zip(trained) {
        let looked_up = table::values(&answer.features, view)?;
        let differs = looked_up.iter().zip(&trained).position(|(looked_up, trained)| looked_up != trained);
        if let Some(entity) = differs {
            return Err(Error::violation(format!(
                "{} of entity {entity} at {} is {:?} online and {:?} in training",
                view.name(),
                answer.as_of.0,
                looked_up.get(entity),
                trained.get(entity)
            )));
        }
    }
    Ok(())
}
