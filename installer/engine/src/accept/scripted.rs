//! A host of tests that answers by matcher.
