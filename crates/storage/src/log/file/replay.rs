//! The state of all groups, rebuilt record by record.
//!
//! Replay begins at the oldest file there is. The head of that file names entries whose files are gone; they
//! are vacant until they are cut, overwritten, or found moved to a younger file. One still vacant at the end is
//! corruption.

use std::collections::BTreeMap;

use bytes::Bytes;
use lineate_types::GroupId;

use super::{
    Location,
    format::{FrameKind, Reader, RecordHeader, RecordKind, decode_hard_state},
    frame::{Frame, Record},
};
use crate::log::{
    Cut, GroupState,
    group::{Group, Groups, Slot},
};

/// A record says what cannot be: the reason.
pub(super) type Refusal = String;

/// The groups so far; none as location means vacant.
#[derive(Debug, Default)]
pub(super) struct Replay {
    groups: Groups<Option<Location>>,
    begun: bool,
}

impl Replay {
    /// Takes the next frame, which lies in file `sequence`.
    pub(super) fn take(&mut self, sequence: u64, frame: &Frame<'_>) -> Result<(), Refusal> {
        match frame.kind {
            FrameKind::Head => self.take_head(&frame.records),
            FrameKind::Batch | FrameKind::Moves => frame.records.iter().try_for_each(|record| {
                self.take_record(record.header, record.payload, Location::of(sequence, record))
            }),
        }
    }

    /// What was rebuilt, once every file is read.
    pub(super) fn finish(self) -> Result<Groups<Location>, Refusal> {
        let mut groups = BTreeMap::new();
        for (id, group) in self.groups {
            let mut found = Group { state: group.state, ..Group::default() };
            for (position, slot) in group.slots.into_iter().enumerate() {
                let location = slot.stored.ok_or_else(|| {
                    let index = found.state.cut.index + 1 + position as u64;
                    format!("entry {index} of group {id} is in none of its files")
                })?;
                found.slots.push_back(Slot { term: slot.term, stored: location });
            }
            groups.insert(id, found);
        }
        Ok(groups)
    }

    fn take_head(&mut self, records: &[Record<'_>]) -> Result<(), Refusal> {
        let states = read_head(records).ok_or("its head is not one")?;
        if !std::mem::replace(&mut self.begun, true) {
            for (id, state) in states {
                let vacant = (state.cut.index..state.last_index).map(|_| Slot { term: 0, stored: None });
                let slots = vacant.collect();
                self.groups.insert(id, Group { state, slots });
            }
            return Ok(());
        }
        let computed = self.groups.iter().map(|(id, group)| (id, &group.state));
        if computed.eq(states.iter()) {
            Ok(())
        } else {
            Err("its head differs from the files before it".into())
        }
    }

    fn take_record(
        &mut self,
        record: RecordHeader,
        payload: &[u8],
        location: Location,
    ) -> Result<(), Refusal> {
        let group = self.groups.entry(record.group).or_default();
        let (index, term) = (record.index, record.term);
        let refuse = |what: &str| Err(format!("{what} {index} of group {} does not fit", record.group));
        match record.kind {
            RecordKind::Cut => group.cut(Cut { index, term }, true, &mut drop),
            RecordKind::CutAll => group.cut(Cut { index, term }, false, &mut drop),
            RecordKind::Entry => {
                if index <= group.state.cut.index || index > group.state.last_index + 1 {
                    return refuse("entry");
                }
                group.truncate_from(index, &mut drop);
                group.push(term, Some(location));
            }
            RecordKind::Moved => match group.slot_mut(index) {
                Some(slot) if slot.stored.is_none() || slot.term == term => {
                    *slot = Slot { term, stored: Some(location) };
                }
                _ => return refuse("moved entry"),
            },
            RecordKind::HardState => match decode_hard_state(&record, payload) {
                Some(hard_state) => group.state.hard_state = hard_state,
                None => return refuse("hard state"),
            },
            RecordKind::Conf => group.state.conf = Some(Bytes::copy_from_slice(payload)),
            RecordKind::Group => return refuse("head of group"),
        }
        Ok(())
    }
}

/// The states a head holds: per group a [`RecordKind::Group`], then its hard state and configuration.
fn read_head(records: &[Record<'_>]) -> Option<BTreeMap<GroupId, GroupState>> {
    let mut states: BTreeMap<GroupId, GroupState> = BTreeMap::new();
    for Record { header, payload, .. } in records {
        match header.kind {
            RecordKind::Group => {
                let mut reader = Reader(payload);
                let cut = Cut { index: reader.u64()?, term: reader.u64()? };
                let state = GroupState { cut, last_index: header.index, ..GroupState::default() };
                (cut.index <= state.last_index && states.insert(header.group, state).is_none())
                    .then_some(())?;
            }
            RecordKind::HardState => {
                states.get_mut(&header.group)?.hard_state = decode_hard_state(header, payload)?;
            }
            RecordKind::Conf => {
                states.get_mut(&header.group)?.conf = Some(Bytes::copy_from_slice(payload));
            }
            RecordKind::Cut | RecordKind::CutAll | RecordKind::Entry | RecordKind::Moved => return None,
        }
    }
    Some(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::file::format::Place;
    use crate::log::file::frame::FrameBuilder;

    fn frame_of(kind: FrameKind, records: &[(RecordHeader, &[u8])], take: impl FnOnce(&Frame<'_>)) {
        let unit = Place { sequence: 1, offset: 512 };
        let mut builder = FrameBuilder::new(unit, 0, Vec::new());
        for (header, payload) in records {
            builder.push(header, payload);
        }
        let built = builder.finish(kind, 1, &[0; 32]);
        take(&Frame::read(unit, &built.bytes, 1, &[0; 32]).expect("verifies"));
    }

    #[test]
    fn a_head_that_differs_from_the_files_before_it_is_refused() {
        let mut replay = Replay::default();
        let entry =
            RecordHeader { kind: RecordKind::Entry, group: GroupId(1), index: 1, term: 1, payload_bytes: 1 };
        frame_of(FrameKind::Head, &[], |head| assert_eq!(replay.take(1, head), Ok(())));
        frame_of(FrameKind::Batch, &[(entry, b"x")], |batch| assert_eq!(replay.take(1, batch), Ok(())));
        frame_of(FrameKind::Head, &[], |head| assert!(replay.take(2, head).is_err()));
        let group = RecordHeader { kind: RecordKind::Group, payload_bytes: 16, ..entry };
        frame_of(FrameKind::Head, &[(group, &[0; 16])], |head| assert_eq!(replay.take(2, head), Ok(())));
    }

    #[test]
    fn an_entry_that_is_in_no_file_is_missed() {
        let mut replay = Replay::default();
        let group =
            RecordHeader { kind: RecordKind::Group, group: GroupId(1), index: 2, term: 1, payload_bytes: 16 };
        frame_of(FrameKind::Head, &[(group, &[0; 16])], |head| assert_eq!(replay.take(5, head), Ok(())));
        let moved = RecordHeader { kind: RecordKind::Moved, index: 1, payload_bytes: 0, ..group };
        frame_of(FrameKind::Moves, &[(moved, b"")], |moves| assert_eq!(replay.take(5, moves), Ok(())));
        let refusal = replay.finish().expect_err("entry 2 is nowhere");
        assert!(refusal.contains("entry 2 of group 1"), "{refusal}");
    }
}
