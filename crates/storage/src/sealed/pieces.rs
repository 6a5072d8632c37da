//! A file of sealed texts taken apart: frames, damaged frames, and bytes that are neither.

use lineate_types::Hash;

use super::{
    Place,
    frame::{DamagedPayload, FILE_HEADER_BYTES, FRAME_MAGIC, FileHeader, Frame, FrameKind},
};

/// A part of a file; together they are all of it, but for its header.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A whole frame.
    Frame { frame: Frame<'a>, offset: usize, bytes: &'a [u8] },
    /// A frame whose payload is damaged or ends early: `is_cut_off` where not all of its bytes are there.
    Damaged { key: Hash, is_cut_off: bool, bytes: &'a [u8] },
    /// What no frame begins in. It may be texts whose headers are damaged.
    Garbage(&'a [u8]),
}

impl<'a> Piece<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Frame { bytes, .. } | Self::Damaged { bytes, .. } | Self::Garbage(bytes) => bytes,
        }
    }

    pub(super) fn key(&self) -> Option<Hash> {
        match self {
            Self::Frame { frame, .. } => Some(frame.key),
            Self::Damaged { key, .. } => Some(*key),
            Self::Garbage(_) => None,
        }
    }

    /// What the index says of it, in the file of this number.
    pub(super) fn place(&self, file: u32) -> Option<(Hash, Place)> {
        match self {
            Self::Frame { frame: Frame { kind: FrameKind::Erased, key, .. }, .. } => {
                Some((*key, Place::Erased))
            }
            Self::Frame { frame, offset, .. } => {
                // A file ends long before 4 GiB.
                Some((frame.key, Place::At { file, offset: u32::try_from(*offset).unwrap_or(u32::MAX) }))
            }
            Self::Damaged { key, .. } => Some((*key, Place::Damaged { file })),
            Self::Garbage(_) => None,
        }
    }
}

/// The pieces of a file, in order. After bytes that are no frame it goes on at the next header that holds.
pub(super) fn pieces(bytes: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut offset = if FileHeader::is_at(bytes) { FILE_HEADER_BYTES } else { 0 };
    std::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let piece = piece(rest, offset);
        offset += piece.bytes().len();
        Some(piece)
    })
}

fn piece(rest: &[u8], offset: usize) -> Piece<'_> {
    match Frame::decode(rest) {
        Some((length, Ok(frame))) => {
            Piece::Frame { frame, offset, bytes: rest.get(..length).unwrap_or(rest) }
        }
        Some((length, Err(DamagedPayload { key }))) => {
            let ends_well =
                rest.get(length..).is_some_and(|next| next.is_empty() || Frame::total_length(next).is_some());
            // Where no frame follows, the payload may be cut off by what comes next.
            let cut = if ends_well { None } else { next_frame(rest).filter(|next| *next < length) };
            let own = cut.unwrap_or(length).min(rest.len());
            Piece::Damaged { key, is_cut_off: own < length, bytes: rest.get(..own).unwrap_or(rest) }
        }
        None => Piece::Garbage(rest.get(..next_frame(rest).unwrap_or(rest.len())).unwrap_or(rest)),
    }
}

/// Where the next header of a frame begins, behind the first byte.
fn next_frame(bytes: &[u8]) -> Option<usize> {
    let behind = bytes.get(1..)?;
    let candidates =
        behind.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| *window == FRAME_MAGIC);
    let mut frames = candidates.map(|(position, _)| position + 1);
    frames.find(|position| bytes.get(*position..).is_some_and(|rest| Frame::total_length(rest).is_some()))
}
