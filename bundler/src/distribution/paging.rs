//! Lists in pages: `n`, `last` and the `Link` to the next page.

use url::form_urlencoded;

use super::refusal::{Code, Refusal};

/// The most names a page holds when a size is asked for.
const MAX_PAGE: usize = 1000;

/// One page of names and the target of its `Link` header, if more follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) names: Vec<String>,
    pub(crate) next: Option<String>,
}

/// Cuts the page that `query` asks for out of `names`; without `n` everything after `last`.
pub(crate) fn page(path: &str, query: &str, mut names: Vec<String>) -> Result<Page, Refusal> {
    names.sort_unstable();
    if let Some(last) = parameter(query, "last") {
        names.retain(|name| *name > last);
    }
    let Some(n) = parameter(query, "n") else { return Ok(Page { names, next: None }) };
    let invalid = || Refusal::new(Code::PaginationNumberInvalid, format!("n={n:?} is not a number of names"));
    let n = n.parse::<usize>().map_err(|_| invalid())?.min(MAX_PAGE);
    let more = names.len() > n;
    names.truncate(n);
    let next = names.last().filter(|_| more).map(|last| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("n", &n.to_string())
            .append_pair("last", last)
            .finish();
        format!("{path}?{query}")
    });
    Ok(Page { names, next })
}

/// The first value of a query parameter.
pub(crate) fn parameter(query: &str, key: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_the_links_gives_each_name_once() {
        let names: Vec<String> = (0..25).map(|n| format!("team/app-{n:02}")).collect();
        let mut shuffled = names.clone();
        shuffled.reverse();
        let (mut seen, mut query) = (Vec::new(), "n=10".to_owned());
        loop {
            let page = page("/v2/_catalog", &query, shuffled.clone()).unwrap();
            assert!(page.names.len() <= 10);
            seen.extend(page.names);
            match page.next {
                Some(next) => query = next.split_once('?').unwrap().1.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, names);
    }

    #[test]
    fn edges() {
        let names = || vec!["b".to_owned(), "a".to_owned()];
        assert_eq!(page("/", "", names()).unwrap(), Page { names: vec!["a".into(), "b".into()], next: None });
        assert_eq!(page("/", "n=0", names()).unwrap(), Page { names: vec![], next: None });
        assert_eq!(page("/", "n=2", names()).unwrap().next, None);
        assert_eq!(page("/", "last=aa", names()).unwrap().names, ["b"]);
        assert_eq!(page("/", "n=-1", names()).unwrap_err().code(), Code::PaginationNumberInvalid);
    }
}
