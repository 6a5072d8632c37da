//! Redis, where it is installed.

use std::io::Write;

use arrow::array::Array;
use lineate_bench::{
    data::payments::{View, asked},
    peer::redis::{self, Pipeline, Redis},
    scale::Scale,
};

#[tokio::test]
async fn redis_holds_the_newest_row_of_every_entity() {
    if redis::version().is_none() {
        let _ = writeln!(std::io::stderr(), "skip[no-redis-server]: redis-server is not installed");
        return;
    }
    let (directory, data) = (tempfile::tempdir().expect("a directory"), Scale::smoke().data);
    let server = Redis::start(directory.path()).await.expect("starts");
    server.load(&data).await.expect("loads");
    let connection = server.connect().await.expect("listens");
    for number in 0..100 {
        let keys = asked(number, &data);
        let mut pipeline = Pipeline::default();
        pipeline.look_up(keys);
        let found = connection.send(pipeline).await.expect("answers");

        let newest = |view: View| {
            let rows = (0..data.rows_per_view).rev();
            let mut of_entity = rows.filter(|row| {
                let row = view.keys(*row, &data);
                match view {
                    View::CustomerActivity => row.customer == keys.customer,
                    View::CardActivity => (row.customer, row.card) == (keys.customer, keys.card),
                    View::MerchantStats => row.merchant == keys.merchant,
                }
            });
            let row = of_entity.next().expect("every entity has rows");
            let batch = view.batch(row..row + 1, &data).expect("valid");
            let nulls = |name| batch.column_by_name(name).map_or(1, Array::null_count);
            view.features().len() - view.features().into_iter().map(nulls).sum::<usize>()
        };
        assert_eq!(found, View::ALL.into_iter().map(newest).sum::<usize>(), "{keys:?}");
    }
}
