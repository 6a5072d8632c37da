//! What may be in flight: permits counted per group, given back when they are dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A counter with a bound.
#[derive(Debug)]
pub(crate) struct Budget {
    what: &'static str,
    limit: usize,
    used: AtomicUsize,
}

/// A share of a budget.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    amount: usize,
}

impl Budget {
    pub(crate) fn new(what: &'static str, limit: usize) -> Arc<Self> {
        Arc::new(Self { what, limit, used: AtomicUsize::new(0) })
    }

    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a share, unless it would pass the bound. A share larger than the whole bound is granted while
    /// nothing else is taken, so that nothing legal can be refused for ever.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Option<Permit> {
        let grant = |used: usize| {
            let total = used.checked_add(amount)?;
            (total <= self.limit || used == 0).then_some(total)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grant).ok()?;
        Some(Permit { budget: Arc::clone(self), amount })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.amount, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_refuses_beyond_its_bound_and_grants_again_after_a_drop() {
        let budget = Budget::new("bytes", 10);
        let first = budget.take(6);
        assert!(first.is_some());
        assert!(budget.take(5).is_none());
        let second = budget.take(4);
        assert!(second.is_some());
        drop(first);
        assert!(budget.take(6).is_some());
    }

    #[test]
    fn a_share_above_the_bound_is_granted_alone() {
        let budget = Budget::new("bytes", 10);
        let alone = budget.take(11);
        assert!(alone.is_some());
        assert!(budget.take(1).is_none());
    }
}
