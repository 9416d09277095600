// Segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	segship "github.com/segship/segship/languages/go"
)

const maxPixels = 100_000_000

func main() {
	if len(os.Args) != 4 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go PACKAGE IMAGE.ppm MASK.pgm [SCORES]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func run(arguments []string) error {
	image, err := readPPM(arguments[1])
	if err != nil {
		return err
	}
	segmentor, err := segship.Open(arguments[0], nil)
	if err != nil {
		return err
	}
	defer segmentor.Close()
	mask, err := segmentor.Mask(image)
	if err != nil {
		return err
	}
	if err := write(arguments[2], pgm(mask)); err != nil || len(arguments) == 3 {
		return err
	}
	scores, err := segmentor.Scores(image)
	if err != nil {
		return err
	}
	var data bytes.Buffer
	if err := binary.Write(&data, binary.LittleEndian, scores); err != nil {
		return err
	}
	return write(arguments[3], data.Bytes())
}

func readPPM(path string) (image segship.Image, err error) {
	opened, err := os.Open(path)
	if err != nil {
		return image, fmt.Errorf("cannot read %s: %s", path, reason(err))
	}
	defer opened.Close()
	file := bufio.NewReader(opened)
	magic := make([]byte, 2)
	if count, err := io.ReadFull(file, magic); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return image, fmt.Errorf("cannot read %s: %s", path, reason(err))
	} else if count == 0 {
		return image, fmt.Errorf("%s is empty: expected a binary PPM (P6) of 8 bits", path)
	}
	width, height, most := number(file), number(file), number(file)
	if string(magic) != "P6" || width < 1 || height < 1 || most != 255 {
		return image, fmt.Errorf("%s is not an image of a known format: expected a binary PPM (P6) of 8 bits", path)
	}
	if width > maxPixels/height {
		return image, huge(path, width, height)
	}
	pixels := make([]byte, width*height*3)
	if _, err := io.ReadFull(file, pixels); err != nil {
		return image, fmt.Errorf("%s cannot be decoded: the PPM file is cut off or damaged; save or copy it again", path)
	}
	return segship.RGB(pixels, height, width), nil
}

// huge tells in millions, where these tell the image from the limit.
func huge(path string, width, height int) error {
	pixels := float64(width) * float64(height)
	found, limit := fmt.Sprintf("%.0f million", pixels/1e6), "100 million"
	if pixels <= 100.5e6 {
		count := int(pixels)
		found = fmt.Sprintf("%d,%03d,%03d", count/1_000_000, count/1000%1000, count%1000)
		limit = "100,000,000"
	}
	return fmt.Errorf("%s is too large: %dx%d pixels are %s, the limit is %s; shrink it or raise the limit", path, width,
		height, found, limit)
}

// number is the next one of a header, with the byte behind it; -1: there is none.
func number(file *bufio.Reader) int {
	next, err := file.ReadByte()
	for err == nil && (isSpace(next) || next == '#') {
		if next == '#' {
			_, err = file.ReadBytes('\n')
		}
		if err == nil {
			next, err = file.ReadByte()
		}
	}
	found, digits := 0, 0
	for ; err == nil && next >= '0' && next <= '9' && found < 1_000_000_000; digits++ {
		found = found*10 + int(next-'0')
		next, err = file.ReadByte()
	}
	if err != nil || digits == 0 || !isSpace(next) {
		return -1
	}
	return found
}

func isSpace(next byte) bool { return next == ' ' || next == '\t' || next == '\r' || next == '\n' }

func pgm(mask *segship.Mask) []byte {
	if mask.Labels != nil {
		return append([]byte(fmt.Sprintf("P5\n%d %d\n255\n", mask.Width, mask.Height)), mask.Labels...)
	}
	file := bytes.NewBufferString(fmt.Sprintf("P5\n%d %d\n65535\n", mask.Width, mask.Height))
	for _, label := range mask.Wide {
		file.Write([]byte{byte(label >> 8), byte(label)})
	}
	return file.Bytes()
}

func write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o666); err != nil {
		return fmt.Errorf("cannot write %s: %s", path, reason(err))
	}
	return nil
}

func reason(err error) string {
	var number syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	case errors.As(err, &number): // as C tells it, with a capital
		told := number.Error()
		return strings.ToUpper(told[:1]) + told[1:]
	}
	return err.Error()
}
