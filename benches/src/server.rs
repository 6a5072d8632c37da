//! The server under test: the real program, `lineate serve`, on a free loopback port and an empty data directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lineate_client::{
    Client, UploadSource,
    v1::{DefinitionFile, IngestFile, LoadReport},
};
use tempfile::TempDir;

use crate::{
    Error, Result,
    data::{Job, Log},
    process::Child,
};

/// A running server. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Server {
    child: Child,
    client: Client,
    directory: TempDir,
}

impl Server {
    /// Starts one on an empty directory inside `scratch` and applies definitions.
    ///
    /// # Errors
    /// It does not start, or refuses the definitions.
    pub async fn start(program: &Path, scratch: &Path, definitions: &Path) -> Result<Self> {
        let directory = tempfile::tempdir_in(scratch).map_err(Error::file(scratch))?;
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--format", "json", "--data-dir"]);
        command.arg(directory.path().join("store"));
        let child = Child::listening("lineate", command, directory.path())?;
        let client = Client::connect(child.address()).await?;
        let yaml = fs::read_to_string(definitions).map_err(Error::file(definitions))?;
        client.apply(vec![DefinitionFile { name: definitions.display().to_string(), yaml }]).await?;
        Ok(Self { child, client, directory })
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Several clients, each with a connection of its own.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn clients(&self, connections: usize) -> Result<Vec<Client>> {
        clients(self.child.address(), connections).await
    }

    /// The process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// A directory beside its data, on the same disk.
    pub fn beside(&self) -> &Path {
        self.directory.path()
    }

    /// Sends a file. The id of the upload.
    ///
    /// # Errors
    /// The file cannot be read, or the server refuses it.
    pub async fn upload(&self, path: &Path) -> Result<String> {
        Ok(self.client.upload(UploadSource::File(path.to_owned()), |_| ()).await?.upload_id)
    }

    /// Loads an uploaded history as one atomic change.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn load(&self, log: &Log, upload_id: String) -> Result<LoadReport> {
        let file = IngestFile { upload_id, name: log.path.display().to_string() };
        Ok(self.client.ingest(log.view, vec![file], false, |_| ()).await?)
    }

    /// Sends and loads all histories of a job.
    ///
    /// # Errors
    /// A file cannot be read, or the server refuses it.
    pub async fn ingest(&self, job: &Job) -> Result<()> {
        for log in &job.logs {
            let upload_id = self.upload(&log.path).await?;
            self.load(log, upload_id).await?;
        }
        Ok(())
    }
}

/// Several clients of one address, each with a connection of its own.
///
/// # Errors
/// Nothing answers there.
pub async fn clients(address: &str, connections: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(Client::connect(address).await?);
    }
    Ok(clients)
}

/// Builds `lineate` as this program was built, so that both are of one checkout and profile, and says where it is.
///
/// # Errors
/// It does not build.
pub fn build(root: &Path, own_program: &Path) -> Result<PathBuf> {
    let profile_directory = own_program.parent().unwrap_or(root);
    let target = profile_directory.parent().unwrap_or(root);
    let mut command = xtask::process::cargo(root);
    command.args(["build", "--locked", "--quiet", "--package", "lineate", "--target-dir"]).arg(target);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().map_err(Error::run("cargo build --package lineate"))?;
    if !status.success() {
        return Err(Error::program("cargo build --package lineate", status));
    }
    Ok(profile_directory.join("lineate"))
}
