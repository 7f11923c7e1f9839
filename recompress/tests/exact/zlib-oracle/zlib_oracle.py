"""zlib as Python links it, answering as main.go does: kind byte, level, count of writes, their lengths, length, bytes.

Kinds: 'z' one call with a gzip frame by zlib; 'w' the given writes into one stream, framed by zlib; 'h' gzip.GzipFile,
whose header is Python's own; 'n' the program gzip, reading a file that holds the bytes.
"""
import gzip
import io
import struct
import subprocess
import sys
import tempfile
import zlib


def made(kind, level, cuts, plain):
    if kind == b"z":
        return zlib.compress(plain, level, wbits=31)
    if kind == b"w":
        stream, at, out = zlib.compressobj(level, wbits=31), 0, b""
        for cut in cuts:
            out += stream.compress(plain[at : at + cut])
            at += cut
        return out + stream.compress(plain[at:]) + stream.flush()
    if kind == b"h":
        out = io.BytesIO()
        with gzip.GzipFile("", "wb", level, out, mtime=0) as stream:
            stream.write(plain)
        return out.getvalue()
    with tempfile.TemporaryFile() as file:
        file.write(plain)
        file.seek(0)
        return subprocess.run(["gzip", "-c", "-n", "-%d" % level], stdin=file, capture_output=True, check=True).stdout


def main():
    into, out = sys.stdin.buffer, sys.stdout.buffer
    while kind := into.read(1):
        level, count = struct.unpack("<bI", into.read(5))
        cuts = struct.unpack("<%dI" % count, into.read(4 * count))
        (length,) = struct.unpack("<I", into.read(4))
        answer = made(kind, level, cuts, into.read(length))
        out.write(struct.pack("<I", len(answer)) + answer)
        out.flush()


main()
