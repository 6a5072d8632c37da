//! What a lookup needs to know of a service, worked out once per catalog version.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::datatypes::{Schema, SchemaRef};
use lineate_segment::{matcher::Cut, packed::RowPacker, schema::ViewSchema};
use lineate_state::meta::MetaMachine;
use lineate_types::{KeyType, MatchMode, Name, TimestampUs, VersionedName, ViewDefinition, limits};

use super::entries::ViewOfHistory;
use crate::{Error, Result, ServicePlan, Shared};

/// A service version, ready to be looked up.
pub(crate) struct OnlinePlan {
    pub(super) service: Arc<ServicePlan>,
    /// `name@vN`.
    pub(super) name: String,
    /// For each view of the plan.
    pub(super) views: Vec<OnlineView>,
    /// For each distinct way to make keys of a request: a view of the plan that does it this way.
    pub(super) key_makers: Vec<usize>,
    /// Whether all views take times without a zone as UTC, so that a key that all of them share may be one.
    pub(super) naive_times_are_utc: bool,
    key_columns: Option<Vec<(Name, KeyType)>>,
}

/// One view of a service.
pub(super) struct OnlineView {
    /// `name@vN`.
    pub(super) name: String,
    pub(super) shape: ViewShape,
    /// Which of the key makers gives its keys.
    pub(super) keys: usize,
    /// For each feature of the plan, its position among all features of the view.
    pub(super) projection: Vec<usize>,
}

/// What the cache needs to know of a view version.
pub(super) struct ViewShape {
    pub(super) id: ViewOfHistory,
    pub(super) default_mode: MatchMode,
    /// All features, which is what entries hold.
    pub(super) packer: RowPacker,
}

impl OnlinePlan {
    fn of(service: ServicePlan) -> Result<Self> {
        let mut views = Vec::with_capacity(service.views.len());
        let mut key_makers: Vec<usize> = Vec::new();
        for (position, plan) in service.views.iter().enumerate() {
            let makes_the_same = |maker: &usize| {
                service.views.get(*maker).is_some_and(|maker| {
                    let types =
                        |view: &ViewDefinition| view.keys.iter().map(|key| key.key_type).collect::<Vec<_>>();
                    maker.key_columns == plan.key_columns && types(&maker.view) == types(&plan.view)
                })
            };
            let keys = key_makers.iter().position(makes_the_same).unwrap_or_else(|| {
                key_makers.push(position);
                key_makers.len() - 1
            });
            let shape = ViewShape::of(&plan.view)?;
            let all = shape.packer.schema();
            let projection = plan.features.fields().iter().map(|field| all.index_of(field.name()));
            let projection = projection.collect::<std::result::Result<Vec<usize>, _>>()?;
            views.push(OnlineView { name: plan.view.to_string(), shape, keys, projection });
        }
        let key_columns = service.key_columns().ok();
        Ok(Self {
            name: service.service.to_string(),
            naive_times_are_utc: service.views.iter().all(|plan| plan.view.naive_times_are_utc),
            service: Arc::new(service),
            views,
            key_makers,
            key_columns,
        })
    }

    /// The columns that give keys (see [`ServicePlan::key_columns`]).
    ///
    /// # Errors
    /// Two views want one column as different types.
    pub(super) fn key_columns(&self) -> Result<Cow<'_, [(Name, KeyType)]>> {
        match &self.key_columns {
            Some(columns) => Ok(Cow::Borrowed(columns)),
            None => self.service.key_columns().map(Cow::Owned),
        }
    }
}

impl ViewShape {
    /// The shape of a view version.
    ///
    /// # Errors
    /// A feature has a type that cannot be packed; there is none.
    pub(super) fn of(view: &ViewDefinition) -> Result<Self> {
        let schema = ViewSchema::of(view);
        let features = schema.arrow().fields().get(schema.features()).unwrap_or_default();
        let features: SchemaRef = Arc::new(Schema::new(features.to_vec()));
        Ok(Self {
            id: (view.history, view.id),
            default_mode: view.default_mode(),
            packer: RowPacker::new(features)?,
        })
    }

    /// Which rows are visible when: lookups ask in mode `served`. The time-to-live is not looked at here.
    pub(super) fn cut(&self) -> Cut {
        Cut {
            mode: MatchMode::Served,
            default_mode: self.default_mode,
            snapshot: TimestampUs::MAX,
            ttl: None,
        }
    }
}

/// Plans by what was asked for, all of one catalog version.
pub(crate) struct Plans {
    /// The version of the catalog as far as it is applied.
    current: Arc<AtomicU64>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    version: u64,
    plans: BTreeMap<(Option<Name>, VersionedName), Arc<OnlinePlan>>,
}

impl Plans {
    /// No plans of a catalog yet.
    pub(crate) fn new(meta: &MetaMachine) -> Self {
        Self { current: Arc::new(AtomicU64::new(meta.catalog().version())), known: Mutex::default() }
    }

    /// What to tell of every drain of the meta group, before anybody reads it.
    pub(crate) fn follower(&self) -> impl Fn(&MetaMachine) + Send + Sync + 'static {
        let current = self.current.clone();
        move |meta| current.store(meta.catalog().version(), Ordering::Release)
    }

    /// The plan of a service, made now or before. Takes no lock of the meta group if it was made before.
    ///
    /// # Errors
    /// The service does not exist; the nearest name is offered.
    pub(crate) fn get(
        &self,
        meta: &Shared<MetaMachine>,
        project: Option<&Name>,
        service: &VersionedName,
    ) -> Result<Arc<OnlinePlan>> {
        let wanted = (project.cloned(), service.clone());
        {
            let known = self.lock();
            if known.version == self.current.load(Ordering::Acquire)
                && let Some(plan) = known.plans.get(&wanted)
            {
                return Ok(plan.clone());
            }
        }
        let (version, plan) = {
            let meta = meta.read();
            let catalog = meta.catalog();
            let project = catalog.project(project)?;
            (catalog.version(), ServicePlan::of(catalog, catalog.service(&project, service)?)?)
        };
        let plan = Arc::new(OnlinePlan::of(plan)?);
        let mut known = self.lock();
        if known.version < version {
            *known = Known { version, plans: BTreeMap::new() };
        }
        if known.version == version {
            if known.plans.len() >= limits::CACHED_PLANS {
                known.plans.pop_first();
            }
            known.plans.insert(wanted, plan.clone());
        }
        Ok(plan)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnlinePlan {
    /// The key maker at a position.
    pub(super) fn key_maker(&self, position: usize) -> Result<&crate::ViewPlan> {
        let view = self.service.views.get(position);
        view.ok_or_else(|| Error::Internal(format!("service `{}` has no view {position}", self.name)))
    }
}
