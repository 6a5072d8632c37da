//! Numbers that identify: Raft groups, shards, buckets, views and their histories.

use std::{fmt, ops::Range};

use minicbor::{Decode, Encode};

use crate::limits;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// A Raft group of the store: 0 is the meta group, shard `n` is group `n + 1`.
    GroupId(u32)
);
id!(
    /// A shard: the Raft group that owns a contiguous range of buckets.
    ShardId(u16)
);
id!(
    /// A bucket of the entity-key space, `0..limits::BUCKETS`.
    Bucket(u16)
);
id!(
    /// One version of one feature view, unique in the store.
    ViewId(u32)
);
id!(
    /// The rows shared by the versions of a view that only add nullable features to one another.
    HistoryId(u32)
);

impl GroupId {
    /// The group of the catalog, placement, loads and ledger.
    pub const META: Self = Self(0);

    /// The shard this group serves; none for the meta group.
    pub fn shard(self) -> Option<ShardId> {
        let shard = self.0.checked_sub(1)?;
        u16::try_from(shard).ok().map(ShardId)
    }
}

impl ShardId {
    /// The Raft group of this shard.
    pub const fn group(self) -> GroupId {
        GroupId(self.0 as u32 + 1)
    }

    /// The buckets this shard owns in a store of `shards` shards, the end exclusive (see [`Bucket::shard`]).
    pub fn buckets(self, shards: u16) -> Range<u16> {
        let first = |shard: u32| (shard * u32::from(limits::BUCKETS)).div_ceil(u32::from(shards.max(1)));
        let edge = |shard: u32| u16::try_from(first(shard)).unwrap_or(limits::BUCKETS).min(limits::BUCKETS);
        edge(u32::from(self.0))..edge(u32::from(self.0) + 1)
    }
}

impl Bucket {
    /// The shard that owns this bucket in a store of `shards` shards (1 to [`limits::BUCKETS`]): shard `n`
    /// owns the buckets `b` with `b * shards / BUCKETS == n`, a contiguous range.
    pub fn shard(self, shards: u16) -> ShardId {
        let shard = u32::from(self.0) * u32::from(shards) / u32::from(limits::BUCKETS);
        ShardId(u16::try_from(shard).unwrap_or(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_split_into_contiguous_shards_of_nearly_equal_size() {
        for shards in [1, 3, 16, 1000, limits::BUCKETS] {
            let owners: Vec<u16> =
                (0..limits::BUCKETS).map(|bucket| Bucket(bucket).shard(shards).0).collect();
            assert!(owners.is_sorted());
            assert_eq!(owners.first(), Some(&0));
            assert_eq!(owners.last(), Some(&(shards - 1)));
            let sizes: Vec<usize> =
                (0..shards).map(|shard| owners.iter().filter(|owner| **owner == shard).count()).collect();
            for bucket in 0..limits::BUCKETS {
                let owner = Bucket(bucket).shard(shards);
                assert!(owner.buckets(shards).contains(&bucket), "{shards} {bucket}");
            }
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{shards}: {sizes:?}");
        }
    }

    #[test]
    fn groups_and_shards_map_both_ways() {
        assert_eq!(GroupId::META.shard(), None);
        assert_eq!(ShardId(7).group().shard(), Some(ShardId(7)));
    }
}
