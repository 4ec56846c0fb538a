//! Files of values, such as `.env`: a line for each, `NAME=VALUE`.
//!
//! | written | is |
//! |---|---|
//! | `NAME=text` | the text without the blanks around it, up to a ` #` |
//! | `NAME='text'` | the text as it stands, over several lines, too |
//! | `NAME="text"` | the same, with `\n`, `\t`, `\"` and `\\` |
//! | `export NAME=…` | as without `export` |
//!
//! Nothing is expanded in a value, as in a manifest. `object.key=…` is the value of one key of a secret or
//! config map.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Names and values in the order of a file.
pub(crate) type EnvFile = Vec<(String, String)>;

/// Reads a regular file of values. Never waits, as for the writer of a pipe.
///
/// # Errors
/// A sentence with the file, and the line where one is wrong. `None` where the file is not there.
pub(crate) fn read(path: &Path) -> Option<Result<EnvFile, String>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    read_opened(path, options.open(path), |file| match file.metadata()? {
        metadata if metadata.is_file() => Ok(()),
        _ => Err(io::Error::other("it is no regular file")),
    })
}

/// Reads a file of values of any kind, once: a pipe is waited for, and empty the next time.
///
/// # Errors
/// As those of [`read`].
pub(crate) fn read_once(path: &Path) -> Option<Result<EnvFile, String>> {
    read_opened(path, File::open(path), |_| Ok(()))
}

fn read_opened(
    path: &Path,
    opened: io::Result<File>,
    check: impl FnOnce(&File) -> io::Result<()>,
) -> Option<Result<EnvFile, String>> {
    if matches!(&opened, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return None;
    }
    let read = opened.and_then(|file| {
        check(&file)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        Ok(text)
    });
    let path = path.display();
    Some(match read {
        Ok(text) if text.len() as u64 > FILE_BYTES_MAX => {
            Err(format!("{path}: must not be longer than {FILE_BYTES_MAX} bytes"))
        }
        Ok(text) => {
            parse(&text).map_err(|line| format!("{path}:{line}: must be NAME=VALUE, a comment or empty"))
        }
        Err(error) => Err(format!("{path}: cannot be read: {error}")),
    })
}

/// The values of a text, or the number of the first line that is none.
fn parse(text: &str) -> Result<EnvFile, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut values, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (first, following) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = following;
            continue;
        }
        let (name, _) = first.split_once('=').ok_or(line)?;
        let value = &rest[name.len() + 1..];
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start);
        if !is_name(name) {
            return Err(line);
        }
        let (value, after) = value_at(value.trim_start_matches([' ', '\t'])).ok_or(line)?;
        values.push((name.to_owned(), value));
        rest = after;
    }
    Ok(values)
}

/// The value at the beginning of a text, and what comes after its line.
fn value_at(text: &str) -> Option<(String, &str)> {
    let mut characters = text.char_indices();
    let quote = match characters.next() {
        Some((_, quote @ ('"' | '\''))) => quote,
        Some(_) | None => return Some(plain(text)),
    };
    let mut value = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            end if end == quote => {
                let (tail, after) = text[at + 1..].split_once('\n').unwrap_or((&text[at + 1..], ""));
                let tail = tail.trim();
                return (tail.is_empty() || tail.starts_with('#')).then_some((value, after));
            }
            character => value.push(character),
        }
    }
    None
}

fn plain(text: &str) -> (String, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let comment = if line.starts_with('#') { Some(0) } else { line.find(" #").or_else(|| line.find("\t#")) };
    (line[..comment.unwrap_or(line.len())].trim().to_owned(), after)
}

/// Whether a name is one of a variable, or of a key of an object.
fn is_name(name: &str) -> bool {
    let made_of = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.bytes().all(made_of)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_text(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|line| panic!("line {line} of {text}"))
    }

    #[test]
    fn each_way_to_write_a_value_is_read_and_nothing_in_it_is_expanded() {
        for (written, value) in [
            ("A=b", "b"),
            ("A= b c \t", "b c"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=", ""),
            ("A=#x", ""),
            ("export A=b", "b"),
            (" A =b\r", "b"),
            ("A=$HOME `x` \\n", "$HOME `x` \\n"),
            ("A='b # \"c\" \\n'", "b # \"c\" \\n"),
            ("A='two\nlines'  # end", "two\nlines"),
            ("A=\"b\\n\\\"c\\\"\\\\ \\d\"", "b\n\"c\"\\ \\d"),
            ("A==b=", "=b="),
        ] {
            assert_eq!(read_text(written), [("A".to_owned(), value.to_owned())], "{written}");
        }
        let text = "\u{feff}# first\n\nA='x\ny'\n  # c\nlogin.tls.crt=z\nA=2";
        let names: Vec<_> =
            read_text(text).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(names, ["A=x\ny", "login.tls.crt=z", "A=2"]);
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number() {
        for (text, line) in [
            ("A=1\nB", 2),
            ("=1", 1),
            ("A='\n\n'\nA B=1", 4),
            ("A='open\nB=2", 1),
            ("A=\"open", 1),
            ("\nA='x' y", 2),
            ("é=1", 1),
        ] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_none_and_one_that_cannot_be_read_says_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join(".env")).is_none());
        let error = read(folder.path()).unwrap().unwrap_err();
        assert!(error.contains("cannot be read"), "{error}");
        let file = folder.path().join("values");
        fs::write(&file, "A=1\nB\n").unwrap();
        let error = read(&file).unwrap().unwrap_err();
        assert!(error.ends_with("values:2: must be NAME=VALUE, a comment or empty"), "{error}");
    }

    #[test]
    fn a_pipe_is_waited_for_where_it_is_read_once_and_refused_else() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = read(&pipe).unwrap().unwrap_err();
        assert!(error.ends_with("pipe: cannot be read: it is no regular file"), "{error}");
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, "A=1").unwrap()
        });
        assert_eq!(read_once(&pipe).unwrap().unwrap(), [("A".to_owned(), "1".to_owned())]);
        writer.join().unwrap();
        // A device without an end has no length either.
        let error = read_once(Path::new("/dev/zero")).unwrap().unwrap_err();
        assert!(error.ends_with("must not be longer than 4194304 bytes"), "{error}");
    }
}
