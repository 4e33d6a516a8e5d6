// Verifies a whole log with Go's own reading of transparency logs (golang.org/x/mod/sumdb): the checkpoint as a signed note,
// each tile against its root, each entry against its tile, and proofs out of the tiles.
//
//	tlog DIR VKEY
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(where string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", where, err)
	os.Exit(1)
}

// The bytes of a tile or bundle, from the partial file or, if that is gone, from the full one.
func read(dir, name string, width int) ([]byte, error) {
	if width < 256 {
		if data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s.p/%d", name, width))); err == nil {
			return data, nil
		}
	}
	return os.ReadFile(filepath.Join(dir, name))
}

// What Go names tile/8/LEVEL/N is tile/LEVEL/N here.
func name(t tlog.Tile, level string) string {
	t.W = 256
	full := strings.TrimPrefix(t.Path(), "tile/8/")
	return "tile/" + level + full[strings.Index(full, "/"):]
}

type tiles struct{ dir string }

func (tiles) Height() int                                { return 8 }
func (tiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
func (r tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range list {
		data, err := read(r.dir, name(t, strconv.Itoa(t.L)), t.W)
		if err != nil {
			return nil, err
		}
		if len(data) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("%s is cut short", t.Path())
		}
		out = append(out, data[:t.W*tlog.HashSize])
	}
	return out, nil
}

func checkpoint(dir, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		fail("vkey", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		fail("checkpoint", err)
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		fail("checkpoint", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		fail("checkpoint", fmt.Errorf("not origin, size and root: %q", opened.Text))
	}
	var tree tlog.Tree
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		fail("checkpoint", err)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || copy(tree.Hash[:], root) != tlog.HashSize {
		fail("checkpoint", fmt.Errorf("no root: %q", lines[2]))
	}
	return tree
}

func entries(dir string, n int64) [][]byte {
	var out [][]byte
	for at := int64(0); at < n; at += 256 {
		width := int(n - at)
		if width > 256 {
			width = 256
		}
		where := name(tlog.Tile{H: 8, L: 0, N: at / 256, W: 256}, "entries")
		data, err := read(dir, where, width)
		if err != nil {
			fail(where, err)
		}
		for i := 0; i < width; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				fail(where, fmt.Errorf("cut short"))
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			out, data = append(out, data[2:end]), data[end:]
		}
	}
	return out
}

func main() {
	dir, tree := os.Args[1], checkpoint(os.Args[1], os.Args[2])
	reader := tlog.TileHashReader(tree, tiles{dir})
	all := entries(dir, tree.N)
	for i, entry := range all {
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
		if err != nil {
			fail(fmt.Sprintf("entry %d", i), err)
		}
		leaf := tlog.RecordHash(entry)
		if hashes[0] != leaf {
			fail(fmt.Sprintf("entry %d", i), fmt.Errorf("not the one that was signed"))
		}
		if i%97 != 0 && int64(i) != tree.N-1 {
			continue
		}
		path, err := tlog.ProveRecord(tree.N, int64(i), reader)
		if err == nil {
			err = tlog.CheckRecord(path, tree.N, tree.Hash, int64(i), leaf)
		}
		if err != nil {
			fail(fmt.Sprintf("proof of entry %d", i), err)
		}
		older, err := tlog.TreeHash(int64(i)+1, reader)
		if err != nil {
			fail(fmt.Sprintf("tree of %d", i+1), err)
		}
		between, err := tlog.ProveTree(tree.N, int64(i)+1, reader)
		if err == nil {
			err = tlog.CheckTree(between, tree.N, tree.Hash, int64(i)+1, older)
		}
		if err != nil {
			fail(fmt.Sprintf("consistency with %d", i+1), err)
		}
	}
	fmt.Println(len(all))
}
