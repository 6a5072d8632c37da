//! Texts that may be personal: kept beside the log, where they can be erased; records hold commitments only.
//!
//! A text is durable here before the command that carries its commitment is proposed.

use std::sync::Arc;

use lineate_ledger::{Sealed, SealedText};
use lineate_storage::kv::{KvBatch, OrderedKv};
use lineate_types::{Hash, Principal};

use crate::{Error, Result};

/// The kv tree of sealed texts. It is left out of backups.
const TREE: &str = "sealed-texts";

/// Sealed texts by commitment.
pub struct SealedTexts {
    kv: Arc<dyn OrderedKv>,
}

impl SealedTexts {
    /// The texts kept in a key-value store.
    pub fn new(kv: Arc<dyn OrderedKv>) -> Self {
        Self { kv }
    }

    /// Seals texts, each under a salt of its own, and gives their commitments in the same order.
    ///
    /// # Errors
    /// A text is too long, or the disk failed.
    pub fn seal(&self, texts: &[&str]) -> Result<Vec<Hash>> {
        let mut batch = KvBatch::new();
        let mut commitments = Vec::with_capacity(texts.len());
        for text in texts {
            let sealed = SealedText::new(random_salt()?, *text)?;
            commitments.push(put(&mut batch, &sealed).0);
        }
        if !batch.is_empty() {
            self.kv.apply(TREE, batch)?;
            self.kv.sync()?;
        }
        Ok(commitments)
    }

    /// The commitment to a principal's name: always the same one, so that a principal is one agent.
    ///
    /// # Errors
    /// The disk failed.
    pub fn agent(&self, principal: &Principal) -> Result<Hash> {
        let key = [b"p".as_slice(), principal.0.as_bytes()].concat();
        if let Some(bytes) = self.kv.get(TREE, &key)? {
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                Error::Corrupt("the commitment of a principal has another length than 32".into())
            })?;
            return Ok(Hash::from_bytes(bytes));
        }
        let sealed = SealedText::new(random_salt()?, principal.0.clone())?;
        let mut batch = KvBatch::new();
        let commitment = put(&mut batch, &sealed);
        batch.put(key, commitment.0.as_bytes().to_vec());
        self.kv.apply(TREE, batch)?;
        self.kv.sync()?;
        Ok(commitment.0)
    }

    /// The text behind a commitment; none if it was never kept here or was erased.
    ///
    /// # Errors
    /// What is stored is damaged.
    pub fn open(&self, commitment: Sealed) -> Result<Option<String>> {
        let Some(bytes) = self.kv.get(TREE, &text_key(commitment))? else { return Ok(None) };
        let sealed = SealedText::decode(&bytes)?;
        sealed.verify(commitment)?;
        Ok(Some(sealed.text().to_owned()))
    }

    /// The text behind a commitment for people, or what became of it.
    pub fn shown(&self, commitment: Sealed) -> String {
        match self.open(commitment) {
            Ok(Some(text)) => text,
            Ok(None) => "(erased)".to_owned(),
            Err(_) => "(damaged)".to_owned(),
        }
    }
}

fn put(batch: &mut KvBatch, sealed: &SealedText) -> Sealed {
    let commitment = sealed.commitment();
    batch.put(text_key(commitment), sealed.encode());
    commitment
}

fn text_key(commitment: Sealed) -> Vec<u8> {
    [b"t".as_slice(), commitment.0.as_bytes()].concat()
}

fn random_salt() -> Result<[u8; 32]> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt)
        .map_err(|cause| Error::Internal(format!("the operating system gives no random bytes: {cause}")))?;
    Ok(salt)
}
