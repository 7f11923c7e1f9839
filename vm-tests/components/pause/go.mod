// The pause program of the test bed, with nothing but the standard library.
module ferry.dev/vm-tests/pause

go 1.25.0
