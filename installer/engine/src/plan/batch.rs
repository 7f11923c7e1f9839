//! What of a step goes to its host together: connection and shell cost more than most changes.

use std::ops::Range;

use super::Step;
use crate::action::{Action, Content, Part, Way, script};

/// The longest script, in bytes: half of what a host takes.
pub(super) const LARGEST: usize = 32 << 10;
/// The most that one script fetches from the registry, in bytes: how far it has come shows only at its end.
const FETCHED: u64 = 96 << 20;
/// What takes longer, in seconds, stands alone, for the same reason.
const QUICK: u64 = 120;
/// As long, in seconds, a script may take as a whole, unless one of its actions may by itself.
const TOGETHER: u64 = 600;

/// Something that is done to a host at one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// One script sees to these actions of the step.
    Script(Range<usize>),
    /// This action of the step needs more than a script.
    Transfer(usize),
}

/// How a step is cut. It depends on nothing but what the step is to do: so what will run can be shown beforehand.
#[must_use]
pub fn batches(step: &Step) -> Vec<Batch> {
    let mut list: Vec<Batch> = Vec::new();
    let mut room = Room::default();
    for (n, planned) in step.actions.iter().enumerate() {
        let action = &planned.action;
        let Some(part) = action.part().filter(|_| action.way() == Way::Script) else {
            list.push(Batch::Transfer(n));
            continue;
        };
        match list.last_mut() {
            Some(Batch::Script(range)) if room.takes(action, &part) => range.end = n + 1,
            _ => {
                list.push(Batch::Script(n..n + 1));
                room = Room::with(action, &part);
            }
        }
    }
    list
}

/// How much is in the script that is being put together.
#[derive(Default)]
struct Room {
    length: usize,
    fetched: u64,
    alone: bool,
}

impl Room {
    fn with(action: &Action, part: &Part) -> Self {
        Self { length: script(std::slice::from_ref(part)).len(), fetched: fetched(action), alone: is_slow(action) }
    }

    /// Whether it takes one more; if so, it has.
    fn takes(&mut self, action: &Action, part: &Part) -> bool {
        let with = Self::with(action, part);
        let (length, fetched) = (self.length + with.length - script(&[]).len(), self.fetched + with.fetched);
        let takes = !self.alone && !with.alone && length <= LARGEST && fetched <= FETCHED;
        if takes {
            (self.length, self.fetched) = (length, fetched);
        }
        takes
    }
}

fn fetched(action: &Action) -> u64 {
    match action {
        Action::File(file) if matches!(file.content, Content::Fetched { .. }) => file.content.size(),
        _ => 0,
    }
}

fn is_slow(action: &Action) -> bool {
    matches!(action, Action::Run(run) if run.seconds > QUICK)
}

/// How many seconds a script of these actions may take before it is given up.
#[must_use]
pub fn deadline<'a>(actions: impl IntoIterator<Item = &'a Action>) -> u64 {
    let (mut sum, mut longest) = (0, 0);
    for action in actions {
        sum += action.deadline();
        longest = longest.max(action.deadline());
    }
    sum.min(longest.max(TOGETHER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{File, Push, Run, Subject};
    use ferry_bundle_format::Digest;

    fn text(n: usize) -> Action {
        Action::File(File::text(format!("/etc/{n}"), "x"))
    }

    fn fetched_file(size: u64) -> Action {
        let content = Content::Fetched { url: "https://r/x".into(), digest: Digest::of(b""), size };
        Action::File(File { content, ..File::text("/usr/bin/x", "") })
    }

    fn cut(actions: Vec<Action>) -> Vec<Batch> {
        batches(&Step::new("a.b", "one", "t", actions))
    }

    #[test]
    fn quick_changes_go_together_and_slow_ones_alone() {
        let slow = Action::Run(Run::unless("pull", Subject::Image, "q", "c").within(900));
        let push = Action::Push(Push { server: "r".into(), port: 1, images: vec![], files: vec![], bytes: 0 });
        assert_eq!(cut(vec![text(0), text(1), text(2)]), [Batch::Script(0..3)]);
        assert_eq!(
            cut(vec![text(0), slow.clone(), slow, text(3), text(4)]),
            [Batch::Script(0..1), Batch::Script(1..2), Batch::Script(2..3), Batch::Script(3..5)]
        );
        assert_eq!(cut(vec![text(0), push, text(2)]), [Batch::Script(0..1), Batch::Transfer(1), Batch::Script(2..3)]);
        assert_eq!(cut(vec![]), []);
    }

    #[test]
    fn scripts_and_downloads_stay_below_their_limits() {
        let many = cut((0..200).map(text).collect());
        assert!(many.len() > 2);
        for batch in &many {
            let Batch::Script(range) = batch else { panic!("{batch:?}") };
            let parts: Vec<Part> = range.clone().filter_map(|n| text(n).part()).collect();
            assert!(script(&parts).len() <= LARGEST && parts.len() > 5, "{}", parts.len());
        }
        let large = FETCHED / 2 + 1;
        assert_eq!(
            cut(vec![fetched_file(large), fetched_file(large), fetched_file(1)]),
            [Batch::Script(0..1), Batch::Script(1..3)]
        );
        assert_eq!(deadline(&[text(0), text(1)]), 240);
        assert_eq!(deadline(&(0..50).map(text).collect::<Vec<_>>()), TOGETHER);
        let waits = Action::Run(Run::unless("w", Subject::Wait, "q", "c").within(3600));
        assert_eq!(deadline(&[waits]), 3600);
    }
}
