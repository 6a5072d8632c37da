//! Readers, writers and a remover take turns, one step each, in any order: nobody loses a blob, and what nobody needs
//! goes.

use proptest::prelude::*;

use super::*;

/// One step of somebody. Numbers pick a blob, or one of several readers or writers.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pin(usize),
    LookUp(usize),
    OpenAndUnpin(usize),
    Write {
        writer: usize,
        blob: u8,
    },
    Name(usize),
    /// The writer hears of it.
    EndLease(usize),
    /// A manifest drops the blob.
    Unname(u8),
    /// Whoever dropped one says so.
    Suspect,
    BeginCheck,
    LookUpNamed,
    EndCheck,
    BeginRemoval,
    Delete {
        fails: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (reader, writer, blob) = (0_usize..3, 0_usize..3, 0_u8..3);
    prop_oneof![
        1 => reader.clone().prop_map(Step::Pin),
        1 => reader.clone().prop_map(Step::LookUp),
        1 => reader.prop_map(Step::OpenAndUnpin),
        3 => (writer.clone(), blob.clone()).prop_map(|(writer, blob)| Step::Write { writer, blob }),
        2 => writer.clone().prop_map(Step::Name),
        2 => writer.prop_map(Step::EndLease),
        3 => blob.prop_map(Step::Unname),
        3 => Just(Step::Suspect),
        2 => Just(Step::BeginCheck),
        2 => Just(Step::LookUpNamed),
        2 => Just(Step::EndCheck),
        2 => Just(Step::BeginRemoval),
        2 => prop::bool::weighted(0.2).prop_map(|fails| Step::Delete { fails }),
    ]
}

#[derive(Default)]
struct World {
    uses: Uses,
    there: BTreeSet<Hash>,
    /// How often each blob is named: one file can be in two manifests.
    named: BTreeMap<Hash, usize>,
    /// The epoch of each reader, and what it found named once it looked.
    readers: [Option<(u64, BTreeSet<Hash>)>; 3],
    /// The blob of each writer, and whether it is named.
    writers: [Option<(Hash, bool)>; 3],
    /// Dropped from a manifest, and not yet told.
    dropped: Vec<Hash>,
    is_checking: bool,
    found_named: Option<BTreeSet<Hash>>,
    leaving: Vec<Hash>,
}

impl World {
    fn named(&self) -> BTreeSet<Hash> {
        self.named.keys().copied().collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pin(reader) => {
                if self.readers[reader].is_none() {
                    self.readers[reader] = Some((self.uses.pin(), BTreeSet::new()));
                }
            }
            Step::LookUp(reader) => {
                let named = self.named();
                if let Some((_, found)) = &mut self.readers[reader] {
                    *found = named;
                }
            }
            Step::OpenAndUnpin(reader) => {
                if let Some((epoch, _)) = self.readers[reader].take() {
                    self.uses.unpin(epoch);
                }
            }
            Step::Write { writer, blob } => {
                let blob = Hash::of(&[blob]);
                if self.writers[writer].is_none() && self.uses.lease(blob) {
                    self.there.insert(blob);
                    self.writers[writer] = Some((blob, false));
                }
            }
            Step::Name(writer) => {
                if let Some((blob, is_named @ false)) = &mut self.writers[writer] {
                    *self.named.entry(*blob).or_default() += 1;
                    *is_named = true;
                }
            }
            Step::EndLease(writer) => {
                if let Some((blob, is_named)) = self.writers[writer].take() {
                    self.uses.release(&blob);
                    if !is_named {
                        self.uses.suspect(blob);
                    }
                }
            }
            Step::Unname(blob) => {
                let blob = Hash::of(&[blob]);
                if self.named.contains_key(&blob) {
                    decrement(&mut self.named, &blob);
                    self.dropped.push(blob);
                }
            }
            Step::Suspect => {
                if let Some(blob) = self.dropped.pop() {
                    self.uses.suspect(blob);
                }
            }
            Step::BeginCheck => self.is_checking = self.is_checking || self.uses.begin_check(),
            Step::LookUpNamed => {
                if self.is_checking && self.found_named.is_none() {
                    self.found_named = Some(self.named());
                }
            }
            Step::EndCheck => {
                if let Some(named) = self.found_named.take() {
                    self.uses.end_check(&named);
                    self.is_checking = false;
                }
            }
            Step::BeginRemoval => self.leaving.extend(self.uses.begin_removal()),
            Step::Delete { fails } => {
                if let Some(blob) = self.leaving.pop() {
                    if !fails {
                        self.there.remove(&blob);
                    }
                    self.uses.end_removal(&blob, !fails);
                }
            }
        }
    }

    fn check(&self) {
        let read = self.readers.iter().flatten().flat_map(|(_, found)| found);
        let written = self.writers.iter().flatten().map(|(blob, _)| blob);
        for blob in self.named.keys().chain(read).chain(written) {
            assert!(self.there.contains(blob), "{blob} is gone and somebody needs it");
        }
    }

    /// Everybody ends what they began, and the remover goes on.
    fn settle(&mut self) {
        (0..3).for_each(|number| self.take(Step::EndLease(number)));
        (0..3).for_each(|number| self.take(Step::OpenAndUnpin(number)));
        while !self.dropped.is_empty() {
            self.take(Step::Suspect);
        }
        for step in [Step::LookUpNamed, Step::EndCheck, Step::BeginCheck, Step::LookUpNamed, Step::EndCheck] {
            self.take(step);
        }
        self.take(Step::BeginRemoval);
        while !self.leaving.is_empty() {
            self.take(Step::Delete { fails: false });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_loses_a_blob_and_what_nobody_needs_goes(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::default();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.settle();
        world.check();
        assert_eq!(world.there, world.named());
        assert!(!world.uses.is_waiting());
        assert!(world.uses.pins.is_empty() && world.uses.leased.is_empty() && world.uses.stages.is_empty());
    }
}
