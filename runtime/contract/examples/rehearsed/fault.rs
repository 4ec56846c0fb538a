//! Rules that are broken when a rehearsal asks for it.

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It opens for web pages.
    OpensForPages,
    OpensWithoutHost,
    /// It opens whatever the protocol is called.
    OpensAnything,
    /// One connection at a time speaks frames.
    OneConnection,
    /// The answer that opens has a length.
    LengthOfOpening,
    /// Answers wait for those to earlier attempts.
    AnswersInOrder,
    /// The first two answers are swapped.
    Swaps,
    /// More is sent than the gateway allows.
    IgnoresWindow,
    /// Nothing more of a body is allowed.
    NeverWidens,
    /// Of a body in pieces the first is forgotten.
    ForgetsPiece,
    /// A handler begins with the first piece of its body.
    RunsHalfBodies,
    /// One large answer is sent after the other.
    NoTurns,
    /// HTTP/1.1 waits until nobody speaks frames.
    KeepsHttpWaiting,
    /// A handler goes on when its connection is lost.
    KeepsLost,
    /// `CANCEL` is not looked at.
    IgnoresCancel,
    /// A cancelled attempt is stopped and not let go.
    KeepsCancelled,
    /// A frame for an attempt that is over ends the connection.
    StrictAboutLate,
    /// Frames that may be skipped are not.
    StrictAboutKinds,
    /// `PING` is not answered.
    NoSignOfLife,
    /// The gateway's silence is not noticed.
    Patient,
    /// It is noticed too early.
    Impatient,
    /// An idle connection is closed.
    DropsIdle,
    /// It closes without `GOAWAY`.
    NoGoAway,
    /// `GOAWAY` has another code.
    WrongCode,
    /// `GOAWAY` does not say what was accepted.
    WrongLast,
    /// Attempts after its `GOAWAY` are run.
    RunsAfterGoAway,
    /// It ends without answering.
    EndsAtOnce,
    /// A violation ends the process.
    DiesOfViolations,
    /// It says that it takes more than it does.
    TakesFewer,
    /// It takes more than it says.
    TakesMore,
    /// Each answer is said to be the first.
    AlwaysCold,
    /// Fields of a request are lost.
    LosesFields,
    /// No `100` comes.
    NoContinue,
    /// The `100` comes with the answer.
    LateContinue,
    /// The `100` comes twice.
    TwoContinues,
    /// An expectation in other letters is none.
    PickyAboutLetters,
    /// The `100` comes for every request.
    ContinuesUnasked,
    /// The `100` comes for every expectation.
    ContinuesAnything,
    /// Nothing is told of ages.
    NoAges,
    /// It does not say that the `100` comes.
    NoAcknowledgement,
    /// The process is younger than the runtime in it.
    YoungProcess,
    /// Ages are in seconds.
    AgesInSeconds,
    /// Ages are those of the first time.
    StaleAges,
    /// The handler's age is that of the runtime.
    AgesOfTheRuntime,
    /// A standby takes a second invocation.
    ServesTwo,
    /// One that is refused uses a standby up.
    CountsRefused,
    /// The `100` comes for what is refused.
    ContinuesRefused,
    /// A standby does not see that its caller has gone.
    WaitsThoughClosed,
    /// A standby waits until its caller goes.
    WaitsForItsCaller,
    /// A standby ends with another code than 0.
    EndsBadly,
    /// A standby ends without what it has not written yet.
    LosesLastLine,
    /// The variable may say anything.
    TakesAnyStandby,
    /// An empty variable asks for a standby, too.
    TakesEmptyStandby,
}

impl Fault {
    const ALL: [Self; 53] = [
        Self::OpensForPages,
        Self::OpensWithoutHost,
        Self::OpensAnything,
        Self::OneConnection,
        Self::LengthOfOpening,
        Self::AnswersInOrder,
        Self::Swaps,
        Self::IgnoresWindow,
        Self::NeverWidens,
        Self::ForgetsPiece,
        Self::RunsHalfBodies,
        Self::NoTurns,
        Self::KeepsHttpWaiting,
        Self::KeepsLost,
        Self::IgnoresCancel,
        Self::KeepsCancelled,
        Self::StrictAboutLate,
        Self::StrictAboutKinds,
        Self::NoSignOfLife,
        Self::Patient,
        Self::Impatient,
        Self::DropsIdle,
        Self::NoGoAway,
        Self::WrongCode,
        Self::WrongLast,
        Self::RunsAfterGoAway,
        Self::EndsAtOnce,
        Self::DiesOfViolations,
        Self::TakesFewer,
        Self::TakesMore,
        Self::AlwaysCold,
        Self::LosesFields,
        Self::NoContinue,
        Self::LateContinue,
        Self::TwoContinues,
        Self::PickyAboutLetters,
        Self::ContinuesUnasked,
        Self::ContinuesAnything,
        Self::NoAges,
        Self::NoAcknowledgement,
        Self::YoungProcess,
        Self::AgesInSeconds,
        Self::StaleAges,
        Self::AgesOfTheRuntime,
        Self::ServesTwo,
        Self::CountsRefused,
        Self::ContinuesRefused,
        Self::WaitsThoughClosed,
        Self::WaitsForItsCaller,
        Self::EndsBadly,
        Self::LosesLastLine,
        Self::TakesAnyStandby,
        Self::TakesEmptyStandby,
    ];

    /// The one that `FAULT` names.
    pub(crate) fn from_environment() -> Option<Self> {
        let name = std::env::var("FAULT").ok().filter(|name| !name.is_empty())?;
        let named = Self::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
        Some(named.unwrap_or_else(|| panic!("there is no fault {name}")))
    }
}
