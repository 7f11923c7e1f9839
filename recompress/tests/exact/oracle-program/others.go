//go:build others

package main

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"
)

func init() {
	others['p'] = func(w io.Writer, level int) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, level) }
	others['k'] = func(w io.Writer, level int) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, level) }
}
