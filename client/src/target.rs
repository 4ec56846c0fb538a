//! Where a command goes: by its flags, by the environment, by the context in force, or to this machine.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;
use hyper::header::{HeaderName, HeaderValue};

use crate::client_error::ClientError;
#[cfg(feature = "cluster")]
use crate::cluster_target::ClusterTarget;
use crate::completion;
use crate::context_file::{ClusterContext, Context, ContextFile};
use crate::server_url::ServerUrl;
use crate::shell_word::quoted_if_needed;

/// The variable that names a server.
const VARIABLE: &str = "PICOFAAS_SERVER";

/// Where a server listens that nobody said anything else to.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Where such a server listens for operators, which alone has metrics.
pub(crate) const DEFAULT_OPERATORS: &str = "http://127.0.0.1:8081";

/// Told to who asks for a cluster where there is none in this program.
const WITHOUT_CLUSTERS: &str =
    "this program was built without clusters; build it with them: cargo build --release";

/// Flags that say where a command goes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server")]
pub(crate) struct TargetArgs {
    /// URL of the server; else PICOFAAS_SERVER, the context in force, or http://127.0.0.1:8080
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    pub(crate) server: Option<String>,
    /// Context of the configuration file, see `config`
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completion::contexts))]
    pub(crate) context: Option<String>,
    /// File of certificates (PEM) to trust instead of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Cluster of this context of the kubeconfig, with the rights of its user
    #[arg(
        long,
        value_name = "NAME",
        hide = cfg!(not(feature = "cluster")),
        conflicts_with_all = ["server", "context", "certificate_authority"]
    )]
    pub(crate) kube_context: Option<String>,
    /// Namespace of the cluster; else the kubeconfig's, or picofaas
    #[arg(
        short,
        long,
        value_name = "NAME",
        hide = cfg!(not(feature = "cluster")),
        conflicts_with_all = ["server", "certificate_authority"]
    )]
    pub(crate) namespace: Option<String>,
}

/// The place that a command is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A server of picofaas, by its HTTP API.
    Http(HttpTarget),
    /// A cluster: functions by its API server, all else by the control plane in it.
    #[cfg(feature = "cluster")]
    Cluster(ClusterTarget),
}

/// A server, and how it is called.
#[derive(Clone, Debug)]
pub(crate) struct HttpTarget {
    /// Where it listens.
    pub url: ServerUrl,
    /// How it was named.
    pub origin: TargetOrigin,
    /// Certificates that are trusted instead of the machine's.
    pub certificate_authority: Option<PathBuf>,
    /// Whether a flag names them, and no context.
    pub is_authority_of_flag: bool,
    /// Headers of every request. Values may be secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How a server was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetOrigin {
    /// `--server` or `--kube-context`.
    Flag,
    /// The environment.
    Environment,
    /// The context of this name.
    Context(String),
    /// Nobody.
    Default,
}

/// The environment of the process, as far as it says where to go.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetEnvironment {
    /// `PICOFAAS_SERVER`, where it is not empty.
    pub server: Option<OsString>,
    /// The file of contexts; `None` where there is neither `XDG_CONFIG_HOME` nor `HOME`.
    pub context_file: Option<PathBuf>,
}

impl TargetEnvironment {
    /// The environment of this process.
    pub(crate) fn read() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let config = variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            // The base directory specification has it that a relative one is passed over.
            .filter(|folder| folder.is_absolute())
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
        Self {
            server: variable(VARIABLE),
            context_file: config.map(|folder| folder.join("picofaas").join("config.yaml")),
        }
    }
}

impl Target {
    /// The place that the flags name, or else the environment, the context in force, or this machine.
    ///
    /// # Errors
    /// A URL that is none, a context that there is not, a file of contexts that cannot be understood.
    pub(crate) fn resolve(flags: &TargetArgs, environment: &TargetEnvironment) -> Result<Self, ClientError> {
        let plain = |url: ServerUrl, origin| HttpTarget {
            url,
            origin,
            certificate_authority: flags.certificate_authority.clone(),
            is_authority_of_flag: true,
            headers: Vec::new(),
        };
        let parse = |name: &str, text: &str| {
            text.parse().map_err(|message| ClientError::Usage(format!("{name} {message}")))
        };
        refuse_clusters(&[
            ("--kube-context", flags.kube_context.is_some()),
            ("--namespace", flags.namespace.is_some()),
        ])?;
        #[cfg(feature = "cluster")]
        if let Some(name) = &flags.kube_context {
            let cluster = ClusterTarget::new(name, flags.namespace.as_deref(), TargetOrigin::Flag)?;
            return Ok(Self::Cluster(cluster));
        }
        if let Some(url) = &flags.server {
            return Ok(Self::Http(plain(parse("--server", url)?, TargetOrigin::Flag)));
        }
        if let (None, Some(url)) = (&flags.context, &environment.server) {
            let url = parse(VARIABLE, &url.to_string_lossy())?;
            return Ok(Self::Http(plain(url, TargetOrigin::Environment)));
        }
        let file = ContextFile::read(environment.context_file.as_deref())?;
        let chosen = file.chosen(flags.context.as_deref())?;
        if flags.namespace.is_some() && chosen.is_none_or(|context| context.cluster.is_none()) {
            let message = "--namespace is for clusters: name one with --kube-context, or a context of one";
            return Err(ClientError::Usage(message.to_owned()));
        }
        match chosen {
            Some(context) => Self::of_context(flags, &file, context),
            None => Ok(Self::Http(plain(parse("the default", DEFAULT_URL)?, TargetOrigin::Default))),
        }
    }

    fn of_context(flags: &TargetArgs, file: &ContextFile, context: &Context) -> Result<Self, ClientError> {
        let origin = TargetOrigin::Context(context.name.clone());
        if let Some(cluster) = &context.cluster {
            return Self::of_cluster(flags, cluster, origin);
        }
        let wrong = |field: &str, message: String| {
            let path = file.path.as_deref().unwrap_or("the configuration".as_ref());
            ClientError::Usage(format!("{}: context {:?}: {field} {message}", path.display(), context.name))
        };
        let headers = context.headers.iter().map(|(name, value)| {
            let key = HeaderName::try_from(name.as_str())
                .map_err(|_| wrong("headers", format!("has a name that is none: {name:?}")))?;
            let mut value = HeaderValue::try_from(value.as_str())
                // The value may be a secret, and is not shown.
                .map_err(|_| wrong("headers", format!("has a value of {name} that no header can have")))?;
            value.set_sensitive(true);
            Ok((key, value))
        });
        // Relative to the file, as it may be read from any folder.
        let authority = context.certificate_authority.as_ref().map(|path| match &file.path {
            Some(file) => file.parent().unwrap_or(file).join(path),
            None => path.clone(),
        });
        let url = context.server.as_deref().unwrap_or_default();
        Ok(Self::Http(HttpTarget {
            url: url.parse().map_err(|message| wrong("server", message))?,
            origin,
            certificate_authority: flags.certificate_authority.clone().or(authority),
            is_authority_of_flag: flags.certificate_authority.is_some(),
            headers: headers.collect::<Result<_, ClientError>>()?,
        }))
    }

    #[cfg(feature = "cluster")]
    fn of_cluster(
        flags: &TargetArgs,
        cluster: &ClusterContext,
        origin: TargetOrigin,
    ) -> Result<Self, ClientError> {
        let namespace = flags.namespace.as_ref().or(cluster.namespace.as_ref());
        let target = ClusterTarget::new(&cluster.kube_context, namespace.map(String::as_str), origin)?;
        Ok(Self::Cluster(target))
    }

    #[cfg(not(feature = "cluster"))]
    fn of_cluster(_: &TargetArgs, cluster: &ClusterContext, _: TargetOrigin) -> Result<Self, ClientError> {
        let name = &cluster.kube_context;
        Err(ClientError::Usage(format!("the context is of the cluster {name:?}, and {WITHOUT_CLUSTERS}")))
    }

    /// The same server's listener for operators, where nobody said where that is.
    pub(crate) fn default_operators(&self) -> Option<Self> {
        match self {
            Self::Http(http) if http.origin == TargetOrigin::Default => {
                let url = DEFAULT_OPERATORS.parse().ok()?;
                Some(Self::Http(HttpTarget { url, ..http.clone() }))
            }
            Self::Http(_) => None,
            // It is that listener which is called.
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => None,
        }
    }

    /// The flags by which another command goes there, each with a space before it; none where it goes there anyway.
    pub(crate) fn flags(&self) -> String {
        let (origin, of_flag, more) = match self {
            Self::Http(http) => {
                let authority = http.certificate_authority.as_ref().filter(|_| http.is_authority_of_flag);
                let authority = authority.map(|path| quoted_if_needed(&path.to_string_lossy()));
                let more = authority.map(|path| format!(" --certificate-authority {path}"));
                (&http.origin, format!(" --server {}", http.url), more.unwrap_or_default())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let of_flag = format!(" --kube-context {}", quoted_if_needed(&cluster.kube_context));
                // A flag may have taken the place of the context's.
                (&cluster.origin, of_flag, format!(" -n {}", quoted_if_needed(&cluster.namespace)))
            }
        };
        let place = match origin {
            TargetOrigin::Flag => of_flag,
            TargetOrigin::Context(name) => format!(" --context {}", quoted_if_needed(name)),
            TargetOrigin::Environment | TargetOrigin::Default => String::new(),
        };
        place + &more
    }

    /// Name of the place, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Http(http) => http.url.to_string(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.name(),
        }
    }
}

/// Refuses the first of these flags that is given, where this program was built without clusters.
///
/// # Errors
/// With the flag.
pub(crate) fn refuse_clusters(flags: &[(&str, bool)]) -> Result<(), ClientError> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) if cfg!(not(feature = "cluster")) => {
            Err(ClientError::Usage(format!("{flag}: {WITHOUT_CLUSTERS}")))
        }
        Some(_) | None => Ok(()),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, flag) = match self {
            Self::Http(http) => (&http.origin, ""),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => (&cluster.origin, " (--kube-context)"),
        };
        let name = self.name();
        match origin {
            TargetOrigin::Flag => write!(out, "{name}{flag}"),
            TargetOrigin::Environment => write!(out, "{name} ({VARIABLE})"),
            TargetOrigin::Context(context) => write!(out, "{name} (context {context})"),
            TargetOrigin::Default => write!(out, "{name} (the default)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(server: Option<&str>, file: &str) -> (tempfile::TempDir, TargetEnvironment) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, file).unwrap();
        (folder, TargetEnvironment { server: server.map(OsString::from), context_file: Some(path) })
    }

    fn http(target: Target) -> HttpTarget {
        match target {
            Target::Http(http) => http,
            #[cfg(feature = "cluster")]
            Target::Cluster(cluster) => panic!("{}", cluster.name()),
        }
    }

    const CONTEXTS: &str = "currentContext: prod\ncontexts:\n\
        - {name: prod, server: 'https://prod', certificateAuthority: ca.pem, headers: {Authorization: Bearer x}}\n\
        - {name: lab, server: 'http://lab:1'}\n";

    #[test]
    fn flags_come_first_then_the_environment_then_the_context_in_force_then_this_machine() {
        let (_folder, all) = environment(Some("http://env:2"), CONTEXTS);
        let shown = |flags: TargetArgs, environment: &TargetEnvironment| {
            Target::resolve(&flags, environment).unwrap().to_string()
        };
        let server = TargetArgs { server: Some("http://flag:1".to_owned()), ..TargetArgs::default() };
        assert_eq!(shown(server, &all), "http://flag:1");
        let context = TargetArgs { context: Some("lab".to_owned()), ..TargetArgs::default() };
        assert_eq!(shown(context, &all), "http://lab:1 (context lab)");
        assert_eq!(shown(TargetArgs::default(), &all), "http://env:2 (PICOFAAS_SERVER)");
        let (_folder, file) = environment(None, CONTEXTS);
        assert_eq!(shown(TargetArgs::default(), &file), "https://prod (context prod)");
        let nothing = TargetEnvironment::default();
        assert_eq!(shown(TargetArgs::default(), &nothing), "http://127.0.0.1:8080 (the default)");
    }

    #[test]
    fn a_context_has_its_authority_beside_its_file_and_its_headers_which_no_other_target_gets() {
        let (folder, file) = environment(None, CONTEXTS);
        let target = http(Target::resolve(&TargetArgs::default(), &file).unwrap());
        assert_eq!(target.certificate_authority, Some(folder.path().join("ca.pem")));
        assert_eq!(target.headers.len(), 1);
        assert!(target.headers[0].1.is_sensitive());
        let flags = TargetArgs { server: Some("http://flag:1".to_owned()), ..TargetArgs::default() };
        let target = http(Target::resolve(&flags, &file).unwrap());
        assert_eq!((target.headers.len(), target.certificate_authority), (0, None));
    }

    #[test]
    fn a_context_with_a_fault_is_refused_with_file_name_and_field_and_without_the_secret() {
        for (context, part) in [
            ("{name: a, server: a}", "context \"a\": server \"a\" must begin with http://"),
            (
                "{name: a, server: 'http://a', headers: {'x y': b}}",
                "headers has a name that is none: \"x y\"",
            ),
            (
                "{name: a, server: 'http://a', headers: {b: \"s3\\ncret\"}}",
                "headers has a value of b that no",
            ),
        ] {
            let (_folder, file) = environment(None, &format!("currentContext: a\ncontexts: [{context}]\n"));
            let message = Target::resolve(&TargetArgs::default(), &file).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains("cret"), "{message}");
        }
    }

    #[test]
    fn the_flags_of_another_command_are_those_without_which_it_goes_elsewhere_or_trusts_nobody() {
        let (_folder, file) = environment(Some("https://env"), CONTEXTS);
        let flags = |flags: TargetArgs| Target::resolve(&flags, &file).unwrap().flags();
        let authority = || Some("my ca.pem".into());
        assert_eq!(flags(TargetArgs::default()), "");
        let context = Some("prod".to_owned());
        assert_eq!(
            flags(TargetArgs { context: context.clone(), ..TargetArgs::default() }),
            " --context prod"
        );
        let given = TargetArgs { context, certificate_authority: authority(), ..TargetArgs::default() };
        assert_eq!(flags(given), " --context prod --certificate-authority 'my ca.pem'");
        let given = TargetArgs { certificate_authority: authority(), ..TargetArgs::default() };
        assert_eq!(flags(given.clone()), " --certificate-authority 'my ca.pem'");
        let given = TargetArgs { server: Some("https://a".to_owned()), ..given };
        assert_eq!(flags(given), " --server https://a --certificate-authority 'my ca.pem'");
    }
}
