package segship

import (
	"bytes"
	"errors"
	"image"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

const height, width = 61, 83

func vectors(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("SEGSHIP_VECTORS")
	if root == "" {
		root = "../../spec/vectors"
	}
	return filepath.Join(root, name)
}

func tail(t *testing.T, name string, count int) []byte {
	t.Helper()
	data, err := os.ReadFile(vectors(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data[len(data)-count:]
}

func TestOneImageInEveryFormManyAtOnce(t *testing.T) {
	pixels := tail(t, "images/61x83x3_uint8.ppm", height*width*3)
	labels := tail(t, "packages/whole.mask.pgm", height*width)
	segmentor, err := Open(vectors(t, "packages/whole"), &Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(segmentor.Classes) != 19 || segmentor.Classes[3] != "class 3" || segmentor.Colors[0].R != 128 {
		t.Error(segmentor.Classes, segmentor.Colors)
	}
	turned := make([]byte, len(pixels))
	rgba := image.NewNRGBA(image.Rect(0, 0, width, height))
	for pixel := 0; pixel < height*width; pixel++ {
		for channel := 0; channel < 3; channel++ {
			turned[3*pixel+channel] = pixels[3*pixel+2-channel]
			rgba.Pix[4*pixel+channel] = pixels[3*pixel+channel]
		}
	}
	wide := image.NewNRGBA(image.Rect(0, 0, width+5, height))
	for row := 0; row < height; row++ {
		copy(wide.Pix[row*wide.Stride:], rgba.Pix[row*rgba.Stride:(row+1)*rgba.Stride])
	}
	bgr := RGB(turned, height, width)
	bgr.BGR = true
	forms := []Image{RGB(pixels, height, width), bgr, FromImage(rgba), FromImage(wide.SubImage(rgba.Rect))}
	var all sync.WaitGroup
	for _, form := range append(forms, forms...) {
		all.Add(1)
		go func(form Image) {
			defer all.Done()
			if mask, err := segmentor.Mask(form); err != nil || !bytes.Equal(mask.Labels, labels) {
				t.Error("another mask", err)
			}
		}(form)
	}
	all.Wait()
	scores, err := segmentor.Scores(forms[0])
	if err != nil || len(scores) != 19*height*width {
		t.Error(len(scores), err)
	}
	mask := &Mask{Height: height, Width: width, Labels: labels}
	if picture, err := segmentor.Overlay(forms[0], mask, 0); err != nil || !bytes.Equal(picture, pixels) {
		t.Error("another picture", err)
	}
	segmentor.Close()
	segmentor.Close()
	if _, err := segmentor.Mask(forms[0]); err == nil {
		t.Error("closed, and runs")
	}
}

func TestMistakesHaveAKindAndAMessage(t *testing.T) {
	var failed *Error
	if _, err := Open("nowhere", nil); !errors.As(err, &failed) || failed.Kind != PackageError {
		t.Error(err)
	}
	segmentor, err := Open(vectors(t, "packages/whole"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer segmentor.Close()
	for _, wrong := range []Image{{}, RGB(nil, 3, 3), RGB(make([]byte, 26), 3, 3), RGB(make([]byte, 27), -3, -3)} {
		if _, err := segmentor.Mask(wrong); !errors.As(err, &failed) || failed.Kind != InputError {
			t.Error(err)
		}
	}
}
