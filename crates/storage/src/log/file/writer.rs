//! Appending: one unit, one sync; a new file when the present one is full; old files removed when dead.

use std::collections::BTreeSet;

use bytes::Bytes;
use lineate_types::GroupId;

use super::{
    FileLog, Location,
    format::{
        Chain, FRAME_BODY, FileHeader, FrameKind, MARK, Place, RecordHeader, RecordKind, SECTOR, continued,
        encode_vote, mark,
    },
    frame::{FrameBuilder, Unit},
    log_file::{LogFile, sync_failed},
};
use crate::{
    Error, Result,
    log::{
        Cut, GroupBatch, GroupState, HardState, LogBatch,
        group::{CutEffect, Groups},
    },
};

/// The part of a file's size that entries moved out of older files may take.
const MOVES_SHARE: u64 = 4;
/// A buffer larger than this is not kept for the next append.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Where the next unit goes.
#[derive(Debug)]
pub(super) struct Writer {
    unit: Place,
    /// The number of the last frame, and the chain after it.
    number: u64,
    chain: Chain,
    /// Up to here a refused append may have left bytes behind; they are cleared before the next one.
    soiled_end: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer whose next unit is at `unit`, after frame `number`.
    pub(super) fn new(unit: Place, number: u64, chain: Chain) -> Self {
        Self { unit, number, chain, soiled_end: 0, buffer: Vec::new() }
    }

    /// Makes one unit durable. After [`Error::Full`] nothing happened.
    fn write(&mut self, file: &LogFile, unit: &Unit) -> Result<()> {
        self.clear(file)?;
        let end = self.unit.after(unit.bytes.len() as u64);
        if let Err(source) = file.file.write_at(self.unit.offset, &unit.bytes) {
            self.soiled_end = end.offset;
            let error = Error::io("append to", &file.path, source);
            if matches!(error, Error::Full { .. }) {
                // Where even this fails, the next append tries again before it writes.
                let _ = self.clear(file);
            }
            return Err(error);
        }
        file.file.sync().map_err(|source| sync_failed(&file.path, &source))?;
        (self.unit, self.number, self.chain) = (end, self.number + 1, unit.chain);
        // The mark only helps recovery to tell damage from a torn append; what it marks is durable already.
        let _ = file.file.write_at(self.unit.offset, &mark(self.unit, self.number));
        Ok(())
    }

    /// Clears what a refused append left behind, and leaves the mark that was there.
    fn clear(&mut self, file: &LogFile) -> Result<()> {
        if self.soiled_end <= self.unit.offset {
            return Ok(());
        }
        let length = usize::try_from(self.soiled_end - self.unit.offset).unwrap_or(usize::MAX);
        let mut zeros = vec![0; length];
        let mark = mark(self.unit, self.number);
        if let Some(start) = zeros.get_mut(..mark.len()) {
            start.copy_from_slice(&mark);
        }
        let cleared = file.file.write_at(self.unit.offset, &zeros);
        cleared.map_err(|source| Error::io("clear the end of", &file.path, source))?;
        self.soiled_end = 0;
        Ok(())
    }
}

impl FileLog {
    /// Appends a batch that keeps the rules. An error that does not pass ([`Error::passes`]) must end the log.
    pub(super) fn write_batch(
        &self,
        writer: &mut Writer,
        batch: &LogBatch,
        cuts: &[CutEffect],
    ) -> Result<()> {
        self.remove_dead_files(writer)?;
        let Some((mut unit, mut locations)) = self.build(writer, batch, cuts) else { return Ok(()) };
        if !self.fits(writer, &unit)? {
            self.rotate(writer, unit.bytes.len() as u64)?;
            let Some(rebuilt) = self.build(writer, batch, cuts) else { return Ok(()) };
            (unit, locations) = rebuilt;
        }
        writer.write(&self.file(writer.unit.sequence)?, &unit)?;
        writer.buffer = unit.bytes;
        if writer.buffer.capacity() > BUFFER_BYTES {
            writer.buffer = Vec::new();
        }
        self.write_shared().apply(batch, locations);
        Ok(())
    }

    /// Whether a unit, and a mark behind it, fit into the present file.
    fn fits(&self, writer: &Writer, unit: &Unit) -> Result<bool> {
        let file = self.file(writer.unit.sequence)?;
        Ok(writer.unit.offset + unit.bytes.len() as u64 + SECTOR <= file.file_bytes)
    }

    /// The unit of a batch at the writer's place, and where each entry of each part will be. None where the
    /// batch changes nothing.
    fn build(
        &self,
        writer: &mut Writer,
        batch: &LogBatch,
        cuts: &[CutEffect],
    ) -> Option<(Unit, Vec<Vec<Location>>)> {
        let shared = self.read_shared();
        let buffer = std::mem::take(&mut writer.buffer);
        let mut frame = FrameBuilder::new(writer.unit, writer.number, buffer);
        let mut locations = Vec::with_capacity(batch.parts.len());
        let mut begun = BTreeSet::new();
        for (part, cut) in batch.parts.iter().zip(cuts) {
            let is_new = !shared.groups.contains_key(&part.group) && begun.insert(part.group);
            if is_new {
                // A group comes into being even where its first batch says nothing.
                push_hard_state(&mut frame, part.group, &HardState::default());
            }
            locations.push(push_part(&mut frame, writer.unit.sequence, part, *cut));
        }
        if frame.is_empty() {
            return None;
        }
        Some((frame.finish(FrameKind::Batch, writer.number + 1, &writer.chain), locations))
    }

    /// Begins the next file, large enough for a unit of `needed_bytes`, and moves what little is still needed of
    /// the oldest files into it.
    fn rotate(&self, writer: &mut Writer, needed_bytes: u64) -> Result<()> {
        let sequence = writer.unit.sequence + 1;
        let (unit, number) = (Place { sequence, offset: SECTOR }, writer.number + 1);
        let mut header = FileHeader {
            store_id: self.options.store_id,
            sequence,
            file_bytes: 0,
            first_frame: number,
            previous_end: writer.unit.offset,
            previous_chain: writer.chain,
        };
        let head_bytes =
            self.head(unit, writer.number).finish(FrameKind::Head, number, &[0; 32]).bytes.len() as u64;
        if head_bytes > FRAME_BODY {
            return Err(Error::TooLarge {
                what: "the state of all groups",
                actual: head_bytes,
                limit: FRAME_BODY,
            });
        }
        let moves_bytes = self.options.file_bytes / MOVES_SHARE + 2 * SECTOR;
        let least_bytes = 2 * SECTOR + head_bytes + moves_bytes + needed_bytes;
        header.file_bytes = self.options.file_bytes.max(least_bytes).next_multiple_of(SECTOR);
        let head = self.head(unit, writer.number).finish(FrameKind::Head, number, &header.chain());
        let file =
            LogFile::create(self.disk.as_ref(), &self.directory, self.opened.as_ref(), &header, &head.bytes)?;
        let full = self.file(writer.unit.sequence)?;
        let note_place = writer.unit.after(MARK as u64);
        *writer = Writer::new(unit.after(head.bytes.len() as u64), number, head.chain);
        self.write_shared().add_file(file);
        let noted = full.file.write_at(note_place.offset, &continued(note_place));
        noted.map_err(|source| Error::io("end", &full.path, source))?;
        full.file.sync().map_err(|source| sync_failed(&full.path, &source))?;
        self.move_entries(writer)
    }

    /// The frame that holds every group as it is.
    fn head(&self, unit: Place, previous: u64) -> FrameBuilder {
        let shared = self.read_shared();
        let mut frame = FrameBuilder::new(unit, previous, Vec::new());
        for (group, known) in &shared.groups {
            push_state(&mut frame, *group, &known.state, known.term(known.state.last_index));
        }
        frame
    }

    /// Copies the entries that oldest files still hold into the present one, where they are few.
    fn move_entries(&self, writer: &mut Writer) -> Result<()> {
        let mut budget = self.options.file_bytes / MOVES_SHARE;
        let mut moved = Vec::new();
        {
            let shared = self.read_shared();
            // The file before the present one has had no time to die.
            for (sequence, live) in shared.live.range(..writer.unit.sequence.saturating_sub(1)) {
                if live.bytes > budget {
                    break;
                }
                budget -= live.bytes;
                moved.extend(entries_in(&shared.groups, *sequence));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let mut frame = FrameBuilder::new(writer.unit, writer.number, Vec::new());
        for (group, index, term, location) in &mut moved {
            let entry = self.file(location.sequence)?.read_entry(*group, *index, *term, location)?;
            let kind = RecordKind::Moved;
            *location = push(&mut frame, writer.unit.sequence, kind, *group, *index, *term, &entry.payload);
        }
        let unit = frame.finish(FrameKind::Moves, writer.number + 1, &writer.chain);
        writer.write(&self.file(writer.unit.sequence)?, &unit)?;
        let mut shared = self.write_shared();
        for (group, index, _, location) in moved {
            shared.relocate(group, index, location);
        }
        Ok(())
    }

    /// Removes the oldest files, as long as nothing in them is needed. One at a time, each durably, so that a
    /// crash never leaves a gap.
    fn remove_dead_files(&self, writer: &Writer) -> Result<()> {
        loop {
            // The guard must be gone before the state is changed below.
            let dead = self.read_shared().dead_file(writer.unit.sequence);
            let Some(file) = dead else { return Ok(()) };
            self.disk.remove(&file.path).map_err(|source| Error::io("remove", &file.path, source))?;
            let synced = self.opened.sync();
            synced.map_err(|source| sync_failed(&self.directory, &source))?;
            self.write_shared().remove_file(file.sequence);
        }
    }
}

/// Entries whose newest copy is in a file.
fn entries_in(groups: &Groups<Location>, sequence: u64) -> Vec<(GroupId, u64, u64, Location)> {
    let mut found = Vec::new();
    for (id, group) in groups {
        for (index, slot) in (group.state.cut.index + 1..).zip(&group.slots) {
            if slot.stored.sequence == sequence {
                found.push((*id, index, slot.term, slot.stored));
            }
        }
    }
    found
}

/// Adds the records of one part, in the order they take effect.
fn push_part(frame: &mut FrameBuilder, sequence: u64, part: &GroupBatch, effect: CutEffect) -> Vec<Location> {
    let cut = part.cut.unwrap_or_default();
    let kind = match effect {
        CutEffect::None => None,
        CutEffect::KeepTail => Some(RecordKind::Cut),
        CutEffect::DropAll => Some(RecordKind::CutAll),
    };
    if let Some(kind) = kind {
        push(frame, sequence, kind, part.group, cut.index, cut.term, &[]);
    }
    let entries = part.entries.iter().map(|entry| {
        push(frame, sequence, RecordKind::Entry, part.group, entry.index, entry.term, &entry.payload)
    });
    let locations = entries.collect();
    if let Some(hard_state) = &part.hard_state {
        push_hard_state(frame, part.group, hard_state);
    }
    if let Some(conf) = &part.conf {
        push_conf(frame, part.group, conf);
    }
    locations
}

fn push_state(frame: &mut FrameBuilder, group: GroupId, state: &GroupState, last_term: Option<u64>) {
    let Cut { index, term } = state.cut;
    let mut payload = index.to_le_bytes().to_vec();
    payload.extend_from_slice(&term.to_le_bytes());
    let last_term = last_term.unwrap_or_default();
    push(frame, 0, RecordKind::Group, group, state.last_index, last_term, &payload);
    push_hard_state(frame, group, &state.hard_state);
    if let Some(conf) = &state.conf {
        push_conf(frame, group, conf);
    }
}

fn push_hard_state(frame: &mut FrameBuilder, group: GroupId, hard_state: &HardState) {
    let (commit, term) = (hard_state.commit, hard_state.term);
    push(frame, 0, RecordKind::HardState, group, commit, term, &encode_vote(hard_state));
}

fn push_conf(frame: &mut FrameBuilder, group: GroupId, conf: &Bytes) {
    push(frame, 0, RecordKind::Conf, group, 0, 0, conf);
}

fn push(
    frame: &mut FrameBuilder,
    sequence: u64,
    kind: RecordKind,
    group: GroupId,
    index: u64,
    term: u64,
    payload: &[u8],
) -> Location {
    // `check` and the size of a head bound every payload far below 4 GiB.
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let header = RecordHeader { kind, group, index, term, payload_bytes };
    Location { sequence, offset: frame.push(&header, payload), payload_bytes }
}
