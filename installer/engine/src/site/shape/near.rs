//! What somebody who misspelt a word has probably meant.

/// How many letters have to be put in, taken out or changed (Levenshtein).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The one of `words` that `word` is probably meant to be: the same but for case, `-` and `_`, or with few other letters.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain =
        |text: &str| text.chars().filter(|c| !"-_ ".contains(*c)).flat_map(char::to_lowercase).collect::<String>();
    // The work grows with the square of the length, and no word of ours is long.
    let word = plain(&word.chars().take(80).collect::<String>());
    let far = |one: &&str| distance(&plain(one), &word);
    let found = words.into_iter().min_by_key(far)?;
    let near = far(&found) <= (found.len() / 3).clamp(1, 3) && !word.is_empty();
    near.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")), (3, 2, 0));
    }

    #[test]
    fn the_nearest_word_is_found_if_it_is_near() {
        let keys = ["hosts", "internalAddress", "podCIDR", "ssh", "etcd"];
        for (word, meant) in [
            ("host", Some("hosts")),
            ("internal_address", Some("internalAddress")),
            ("podCidr", Some("podCIDR")),
            ("shs", None),
            ("sshd", Some("ssh")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
    }
}
