//! The table of the size benchmark, in Markdown: a line for each layer, the sums by what is in them, and what was asked for.

use super::{Figures, Kind};

/// The most that a compact bundle may take of the gzip sum, in percent.
pub const FULL_GOAL: u64 = 75;

/// The most that an upgrade package may take of the changed layers' gzip sum, in percent.
pub const CHANGED_GOAL: u64 = 15;

/// Lines as they come, sums at the end.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(String, Kind, Figures)>,
}

impl Table {
    /// The head.
    #[must_use]
    pub fn head() -> &'static str {
        "| layer | plain MB | gzip MB | compact MB | of gzip | upgrade MB | of gzip | make; against the older; again, s |\n\
         |---|---|---|---|---|---|---|---|"
    }

    /// Takes a layer; its line.
    pub fn add(&mut self, name: &str, kind: Kind, figures: Figures) -> String {
        self.rows.push((name.to_owned(), kind, figures));
        line(name, &figures)
    }

    /// The sums: by kind where there are several, and of everything.
    #[must_use]
    pub fn sums(&self) -> String {
        let mut text = String::new();
        for (kind, name) in [(Kind::Debian, "all of Debian"), (Kind::Go, "all of Go")] {
            let of = self.rows.iter().filter(|row| row.1 == kind);
            if of.clone().count() > 1 {
                text.push_str(&format!("{}\n", line(name, &sum(of.map(|row| &row.2)))));
            }
        }
        let all = sum(self.rows.iter().map(|row| &row.2));
        let verdict = |part: u64, goal: u64| if part * 100 <= all.gzip * goal { "met" } else { "MISSED" };
        text.push_str(&format!(
            "{}\n\ncompact: {} of the gzip sum; at most {FULL_GOAL} % is asked for: {}\nupgrade: {} of the changed layers' gzip; at most \
             {CHANGED_GOAL} % is asked for: {}",
            line("all", &all),
            part(all.full, all.gzip),
            verdict(all.full, FULL_GOAL),
            part(all.upgrade, all.gzip),
            verdict(all.upgrade, CHANGED_GOAL),
        ));
        text
    }
}

fn sum<'a>(rows: impl Iterator<Item = &'a Figures>) -> Figures {
    rows.fold(Figures::default(), |sum, row| Figures {
        plain: sum.plain + row.plain,
        gzip: sum.gzip + row.gzip,
        full: sum.full + row.full,
        upgrade: sum.upgrade + row.upgrade,
        making: sum.making + row.making,
        making_upgrade: sum.making_upgrade + row.making_upgrade,
        again: sum.again + row.again,
    })
}

fn line(name: &str, of: &Figures) -> String {
    let mega = |bytes: u64| format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000);
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {:.1}; {:.1}; {:.1} |",
        mega(of.plain),
        mega(of.gzip),
        mega(of.full),
        part(of.full, of.gzip),
        mega(of.upgrade),
        part(of.upgrade, of.gzip),
        of.making,
        of.making_upgrade,
        of.again
    )
}

fn part(of: u64, whole: u64) -> String {
    let tenths = u128::from(of) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}
