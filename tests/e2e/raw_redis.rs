//! Direct access to Redis, as with `redis-cli`.

use redis::FromRedisValue;

use crate::harness::Landfall;

/// Runs one command, given as words separated by blanks.
pub(crate) async fn redis<T: FromRedisValue>(landfall: &Landfall, words: &str) -> T {
    let client = redis::Client::open(landfall.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command.query_async(&mut connection).await.unwrap()
}
