//! Texts that may be personal: kept beside the log, where they can be erased; records hold commitments only.
//!
//! A text is durable here before the command that carries its commitment is proposed. The files have no other copy
//! (`lineate_storage::sealed`): they are left out of checkpoints and backups, and nothing but a text is lost with them.
//!
//! Nothing is kept of a text whose command recorded nothing, since nobody could name it to erase it: it is given up
//! where that is known, and forgotten with others at once; what a process that ended left is forgotten at the next start.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use lineate_ledger::{Sealed, SealedText};
use lineate_storage::{
    disk::Disk,
    sealed::{Erasure, Found, NewText, SealedFiles, SealedReport},
};
use lineate_types::{Hash, Principal};

use crate::{Error, Node, Result};

/// Sealed texts by commitment.
pub struct SealedTexts {
    files: Arc<SealedFiles>,
    /// By the principal's name: the commitment to it.
    agents: RwLock<BTreeMap<String, Hash>>,
    /// Held while an agent is made, so that a principal is made one agent only.
    making: tokio::sync::Mutex<()>,
    /// Texts that no record names or ever will, still to be forgotten.
    given_up: Mutex<BTreeSet<Hash>>,
    /// Whether texts that are recorded as erased may still be in the files. Held while they are erased.
    erasing: tokio::sync::Mutex<bool>,
}

/// How many texts that were given up wait to be forgotten, at most; what there is no room for waits for the next start.
const GIVEN_UP_MOST: usize = 65_536;

/// What became of a sealed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is there.
    Text(String),
    /// It was erased.
    Erased,
    /// It was never kept in this directory, which may have been restored from a backup.
    Unknown,
}

impl SealedTexts {
    /// The texts kept in a directory of a disk.
    ///
    /// # Errors
    /// A newer release wrote there, or the disk refuses. Damaged texts are no error.
    pub(crate) fn open_on(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self> {
        let files = SealedFiles::open_on(disk, directory)?;
        let mut agents = BTreeMap::new();
        for (commitment, bytes) in files.listed() {
            match decode(&bytes, Sealed(commitment)) {
                Ok(name) => drop(agents.insert(name, commitment)),
                Err(error) => tracing::warn!(%commitment, %error, "an agent's name cannot be read"),
            }
        }
        let report = files.report();
        if report.damaged > 0 {
            tracing::warn!(damaged = report.damaged, "sealed texts are damaged; `lineate verify` names them");
        }
        Ok(Self {
            files: Arc::new(files),
            agents: RwLock::new(agents),
            making: tokio::sync::Mutex::default(),
            given_up: Mutex::default(),
            erasing: tokio::sync::Mutex::default(),
        })
    }

    /// Seals texts, each under a salt of its own, and gives their commitments in the same order.
    ///
    /// # Errors
    /// A text is too long, or the disk failed.
    pub async fn seal(&self, texts: &[&str]) -> Result<Vec<Hash>> {
        let sealed = texts.iter().map(|text| SealedText::new(random_salt()?, *text).map_err(Error::from));
        self.put(sealed.collect::<Result<_>>()?, false).await
    }

    /// The commitment to a principal's name, which commands, writers and records carry in place of it: always the same
    /// one, so that a principal is one agent, until the name is erased. Who comes back after that is another agent.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn agent(&self, principal: &Principal) -> Result<Hash> {
        if let Some(known) = self.known_agent(principal) {
            return Ok(known);
        }
        let _making = self.making.lock().await;
        if let Some(known) = self.known_agent(principal) {
            return Ok(known);
        }
        let sealed = SealedText::new(random_salt()?, principal.0.clone())?;
        let commitment = sealed.commitment().0;
        self.put(vec![sealed], true).await?;
        self.agents.write().unwrap_or_else(PoisonError::into_inner).insert(principal.0.clone(), commitment);
        Ok(commitment)
    }

    /// The agent that a principal is, if it was one before.
    pub(crate) fn known_agent(&self, principal: &Principal) -> Option<Hash> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(&principal.0).copied()
    }

    /// Keeps texts durably; calls that wait at once share their syncs.
    async fn put(&self, sealed: Vec<SealedText>, listed: bool) -> Result<Vec<Hash>> {
        if sealed.is_empty() {
            return Ok(Vec::new());
        }
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || {
            let encoded: Vec<(Hash, Vec<u8>)> =
                sealed.iter().map(|text| (text.commitment().0, text.encode())).collect();
            let texts: Vec<NewText<'_>> =
                encoded.iter().map(|(key, bytes)| NewText { key: *key, listed, bytes }).collect();
            files.put(&texts)?;
            Ok(encoded.into_iter().map(|(commitment, _)| commitment).collect())
        })
        .await?
    }

    /// What is in the files of the text behind a commitment, whatever the ledger says; [`Node::open_text`] asks both.
    ///
    /// # Errors
    /// It is damaged, or is not what was committed to.
    pub fn open(&self, commitment: Sealed) -> Result<Opened> {
        match self.files.get(&commitment.0)? {
            Found::Text(bytes) => decode(&bytes, commitment).map(Opened::Text),
            Found::Erased => Ok(Opened::Erased),
            Found::Unknown => Ok(Opened::Unknown),
        }
    }

    /// Erases texts; says how many there were, and which were not found. Every record and proof stays as it is.
    ///
    /// # Errors
    /// The disk failed; the call can be repeated.
    pub async fn erase(&self, commitments: BTreeSet<Hash>) -> Result<Erasure> {
        let files = self.files.clone();
        self.agents
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, commitment| !commitments.contains(commitment));
        tokio::task::spawn_blocking(move || Ok(files.erase(&commitments)?)).await?
    }

    /// Whether texts that are recorded as erased may still be in the files. To be held while they are erased, so that it
    /// is true of all records.
    pub(crate) fn erasing(&self) -> &tokio::sync::Mutex<bool> {
        &self.erasing
    }

    /// Gives up texts that no record names or ever will.
    pub(crate) fn give_up(&self, texts: impl IntoIterator<Item = Hash>) {
        let mut given_up = self.given_up();
        let room = GIVEN_UP_MOST.saturating_sub(given_up.len());
        given_up.extend(texts.into_iter().take(room));
    }

    /// Forgets the texts that were given up, all at once: a file is written anew for one as for many.
    ///
    /// # Errors
    /// The disk failed; they stay given up.
    pub(crate) async fn forget_given_up(&self) -> Result<()> {
        let texts = std::mem::take(&mut *self.given_up());
        let forgotten = self.forget(texts.clone()).await;
        if forgotten.is_err() {
            self.give_up(texts);
        }
        forgotten
    }

    /// Forgets every text that is not named and no agent's. Only before anybody seals one.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) async fn forget_all_but(&self, named: &BTreeSet<Hash>) -> Result<()> {
        let mut unnamed = self.files.keys();
        unnamed.retain(|text| !named.contains(text));
        for agent in self.agents.read().unwrap_or_else(PoisonError::into_inner).values() {
            unnamed.remove(agent);
        }
        self.forget(unnamed).await
    }

    async fn forget(&self, texts: BTreeSet<Hash>) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let files = self.files.clone();
        let count = tokio::task::spawn_blocking(move || files.forget(&texts)).await??;
        tracing::debug!(count, "sealed texts that nothing names are forgotten");
        Ok(())
    }

    fn given_up(&self) -> MutexGuard<'_, BTreeSet<Hash>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many texts there are.
    pub fn report(&self) -> SealedReport {
        self.files.report()
    }
}

impl Node {
    /// What became of the text behind a commitment. One that is recorded as erased is, also while the disk keeps it from
    /// being erased from the files: the ledger is asked first.
    ///
    /// # Errors
    /// It is damaged, or is not what was committed to.
    pub fn open_text(&self, commitment: Sealed) -> Result<Opened> {
        if self.meta().read().ledger().erased().contains(&commitment) {
            return Ok(Opened::Erased);
        }
        self.sealed_texts().open(commitment)
    }

    /// The text behind a commitment, if it can be read and was not erased.
    pub fn text(&self, commitment: Sealed) -> Option<String> {
        match self.open_text(commitment) {
            Ok(Opened::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text behind a commitment for people, or what became of it.
    pub fn shown_text(&self, commitment: Sealed) -> String {
        match self.open_text(commitment) {
            Ok(Opened::Text(text)) => text,
            Ok(Opened::Erased) => "(erased)".to_owned(),
            Ok(Opened::Unknown) => "(not kept here)".to_owned(),
            Err(_) => "(damaged)".to_owned(),
        }
    }

    /// Runs a command that names texts. Where it is refused they are given up; where nobody knows what becomes of it,
    /// they stay until the store is opened again.
    pub(crate) async fn name_texts<T>(
        &self,
        texts: &[Hash],
        naming: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let outcome = naming.await;
        if outcome.as_ref().is_err_and(|error| !error.leaves_open()) {
            self.sealed_texts().give_up(texts.iter().copied());
        }
        outcome
    }
}

fn decode(bytes: &[u8], commitment: Sealed) -> Result<String> {
    let sealed = SealedText::decode(bytes)?;
    sealed.verify(commitment)?;
    Ok(sealed.text().to_owned())
}

fn random_salt() -> Result<[u8; 32]> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt)
        .map_err(|cause| Error::Internal(format!("the operating system gives no random bytes: {cause}")))?;
    Ok(salt)
}
