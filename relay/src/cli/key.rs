//! Which OTX key a command asks with: that of a file named on the command line, else the file `default` of
//! `otx.keysDir`. A key itself is never an argument, because every user of a machine can read those.

use std::path::PathBuf;

use crate::auth::keys::key_of_file;
use crate::auth::reload::Unusable;
use crate::config::Config;
use crate::otx::key::OtxKey;

/// Where the key is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KeySource {
    /// File with the OTX key; without it the file `default` in the setting otx.keysDir. /dev/stdin works
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// There is no key.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    /// Nothing names one.
    #[error(
        "there is no OTX key to ask with; name its file by --key-file, or a directory with a file `default` by otx.keysDir (THREATRELAY_OTX_KEYS_DIR)"
    )]
    NotNamed,
    /// The file cannot be used.
    #[error("the OTX key: {0}")]
    Unusable(#[from] Unusable),
}

impl KeySource {
    /// The file that holds the key; `None` when nothing names one.
    #[must_use]
    pub fn file(&self, config: &Config) -> Option<PathBuf> {
        let of_settings = || config.otx.keys_dir.as_ref().map(|dir| dir.join("default"));
        self.key_file.clone().or_else(of_settings)
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn read(&self, config: &Config) -> Result<OtxKey, NoKey> {
        Ok(key_of_file(self.file(config).ok_or(NoKey::NotNamed)?)?)
    }
}
