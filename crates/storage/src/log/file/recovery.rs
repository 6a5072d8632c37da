//! Opening a log: reading every byte of it, and deciding what the end of it means.

use std::{collections::BTreeMap, path::Path};

use super::{
    Location, LogOptions,
    format::{Chain, FileHeader, FrameKind, MARK, Place, SECTOR, mark},
    frame::{Frame, FrameBuilder},
    log_file::{LogFile, file_name, parse_file_name, remove_unfinished, sync_failed},
    replay::{Refusal, Replay},
    tail::{Tail, judge},
    writer::Writer,
};
use crate::{
    Error, Result,
    disk::{Disk, DiskDirectory},
    log::group::Groups,
};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Files read; 0 where the log was made by this opening.
    pub files: usize,
    /// Frames that verified: appends, and what the log writes for itself.
    pub frames: u64,
    /// Entries that can be read.
    pub entries: u64,
    /// An append that was cut off at the end; it was never acknowledged.
    pub torn: Option<TornTail>,
}

/// An append that a crash left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: String,
    /// Where the append began.
    pub offset: u64,
    /// How many bytes were cleared.
    pub bytes: u64,
}

/// A log as it was found, ready to be appended to.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) groups: Groups<Location>,
    pub(super) files: BTreeMap<u64, LogFile>,
    pub(super) writer: Writer,
    pub(super) report: RecoveryReport,
}

/// Opens the log in a directory, or makes one where there is none.
pub(super) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    opened: &dyn DiskDirectory,
    options: &LogOptions,
) -> Result<Recovered> {
    remove_unfinished(disk, directory)?;
    let sequences = list(disk, directory)?;
    let mut scan = Scan::default();
    for (position, sequence) in sequences.iter().enumerate() {
        let is_last = position + 1 == sequences.len();
        scan.take(disk, directory, options, *sequence, is_last)?;
    }
    let Scan { replay, files, end, mut report } = scan;
    report.files = files.len();
    let Some(end) = end else { return create(disk, directory, opened, options) };
    let last = files.values().next_back().ok_or_else(|| Error::invalid("a scan ended in no file"))?;
    settle(last, &end)?;
    // The last file may have been renamed by a process that did not live to sync the directory.
    opened.sync().map_err(|source| sync_failed(directory, &source))?;
    let groups = replay.finish().map_err(|found| Error::corrupt("the raft log", found))?;
    report.entries = groups.values().map(|group| group.slots.len() as u64).sum();
    report.torn = (end.torn_bytes > 0).then(|| TornTail {
        file: file_name(last.sequence),
        offset: end.unit.offset,
        bytes: end.torn_bytes,
    });
    let writer = Writer::new(end.unit, end.number, end.chain);
    Ok(Recovered { groups, files, writer, report })
}

/// The numbers of the files, which must be without a gap.
fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>> {
    let names = disk.list(directory).map_err(|source| Error::io("list", directory, source))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    sequences.sort_unstable();
    for pair in sequences.windows(2) {
        if let [before, after] = pair
            && before + 1 != *after
        {
            let found = format!("file `{}` is missing", file_name(before + 1));
            return Err(Error::corrupt("the raft log", found));
        }
    }
    Ok(sequences)
}

/// Makes the first file of a log.
fn create(
    disk: &dyn Disk,
    directory: &Path,
    opened: &dyn DiskDirectory,
    options: &LogOptions,
) -> Result<Recovered> {
    let header = FileHeader {
        store_id: options.store_id,
        sequence: 1,
        file_bytes: options.file_bytes.next_multiple_of(SECTOR).max(4 * SECTOR),
        first_frame: 1,
        previous_end: 0,
        previous_chain: [0; 32],
    };
    let unit = Place { sequence: 1, offset: SECTOR };
    let head = FrameBuilder::new(unit, 0, Vec::new()).finish(FrameKind::Head, 1, &header.chain());
    let file = LogFile::create(disk, directory, opened, &header, &head.bytes)?;
    let writer = Writer::new(unit.after(head.bytes.len() as u64), 1, head.chain);
    let files = BTreeMap::from([(1, file)]);
    Ok(Recovered { groups: Groups::new(), files, writer, report: RecoveryReport::default() })
}

/// Reading file after file.
#[derive(Debug, Default)]
struct Scan {
    replay: Replay,
    files: BTreeMap<u64, LogFile>,
    end: Option<End>,
    report: RecoveryReport,
}

/// Where the frames read so far end.
#[derive(Debug)]
struct End {
    /// The unit the next frame would begin.
    unit: Place,
    number: u64,
    chain: Chain,
    /// The last unit that verified, to be written again: a failed sync may have left it in memory only.
    last_unit: Vec<u8>,
    torn_bytes: u64,
}

impl Scan {
    fn take(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        options: &LogOptions,
        sequence: u64,
        is_last: bool,
    ) -> Result<()> {
        let corrupt =
            |found: String| Error::corrupt(format!("raft log file `{}`", file_name(sequence)), found);
        let (file, header, bytes) = LogFile::open(disk, directory, sequence)?;
        if header.store_id != options.store_id {
            return Err(corrupt("it belongs to another store".to_owned()));
        }
        if let Some(end) = &self.end {
            let follows = header.previous_end == end.unit.offset
                && header.previous_chain == end.chain
                && header.first_frame == end.number + 1;
            if !follows {
                return Err(corrupt("it does not continue the file before it, whose end is lost".to_owned()));
            }
        }
        let mut end = self.frames(&file, &header, &bytes).map_err(corrupt)?;
        if is_last {
            let rest = slice_from(&bytes, end.unit.offset);
            match judge(end.unit, rest, end.number + 1) {
                Tail::Clean => {}
                Tail::Torn { end: torn } => end.torn_bytes = torn as u64,
                Tail::Damaged(reason) => return Err(corrupt(reason)),
            }
        }
        self.end = Some(end);
        self.files.insert(sequence, file);
        Ok(())
    }

    /// Replays the frames of one file, as far as they verify.
    fn frames(
        &mut self,
        file: &LogFile,
        header: &FileHeader,
        bytes: &[u8],
    ) -> std::result::Result<End, Refusal> {
        let mut end = End {
            unit: file.place(SECTOR),
            number: header.first_frame.saturating_sub(1),
            chain: header.chain(),
            last_unit: Vec::new(),
            torn_bytes: 0,
        };
        loop {
            let rest = slice_from(bytes, end.unit.offset);
            let number = end.number + 1;
            let Some(frame) = Frame::read(end.unit, rest, number, &end.chain) else { break };
            if (frame.kind == FrameKind::Head) != (number == header.first_frame) {
                return Err(format!("frame {number} is a head in the wrong place"));
            }
            self.replay.take(file.sequence, &frame).map_err(|found| format!("in frame {number} {found}"))?;
            self.report.frames += 1;
            let unit_bytes = usize::try_from(frame.unit_bytes).unwrap_or(usize::MAX);
            end.last_unit = rest.get(..unit_bytes).unwrap_or(rest).to_vec();
            (end.unit, end.number, end.chain) = (end.unit.after(frame.unit_bytes), number, frame.chain);
        }
        if end.number < header.first_frame {
            return Err("its head does not verify".to_owned());
        }
        Ok(end)
    }
}

/// Clears a torn append, writes the last good unit again, and makes both durable.
fn settle(last: &LogFile, end: &End) -> Result<()> {
    let write = |offset: u64, bytes: &[u8]| {
        last.file.write_at(offset, bytes).map_err(|source| Error::io("write", &last.path, source))
    };
    if end.torn_bytes > MARK as u64 {
        let zeros = vec![0; usize::try_from(end.torn_bytes).unwrap_or(usize::MAX) - MARK];
        write(end.unit.offset + MARK as u64, &zeros)?;
    }
    write(end.unit.offset - end.last_unit.len() as u64, &end.last_unit)?;
    last.file.sync().map_err(|source| sync_failed(&last.path, &source))?;
    write(end.unit.offset, &mark(end.unit, end.number))
}

fn slice_from(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default()
}
