// The real encoders, answering one request after the other on standard input.
//
// Request: kind byte, level int8, count u32, then `count` write lengths u32 (the last write takes the rest; none: one
// write), then length u32 and the bytes. Answer: length u32 and the bytes. All numbers little endian.
// Kinds: 'g' gzip with those writes; 't' the same for a tar that a tar writer makes of the entries (the bytes are the
// contents of one file per write), answered with the tar first, then the gzip; 'p' pgzip and 'k' klauspost's gzip, with
// those writes.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	number := func() uint32 {
		var n uint32
		must(binary.Read(in, binary.LittleEndian, &n))
		return n
	}
	for {
		kind, err := in.ReadByte()
		if err == io.EOF {
			return
		}
		must(err)
		level, err := in.ReadByte()
		must(err)
		cuts := make([]int, number())
		for i := range cuts {
			cuts[i] = int(number())
		}
		plain := make([]byte, number())
		_, err = io.ReadFull(in, plain)
		must(err)
		var answers [][]byte
		switch kind {
		case 'g', 'p', 'k':
			answers = [][]byte{pieces(kind, int(int8(level)), plain, cuts)}
		case 't':
			made, zipped := layer(int8(level), plain, cuts)
			answers = [][]byte{made, zipped}
		default:
			must(fmt.Errorf("no such request: %q", kind))
		}
		for _, answer := range answers {
			must(binary.Write(out, binary.LittleEndian, uint32(len(answer))))
			_, err = out.Write(answer)
			must(err)
		}
		must(out.Flush())
	}
}

// others are encoders that are not part of Go; others.go adds them where their sources are.
var others = map[byte]func(io.Writer, int) (io.WriteCloser, error){}

func pieces(kind byte, level int, plain []byte, cuts []int) []byte {
	var zipped bytes.Buffer
	var w io.WriteCloser
	var err error
	if kind == 'g' {
		w, err = gzip.NewWriterLevel(&zipped, level)
	} else {
		w, err = others[kind](&zipped, level)
	}
	must(err)
	for _, cut := range cuts {
		cut = min(cut, len(plain))
		_, err = w.Write(plain[:cut])
		must(err)
		plain = plain[cut:]
	}
	_, err = w.Write(plain)
	must(err)
	must(w.Close())
	return zipped.Bytes()
}

// layer writes as builders of images do: a tar writer straight into a gzip writer, contents copied in by io.Copy.
func layer(level int8, plain []byte, cuts []int) (made, zipped []byte) {
	var tarred, compressed bytes.Buffer
	z, err := gzip.NewWriterLevel(&compressed, int(level))
	must(err)
	w := tar.NewWriter(io.MultiWriter(z, &tarred))
	entry := func(i int, content []byte) {
		header := &tar.Header{Name: fmt.Sprintf("usr/share/entry-%d", i), Mode: 0o644, Size: int64(len(content))}
		if i%5 == 4 {
			// Long enough for an extended header.
			header.Name = fmt.Sprintf("usr/%0200d/%d", i, i)
			header.PAXRecords = map[string]string{"SCHILY.xattr.user.note": "x"}
		}
		must(w.WriteHeader(header))
		_, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(content)})
		must(err)
	}
	for i, cut := range cuts {
		cut = min(cut, len(plain))
		entry(i, plain[:cut])
		plain = plain[cut:]
	}
	entry(len(cuts), plain)
	must(w.Close())
	must(z.Close())
	return tarred.Bytes(), compressed.Bytes()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
