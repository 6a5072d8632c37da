//! What the bytes after the last frame that verifies mean: nothing, a torn append, or damage.
//!
//! An append is written as one unit and synced before the next begins, so at most one unit can be torn, and its
//! frame was never acknowledged. What a tear leaves: sectors wholly written or wholly zero, or a prefix followed
//! by zeros. Everything else was changed after it was written, and may have been acknowledged:
//! - a note that another file follows, where none does;
//! - a mark that says the frame was synced, or a frame with a higher number behind it;
//! - a frame that is there from header to trailer, no sector missing, and does not verify;
//! - a header that is neither whole nor missing, or bytes behind the end of the frame.

use super::format::{
    FRAME_HEADER, FRAME_TRAILER, FrameHeader, MARK, Place, SECTOR, continued, mark, read_mark, trailer,
};

const ZEROS: [u8; SECTOR as usize] = [0; SECTOR as usize];

/// The verdict on the bytes behind the last frame of the last file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing is there.
    Clean,
    /// An append that was never acknowledged; its last byte that is not zero, counted from the unit's start.
    Torn {
        /// Where the bytes to be cleared end, exclusive.
        end: usize,
    },
    /// Bytes that were written once were changed since: the reason.
    Damaged(String),
}

/// Judges the bytes from the unit at `unit` to the end of the file, where frame `number` would begin.
pub(super) fn judge(unit: Place, bytes: &[u8], number: u64) -> Tail {
    let damaged = |reason: String| Tail::Damaged(format!("at byte {} {reason}", unit.offset));
    if !is_mark_or_torn(unit, bytes, number.saturating_sub(1)) {
        return damaged(format!("the mark of frame {} does not verify", number.saturating_sub(1)));
    }
    let Some(end) = end_of_content(bytes.get(MARK..).unwrap_or_default()).map(|end| end + MARK) else {
        return Tail::Clean;
    };
    if bytes.get(MARK..2 * MARK) == Some(&continued(unit.after(MARK as u64))) {
        return damaged("it says that another file follows, which is missing".to_owned());
    }
    // Marks and headers end in zeros: look at whole sectors.
    let written = bytes.get(..end.next_multiple_of(SECTOR as usize)).unwrap_or(bytes);
    if let Some(later) = later_evidence(unit, written, number) {
        return damaged(format!("frame {number} does not verify, and {later}"));
    }
    match FrameHeader::decode(unit.after(MARK as u64), bytes.get(MARK..).unwrap_or_default()) {
        Some(header) if header.number == number => match damage_in_frame(&header, bytes, end) {
            Some(reason) => damaged(format!("frame {number} does not verify, and {reason}")),
            None => Tail::Torn { end },
        },
        Some(header) => damaged(format!("frame {} is where frame {number} should be", header.number)),
        None if is_torn_header(bytes, end) => Tail::Torn { end },
        None => damaged(format!("the header of frame {number} does not verify")),
    }
}

/// A mark was written wholly, in part, or not at all.
fn is_mark_or_torn(unit: Place, bytes: &[u8], number: u64) -> bool {
    let found = bytes.get(..MARK).unwrap_or_default();
    is_prefix_then_zeros(found, &mark(unit, number))
}

/// Something behind the unit says that its frame had been synced.
fn later_evidence(unit: Place, bytes: &[u8], number: u64) -> Option<String> {
    let sectors = bytes.chunks(SECTOR as usize).enumerate().skip(1);
    for (sector, found) in sectors {
        let place = unit.after(sector as u64 * SECTOR);
        if let Some(synced) = read_mark(place, found)
            && synced >= number
        {
            return Some(format!("a mark says that frame {synced} was synced"));
        }
        let header = FrameHeader::decode(place.after(MARK as u64), found.get(MARK..).unwrap_or_default());
        if let Some(later) = header
            && later.number > number
        {
            return Some(format!("frame {} follows it", later.number));
        }
    }
    None
}

/// Why a frame whose header verifies cannot be the remains of a torn append.
fn damage_in_frame(header: &FrameHeader, bytes: &[u8], end: usize) -> Option<&'static str> {
    let frame_end = MARK.saturating_add(usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX));
    let Some(frame) = bytes.get(..frame_end) else { return Some("it would end behind the file") };
    if end > frame_end {
        return Some("other bytes follow it");
    }
    let mut sectors = frame.chunks(SECTOR as usize);
    if sectors.any(|sector| end_of_content(sector).is_none()) {
        return None;
    }
    let found = frame.get(frame_end - FRAME_TRAILER..).unwrap_or_default();
    let expected = trailer(header.number);
    match is_prefix_then_zeros(found, &expected) {
        false => Some("its trailer does not verify"),
        true if found == expected => Some("no part of it is missing"),
        true => None,
    }
}

/// The sector of the header never arrived, or the write ended inside the header.
fn is_torn_header(bytes: &[u8], end: usize) -> bool {
    let sector = bytes.get(MARK..SECTOR as usize).unwrap_or_default();
    end <= MARK + FRAME_HEADER || end_of_content(sector).is_none()
}

fn is_prefix_then_zeros(found: &[u8], expected: &[u8]) -> bool {
    let end = end_of_content(found).unwrap_or(0);
    found.len() == expected.len() && found.get(..end) == expected.get(..end)
}

/// The end of the last byte that is not zero, exclusive.
fn end_of_content(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    while end > 0 {
        let start = end.saturating_sub(ZEROS.len());
        let chunk = bytes.get(start..end).unwrap_or_default();
        if chunk != ZEROS.get(..chunk.len()).unwrap_or_default() {
            return chunk.iter().rposition(|byte| *byte != 0).map(|position| start + position + 1);
        }
        end = start;
    }
    None
}
