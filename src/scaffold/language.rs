//! The languages of functions, and the templates of each.

/// Language of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// With the crate `picofaas-runtime`.
    Rust,
    /// With the package `picofaas-runtime`.
    Python,
    /// With the library `picofaas-runtime`.
    Java,
    /// A script behind the watchdog.
    Shell,
}

/// A file of a scaffold: where it lies in the new folder, and what it holds. Both have blanks.
#[derive(Debug)]
pub struct Template {
    pub path: &'static str,
    pub text: &'static str,
}

macro_rules! template {
    ($path:literal, $file:literal) => {
        Template { path: $path, text: include_str!(concat!("templates/", $file, ".in")) }
    };
}

const RUST: [Template; 7] = [
    template!("function.yaml", "rust/function.yaml"),
    template!("src/main.rs", "rust/src/main.rs"),
    template!("Cargo.toml", "rust/Cargo.toml"),
    template!("Dockerfile", "rust/Dockerfile"),
    template!(".dockerignore", "rust/dockerignore"),
    template!("README.md", "rust/README.md"),
    template!(".gitignore", "rust/gitignore"),
];

const PYTHON: [Template; 9] = [
    template!("function.yaml", "python/function.yaml"),
    template!("app.py", "python/app.py"),
    template!("test_app.py", "python/test_app.py"),
    template!("requirements.txt", "python/requirements.txt"),
    template!("prepare.sh", "python/prepare.sh"),
    template!("Dockerfile", "python/Dockerfile"),
    template!(".dockerignore", "python/dockerignore"),
    template!("README.md", "python/README.md"),
    template!(".gitignore", "python/gitignore"),
];

const JAVA: [Template; 10] = [
    template!("function.yaml", "java/function.yaml"),
    template!("src/main/java/functions/{{class}}.java", "java/src/main/java/Function.java"),
    template!("src/test/java/functions/{{class}}Test.java", "java/src/test/java/FunctionTest.java"),
    template!(
        "src/main/resources/META-INF/services/dev.picofaas.runtime.FunctionHandler",
        "java/src/main/resources/FunctionHandler"
    ),
    template!(".mvn/jvm.config", "java/jvm.config"),
    template!("pom.xml", "java/pom.xml"),
    template!("Dockerfile", "java/Dockerfile"),
    template!(".dockerignore", "java/dockerignore"),
    template!("README.md", "java/README.md"),
    template!(".gitignore", "java/gitignore"),
];

const SHELL: [Template; 7] = [
    template!("function.yaml", "shell/function.yaml"),
    template!("function.sh", "shell/function.sh"),
    template!("test.sh", "shell/test.sh"),
    template!("Dockerfile", "shell/Dockerfile"),
    template!(".dockerignore", "shell/dockerignore"),
    template!("README.md", "shell/README.md"),
    template!(".gitignore", "shell/gitignore"),
];

impl Language {
    /// Name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Java => "Java",
            Self::Shell => "shell",
        }
    }

    /// A file that every function in the language has in its folder, and none in another with a runtime; none where
    /// there is no runtime to have.
    #[must_use]
    pub fn mark(self) -> Option<&'static str> {
        match self {
            Self::Rust => Some("Cargo.toml"),
            Self::Python => Some("requirements.txt"),
            Self::Java => Some("pom.xml"),
            Self::Shell => None,
        }
    }

    /// The command that runs the function's test, in its folder.
    #[must_use]
    pub fn test(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Python => "PYTHONPATH=vendor/picofaas-runtime/src python3 -m unittest",
            Self::Java => "mvn --quiet test",
            Self::Shell => "./test.sh",
        }
    }

    /// In the order in which a person reads them.
    pub fn templates(self) -> &'static [Template] {
        match self {
            Self::Rust => &RUST,
            Self::Python => &PYTHON,
            Self::Java => &JAVA,
            Self::Shell => &SHELL,
        }
    }
}
