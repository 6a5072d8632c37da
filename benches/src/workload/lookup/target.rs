//! What is asked: the same keys of the server, of the echo and of Redis.

use arrow::array::Array;
use lineate_client::{
    Client,
    v1::{EntityColumn, EntityColumns, GetFeaturesReply, GetFeaturesRequest, entity_column},
};
use lineate_proto::v1::{get_features_request::Entities, online_client::OnlineClient};

use crate::{
    Error, Result,
    data::payments::{self, Keys, merchant_id},
    load::Target,
    peer::redis::{Connection, Pipeline},
    scale::DataScale,
};

/// Which keys a lookup asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) entities: usize,
    pub(super) order: Order,
    pub(super) data: DataScale,
}

/// The order in which keys come up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// Some more often than others, as in life.
    Skewed,
    /// One after the other; the entity to begin with.
    Swept(u64),
}

/// The server, or the echo, which looks the same.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) clients: Vec<Client>,
    pub(super) service: &'static str,
    pub(super) asked: Asked,
}

/// Redis.
#[derive(Debug)]
pub(super) struct RedisLookup {
    pub(super) connections: Vec<Connection>,
    pub(super) asked: Asked,
}

impl Asked {
    /// The keys of one lookup.
    fn keys(self, number: u64) -> impl Iterator<Item = Keys> + Clone {
        let entities = self.entities as u64;
        (number * entities..(number + 1) * entities).map(move |entity| match self.order {
            Order::Skewed => payments::asked(entity, &self.data),
            Order::Swept(from) => payments::swept(from + entity, &self.data),
        })
    }
}

impl Lookup {
    /// Looks up. Says how many values came.
    pub(super) async fn values(&self, number: u64) -> Result<usize> {
        let entities = entities(self.asked.keys(number));
        let answer = turn(&self.clients, number)?.get_features(self.service, entities, None).await?;
        let rows = answer.features.num_rows();
        if rows != self.asked.entities {
            return Err(Error::Wrong(format!("{rows} rows for {} entities", self.asked.entities)));
        }
        Ok(answer.features.columns().iter().map(|column| rows - column.null_count()).sum())
    }
}

impl RedisLookup {
    /// Looks up. Says how many values came.
    pub(super) async fn values(&self, number: u64) -> Result<usize> {
        let mut pipeline = Pipeline::default();
        self.asked.keys(number).for_each(|keys| pipeline.look_up(keys));
        turn(&self.connections, number)?.send(pipeline).await
    }
}

impl Target for Lookup {
    async fn call(&self, number: u64) -> Result<()> {
        some(self.values(number).await?)
    }
}

impl Target for RedisLookup {
    async fn call(&self, number: u64) -> Result<()> {
        some(self.values(number).await?)
    }
}

/// The whole reply to the first lookup, as it travels.
///
/// # Errors
/// The server does not answer.
pub(super) async fn reply(address: &str, service: &str, asked: Asked) -> Result<GetFeaturesReply> {
    let mut online = OnlineClient::connect(format!("http://{address}")).await?;
    let request = GetFeaturesRequest {
        service: service.to_owned(),
        entities: Some(Entities::Columns(entities(asked.keys(0)))),
        at_us: None,
    };
    let reply = online.get_features(request).await.map_err(lineate_client::Error::from)?;
    Ok(reply.into_inner())
}

/// The key columns of these entities.
pub(in crate::workload) fn entities(keys: impl Iterator<Item = Keys> + Clone) -> EntityColumns {
    use entity_column::{Integers, Texts, Values};
    let column = |name: &str, values| EntityColumn { name: name.to_owned(), values: Some(values) };
    let integers = |values| Values::Integers(Integers { values });
    let merchants = keys.clone().map(|keys| merchant_id(keys.merchant)).collect();
    EntityColumns {
        columns: vec![
            column("customer_id", integers(keys.clone().map(|keys| keys.customer).collect())),
            column("card_number", integers(keys.map(|keys| keys.card).collect())),
            column("merchant_id", Values::Texts(Texts { values: merchants })),
        ],
    }
}

/// Connections take turns.
fn turn<T>(connections: &[T], number: u64) -> Result<&T> {
    let none = || Error::Wrong("a lookup needs a connection".into());
    connections.get(number as usize % connections.len().max(1)).ok_or_else(none)
}

fn some(values: usize) -> Result<()> {
    if values == 0 { Err(Error::Wrong("a lookup without a single value".into())) } else { Ok(()) }
}
