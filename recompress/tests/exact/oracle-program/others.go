//go:build others

package main

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"
)

func init() {
	others['p'] = func(w io.Writer) io.WriteCloser { return pgzip.NewWriter(w) }
	others['k'] = func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
}
