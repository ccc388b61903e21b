//! The environment as the config sees it, and where the config and state live.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A snapshot of the environment variables. Variables that are not valid Unicode are left out.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// Values of the environment are not printed: many are secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl Environment {
    /// The variables of this process. `HOME` is filled in from the user database if it is missing.
    pub fn process() -> Self {
        let mut variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        if variables.get("HOME").is_none_or(String::is_empty)
            && let Some(home) = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok())
        {
            variables.insert("HOME".to_owned(), home);
        }
        Self(variables)
    }

    /// The value of a variable. An empty value counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A variable that holds an absolute path; `~/` at its start means the home directory. The XDG rules say
    /// that relative paths are to be ignored.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        let path = self.expand_home(self.get(name)?);
        path.is_absolute().then_some(path)
    }

    /// Desktop applications hand over `~/…` unexpanded.
    pub fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.get("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => PathBuf::from(path),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Why this config file is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigReason {
    /// The command line names it.
    Flag,
    /// This environment variable names it.
    Variable(&'static str),
    /// It lies in the folder where configs lie.
    Folder(PathBuf),
    /// There is none in this folder.
    Missing(PathBuf),
}

impl std::fmt::Display for ConfigReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("named by --config"),
            Self::Variable(name) => write!(f, "named by ${name}"),
            Self::Folder(folder) => write!(f, "found in {}", folder.display()),
            Self::Missing(folder) => {
                write!(f, "there is no switchboard.json, .yaml or .toml in {}", folder.display())
            }
        }
    }
}

/// Where the config and the state are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The config file, if one is named or found. A named one may not exist.
    pub config: Option<PathBuf>,
    /// Why it is this one, or why there is none.
    pub config_reason: ConfigReason,
    /// Config files in the same folder that are not used, because an earlier one is.
    pub ignored: Vec<PathBuf>,
    /// The folder for catalogue, logs and other state. It may not exist yet.
    pub state: PathBuf,
}

impl Locations {
    /// The config file, or where a new one belongs: the first of the names that are looked for, in the folder where it is.
    pub fn config_or_new(&self) -> PathBuf {
        match (&self.config, &self.config_reason) {
            (Some(path), _) => path.clone(),
            (None, ConfigReason::Missing(folder)) => folder.join(FILE_NAMES[0]),
            (None, _) => PathBuf::from(FILE_NAMES[0]),
        }
    }

    /// Creates the folder of the state, for its owner alone. One that exists stays as it is; failing is no obstacle, since
    /// everything works without it.
    pub fn make_state(&self) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let _ = builder.create(&self.state);
    }
}

/// The names looked for in the config folder; the first one that exists is used.
const FILE_NAMES: [&str; 5] =
    ["switchboard.json", "switchboard.yaml", "switchboard.toml", "switchboard.jsonc", "switchboard.yml"];

/// Finds the config file: the flag, else `$SWITCHBOARD_CONFIG`, else the config folder, which is
/// `$SWITCHBOARD_HOME` or `~/.config/switchboard`. The working directory is never looked at: a cloned
/// repository must not start processes.
pub fn locate(flag: Option<&Path>, environment: &Environment) -> Locations {
    let home = environment.get("SWITCHBOARD_HOME").map(|path| full(environment.expand_home(path)));
    let state = home.as_ref().map(|home| home.join("state")).unwrap_or_else(|| state_folder(environment));
    let named = match flag {
        Some(path) => Some((path.to_path_buf(), ConfigReason::Flag)),
        None => environment
            .get("SWITCHBOARD_CONFIG")
            .map(|path| (environment.expand_home(path), ConfigReason::Variable("SWITCHBOARD_CONFIG"))),
    };
    if let Some((path, config_reason)) = named {
        return Locations { config: Some(full(path)), config_reason, ignored: Vec::new(), state };
    }
    let folder = home.unwrap_or_else(|| config_folder(environment));
    let mut found = FILE_NAMES.iter().map(|name| folder.join(name)).filter(|path| path.exists());
    let config = found.next();
    let ignored = found.collect();
    let config_reason = match config {
        Some(_) => ConfigReason::Folder(folder),
        None => ConfigReason::Missing(folder),
    };
    Locations { config, config_reason, ignored, state }
}

fn config_folder(environment: &Environment) -> PathBuf {
    environment
        .absolute("XDG_CONFIG_HOME")
        .unwrap_or_else(|| home_folder(environment).join(".config"))
        .join("switchboard")
}

fn state_folder(environment: &Environment) -> PathBuf {
    environment
        .absolute("XDG_STATE_HOME")
        .unwrap_or_else(|| home_folder(environment).join(".local/state"))
        .join("switchboard")
}

/// Without a home directory nothing can be remembered between two boots, but everything still works.
fn home_folder(environment: &Environment) -> PathBuf {
    environment.absolute("HOME").unwrap_or_else(std::env::temp_dir)
}

/// The path as seen from the root, so that messages and child processes do not depend on the working directory.
fn full(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().copied().collect()
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let config = folder.path().join(".config/switchboard");
        std::fs::create_dir_all(&config).unwrap();
        let both = environment(&[("HOME", home), ("SWITCHBOARD_CONFIG", "~/mine.toml")]);

        let by_flag = locate(Some(Path::new("/x/y.json")), &both);
        assert_eq!((by_flag.config, by_flag.config_reason), (Some("/x/y.json".into()), ConfigReason::Flag));
        let by_variable = locate(None, &both);
        assert_eq!(by_variable.config, Some(folder.path().join("mine.toml")));
        assert_eq!(by_variable.config_reason, ConfigReason::Variable("SWITCHBOARD_CONFIG"));

        let alone = environment(&[("HOME", home)]);
        let none = locate(None, &alone);
        assert_eq!(none.config, None);
        assert_eq!(none.config_reason, ConfigReason::Missing(config.clone()));
        assert_eq!(none.state, folder.path().join(".local/state/switchboard"));

        std::fs::write(config.join("switchboard.toml"), "").unwrap();
        std::fs::write(config.join("switchboard.yaml"), "").unwrap();
        let found = locate(None, &alone);
        assert_eq!(found.config, Some(config.join("switchboard.yaml")));
        assert_eq!(found.ignored, [config.join("switchboard.toml")]);
    }

    #[test]
    fn switchboard_home_moves_both() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("switchboard.json"), "{}").unwrap();
        let home = folder.path().to_str().unwrap();
        let locations = locate(
            None,
            &environment(&[("HOME", "/h"), ("SWITCHBOARD_HOME", home), ("XDG_STATE_HOME", "/s")]),
        );
        assert_eq!(locations.config, Some(folder.path().join("switchboard.json")));
        assert_eq!(locations.state, folder.path().join("state"));
    }

    #[test]
    fn xdg_folders_are_honoured_unless_relative() {
        let xdg = environment(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "rel")]);
        let locations = locate(None, &xdg);
        assert_eq!(locations.config_reason, ConfigReason::Missing("/c/switchboard".into()));
        assert_eq!(locations.state, Path::new("/h/.local/state/switchboard"));
    }

    #[test]
    fn the_working_directory_is_never_looked_at() {
        // The tests run in the project's folder, which is as good as any.
        let locations = locate(None, &environment(&[("HOME", "/nowhere")]));
        assert_eq!(locations.config, None);
        assert!(locations.state.is_absolute());
    }
}
