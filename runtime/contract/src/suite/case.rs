//! One promise of the contract, looked at from outside.

use super::subject::{Frames, Subject, Web};
use super::{warm, web};

/// A case; it panics where the promise is broken.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

/// The way to look.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Over HTTP/1.1, or without an invocation.
    Plain(fn(&Subject)),
    /// Over HTTP/1.1 and over frames, in the same way.
    Both(fn(&Subject, Transport)),
    /// Over frames.
    Frames(fn(&Subject)),
    /// At a function that speaks HTTP.
    Web(fn(&Subject)),
    /// The same over HTTP/1.1 and over frames.
    WebBoth(fn(&Subject, Transport)),
    /// At one that changes the protocol where it is asked to.
    Upgrade(fn(&Subject)),
}

/// The way in which invocations travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    Frames,
}

/// The mode of a runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Warm,
    /// The same with requests that are HTTP as it is.
    Web,
    Job,
}

/// A line of the results: a case over one transport.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    run: Run,
    transport: Transport,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Warm, Self::Web, Self::Job];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warm => "WARM",
            Self::Web => "WARM, web",
            Self::Job => "JOB",
        }
    }

    fn cases(self) -> &'static [Case] {
        match self {
            Self::Warm => warm::CASES,
            Self::Web => web::CASES,
            Self::Job => super::job::CASES,
        }
    }

    pub(crate) fn rows(self) -> Vec<Row> {
        self.cases().iter().flat_map(Case::rows).collect()
    }
}

impl Case {
    fn rows(&self) -> Vec<Row> {
        let transports: &[Transport] = match self.run {
            Run::Plain(_) | Run::Web(_) | Run::Upgrade(_) => &[Transport::Http],
            Run::Both(_) | Run::WebBoth(_) => &[Transport::Http, Transport::Frames],
            Run::Frames(_) => &[Transport::Frames],
        };
        let row = |transport: &Transport| Row {
            name: match transport {
                Transport::Http => self.name.to_owned(),
                Transport::Frames => format!("{}, frames", self.name),
            },
            run: self.run,
            transport: *transport,
        };
        transports.iter().map(row).collect()
    }
}

impl Row {
    /// Looks at a runtime. One that does not speak frames has to decline them, and one whose functions all take JSON
    /// has to refuse web requests.
    pub(crate) fn look_at(&self, subject: &Subject) {
        if self.transport == Transport::Frames && subject.behaviour.frames == Frames::Declined {
            subject.declined.get_or_init(|| warm::frames_are_declined(subject));
            return;
        }
        let is_web = matches!(self.run, Run::WebBoth(_));
        if is_web && self.transport == Transport::Frames && !subject.behaviour.web_in_frames {
            web::are_not_offered_in_frames(subject);
            return;
        }
        match self.run {
            Run::Plain(run) | Run::Frames(run) => run(subject),
            Run::Both(run) => run(subject, self.transport),
            Run::Web(run) => match subject.behaviour.web {
                Web::Always | Web::Served | Web::ServedWithoutUpgrades => run(subject),
                Web::Refused | Web::Unknown => web::are_refused_once(subject),
            },
            Run::WebBoth(run) => match subject.behaviour.web {
                Web::Always | Web::Served | Web::ServedWithoutUpgrades => run(subject, self.transport),
                Web::Refused | Web::Unknown => web::are_refused_once(subject),
            },
            Run::Upgrade(run) => match subject.behaviour.web {
                Web::Always | Web::Served => run(subject),
                Web::ServedWithoutUpgrades => web::upgrades_are_refused(subject),
                Web::Refused | Web::Unknown => web::are_refused_once(subject),
            },
        }
    }
}
