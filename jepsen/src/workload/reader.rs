//! Lookups: each sees everything acknowledged before it began, and time never goes back.

use lineate_client::Client;

use super::{Shop, entities};
use crate::{
    Error, Result,
    history::{ENTITIES, Label, Shared, View},
    random::Random,
    table::{self, SERVICE},
};

pub(super) async fn run(shop: Shop, mut random: Random) -> Result<()> {
    let worked = async {
        loop {
            let count = random.between(1, 20);
            let keys: Vec<i64> = (0..count).map(|_| random.below(ENTITIES) as i64).collect();
            look_up(&shop.history, &shop.client, &keys).await?;
            if random.percent(20) {
                tokio::time::sleep(random.pause_ms(0, 10)).await;
            }
        }
    };
    let worked = worked.await;
    shop.forgive(worked)
}

/// Looks entities up, and holds the answer against the history.
///
/// # Errors
/// A promise is broken, or the server is gone.
pub async fn look_up(history: &Shared, client: &Client, keys: &[i64]) -> Result<()> {
    let views = [View::Pushed, View::Loaded];
    let newest = |key: &i64| Label { key: *key, at_us: i64::MAX };
    let (as_of, floors) = {
        let history = history.lock();
        let floors =
            views.map(|view| keys.iter().map(|key| history.floor(view, newest(key))).collect::<Vec<_>>());
        (history.answered(keys), floors)
    };
    let answer = client.get_features(SERVICE, entities(keys), None).await;
    let answer = answer.map_err(Error::asking("looking up"))?;
    let mut history = history.lock();
    if answer.as_of.0 < as_of {
        return Err(Error::violation(format!(
            "as_of {} came after as_of {as_of}: time went back",
            answer.as_of.0
        )));
    }
    history.answer(keys, answer.as_of.0);
    history.lookups += 1;
    for (view, floors) in views.into_iter().zip(floors) {
        let values = table::values(&answer.features, view)?;
        for ((key, value), floor) in keys.iter().zip(values).zip(floors) {
            history
                .can_be(view, newest(key), floor, value)
                .map_err(|why| Error::violation(format!("lookup: {why}")))?;
        }
    }
    Ok(())
}
