// Package segship runs packages of Segship: semantic segmentation, image in, mask out.
//
//	segmentor, err := segship.Open("package", nil)
//	if err != nil {
//		return err
//	}
//	defer segmentor.Close()
//	mask, err := segmentor.Mask(segship.RGB(pixels, height, width))
//	fmt.Println(segmentor.Classes[mask.At(0, 0)])
//
// It stands on the C library segship. Where its header or library are not found by themselves, say so by CGO_CFLAGS=-I…
// and CGO_LDFLAGS=-L….
package segship

/*
#cgo CFLAGS: -I${SRCDIR}/../../native/include
#cgo LDFLAGS: -lsegship
#include <segship/segship.h>
#include <stdlib.h>
#include <string.h>

// The message is taken in the call that fails: the next one may run on another thread of the system.
static segship_status told(segship_status status, char **message) {
	*message = status == SEGSHIP_OK ? NULL : strdup(segship_last_error());
	return status;
}

static segship_status open_package(const char *package, int32_t threads, int64_t max_pixels, const char *runtime,
                                   const char *device, segship_segmentor **segmentor, char **message) {
	segship_options options;
	segship_status status = segship_require(SEGSHIP_VERSION, sizeof(void *));
	if (status != SEGSHIP_OK) return told(status, message);
	segship_options_init(&options);
	options.threads = threads;
	options.max_pixels = max_pixels;
	options.runtime = runtime;
	options.device = device;
	return told(segship_open(package, &options, segmentor), message);
}

// The image's fields are given one by one: Go's memory may not hold pointers to itself when C sees it.
#define IMAGE const void *data, int64_t stride, int32_t height, int32_t width, int32_t channels, int32_t order, int32_t dtype
#define IMAGE_OF {data, stride, height, width, channels, order, dtype}

static segship_status mask_of(const segship_segmentor *segmentor, IMAGE, void *mask, size_t bytes, char **message) {
	segship_image image = IMAGE_OF;
	return told(segship_mask(segmentor, &image, mask, bytes), message);
}

static segship_status scores_of(const segship_segmentor *segmentor, IMAGE, void *scores, size_t bytes, char **message) {
	segship_image image = IMAGE_OF;
	return told(segship_scores(segmentor, &image, scores, bytes), message);
}

static segship_status overlay_of(const segship_segmentor *segmentor, IMAGE, const void *mask, size_t mask_bytes,
                                 double opacity, void *rgb, size_t bytes, char **message) {
	segship_image image = IMAGE_OF;
	return told(segship_overlay(segship_segmentor_spec(segmentor), &image, mask, mask_bytes, opacity, rgb, bytes), message);
}
*/
import "C"

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"runtime"
	"sync"
	"unsafe"
)

// Kind tells what kind of error it is; the same kinds as in Python.
type Kind int

const (
	// InputError: an image, buffer or argument cannot be used.
	InputError Kind = iota + 1
	// SizeError: the network cannot take what the image becomes.
	SizeError
	// PackageError: the package is damaged, incomplete, or newer than this library.
	PackageError
	// BackendError: the engine cannot be opened or run.
	BackendError
	// MissingError: the engine's library is not on this machine.
	MissingError
	// UnsupportedError: understood, but not provided.
	UnsupportedError
	// MemoryError: there is not enough memory.
	MemoryError
	// InternalError: a fault of the library.
	InternalError
)

// Error is what a user can mend: it says what was found, what was expected and what to do.
type Error struct {
	Kind    Kind
	Message string
}

func (err *Error) Error() string { return err.Message }

func check(status C.segship_status, message *C.char) error {
	if status == C.SEGSHIP_OK {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return &Error{Kind(status), C.GoString(message)}
}

// Image is an image in memory: rows from the top, the channels of a pixel beside one another. Nothing is copied.
type Image struct {
	// Pix holds bytes (height, width, channels).
	Pix []byte
	// Height and Width are in pixels.
	Height, Width int
	// Channels is 1 for grey, 3, or 4: the last is alpha, and is dropped.
	Channels int
	// Stride counts the bytes from one row to the next; 0: no gap.
	Stride int
	// BGR tells that blue comes first.
	BGR bool
	// Bands holds the numbers instead of Pix where a network takes all bands as they are stored.
	Bands []float32
}

// RGB is an image of bytes (height, width, 3), red, green, blue.
func RGB(pixels []byte, height, width int) Image {
	return Image{Pix: pixels, Height: height, Width: width, Channels: 3}
}

// FromImage takes an image of the standard library; *image.Gray, *image.RGBA and *image.NRGBA are used where they lie.
func FromImage(img image.Image) Image {
	size := img.Bounds().Size()
	switch of := img.(type) {
	case *image.Gray:
		return Image{Pix: of.Pix, Height: size.Y, Width: size.X, Channels: 1, Stride: of.Stride}
	case *image.NRGBA:
		return Image{Pix: of.Pix, Height: size.Y, Width: size.X, Channels: 4, Stride: of.Stride}
	case *image.RGBA:
		if of.Opaque() { // else its colours are multiplied by alpha
			return Image{Pix: of.Pix, Height: size.Y, Width: size.X, Channels: 4, Stride: of.Stride}
		}
	}
	copied := image.NewNRGBA(image.Rect(0, 0, size.X, size.Y))
	draw.Draw(copied, copied.Rect, img, img.Bounds().Min, draw.Src)
	return Image{Pix: copied.Pix, Height: size.Y, Width: size.X, Channels: 4, Stride: copied.Stride}
}

func (img *Image) data() (unsafe.Pointer, C.int32_t, error) {
	values, width := len(img.Pix), img.Width*img.Channels
	dtype := C.int32_t(C.SEGSHIP_UINT8)
	if img.Bands != nil {
		values, dtype = len(img.Bands), C.SEGSHIP_FLOAT32
	} else if img.Stride != 0 {
		width = img.Stride
	}
	needed := img.Height*width - (width - img.Width*img.Channels)
	if img.Height < 1 || img.Width < 1 || img.Channels < 1 || width < img.Width*img.Channels || values < needed {
		return nil, 0, &Error{InputError, fmt.Sprintf(
			"the image's slice has %d numbers, %dx%d pixels of %d channels are %d", values, img.Height, img.Width,
			img.Channels, needed)}
	}
	if img.Bands != nil {
		return unsafe.Pointer(&img.Bands[0]), dtype, nil
	}
	return unsafe.Pointer(&img.Pix[0]), dtype, nil
}

func (img *Image) order() C.int32_t {
	if img.BGR {
		return C.SEGSHIP_BGR
	}
	return C.SEGSHIP_RGB
}

// Mask holds the label of each pixel, at the image's own size.
type Mask struct {
	// Height and Width are in pixels.
	Height, Width int
	// Labels are row by row; nil where there are more than 256 classes.
	Labels []uint8
	// Wide holds the labels where there are more than 256 classes.
	Wide []uint16
}

// At is the label of a pixel.
func (mask *Mask) At(row, column int) int {
	if mask.Labels != nil {
		return int(mask.Labels[row*mask.Width+column])
	}
	return int(mask.Wide[row*mask.Width+column])
}

func (mask *Mask) data() (unsafe.Pointer, C.size_t) {
	if mask.Labels != nil {
		return unsafe.Pointer(&mask.Labels[0]), C.size_t(len(mask.Labels))
	}
	return unsafe.Pointer(&mask.Wide[0]), C.size_t(2 * len(mask.Wide))
}

// Options tell how a package is opened; what is left alone is chosen by the library.
type Options struct {
	// Threads of the engine; 0: its own choice.
	Threads int
	// MaxPixels: larger images are refused; 0: 100 million.
	MaxPixels int64
	// Runtime is the engine's library or its folder; "": it is searched.
	Runtime string
	// Device is what the engine runs on; "": cpu.
	Device string
}

// Segmentor is an opened package: it makes masks of images. Any number of goroutines may use one at the same time.
type Segmentor struct {
	// Classes are the names of the labels.
	Classes []string
	// Colors are those of the labels.
	Colors []color.RGBA
	// Bands is their number where the network takes all of them as they are stored; 0: it takes photographs.
	Bands int
	// Engine is the one that runs, with its version and where it was loaded from.
	Engine string

	lock                    sync.RWMutex
	handle                  *C.segship_segmentor
	labelBytes, scorePlanes int
}

// Open opens a package: the folder that "segship export" wrote. Options may be nil.
func Open(folder string, options *Options) (*Segmentor, error) {
	if options == nil {
		options = &Options{}
	}
	name := C.CString(folder)
	defer C.free(unsafe.Pointer(name))
	library, device := optional(options.Runtime), optional(options.Device)
	defer C.free(unsafe.Pointer(library))
	defer C.free(unsafe.Pointer(device))
	segmentor := &Segmentor{}
	var message *C.char
	status := C.open_package(name, C.int32_t(options.Threads), C.int64_t(options.MaxPixels), library, device,
		&segmentor.handle, &message)
	if err := check(status, message); err != nil {
		return nil, err
	}
	spec := C.segship_segmentor_spec(segmentor.handle)
	segmentor.labelBytes = int(C.segship_label_bytes(spec))
	segmentor.scorePlanes = int(C.segship_score_channels(spec))
	segmentor.Bands = int(C.segship_bands(spec))
	segmentor.Engine = C.GoString(C.segship_segmentor_engine(segmentor.handle))
	for label := C.int32_t(0); label < C.segship_classes(spec); label++ {
		found := C.segship_class_color(spec, label)
		segmentor.Classes = append(segmentor.Classes, C.GoString(C.segship_class_name(spec, label)))
		segmentor.Colors = append(segmentor.Colors, color.RGBA{uint8(found >> 16), uint8(found >> 8), uint8(found), 255})
	}
	runtime.SetFinalizer(segmentor, (*Segmentor).Close)
	return segmentor, nil
}

func optional(text string) *C.char {
	if text == "" {
		return nil
	}
	return C.CString(text)
}

// Close frees the engine's memory, once the calls that are under way have ended; twice is once.
func (segmentor *Segmentor) Close() error {
	segmentor.lock.Lock()
	defer segmentor.lock.Unlock()
	runtime.SetFinalizer(segmentor, nil)
	C.segship_close(segmentor.handle)
	segmentor.handle = nil
	return nil
}

// use holds the segmentor open; what it returns lets it go.
func (segmentor *Segmentor) use() (func(), error) {
	segmentor.lock.RLock()
	if segmentor.handle == nil {
		segmentor.lock.RUnlock()
		return nil, &Error{BackendError, "the segmentor is closed: open the package again"}
	}
	return segmentor.lock.RUnlock, nil
}

// Mask is the label of each pixel, at the image's own size.
func (segmentor *Segmentor) Mask(img Image) (*Mask, error) {
	done, err := segmentor.use()
	if err != nil {
		return nil, err
	}
	defer done()
	data, dtype, err := img.data()
	if err != nil {
		return nil, err
	}
	mask := &Mask{Height: img.Height, Width: img.Width}
	if segmentor.labelBytes == 1 {
		mask.Labels = make([]uint8, img.Height*img.Width)
	} else {
		mask.Wide = make([]uint16, img.Height*img.Width)
	}
	labels, bytes := mask.data()
	var message *C.char
	status := C.mask_of(segmentor.handle, data, C.int64_t(img.Stride), C.int32_t(img.Height), C.int32_t(img.Width),
		C.int32_t(img.Channels), img.order(), dtype, labels, bytes, &message)
	if err := check(status, message); err != nil {
		return nil, err
	}
	return mask, nil
}

// Scores is the probability of each class at each pixel, 0-1: (classes, height, width), row by row; one plane for a
// binary network with one output.
func (segmentor *Segmentor) Scores(img Image) ([]float32, error) {
	done, err := segmentor.use()
	if err != nil {
		return nil, err
	}
	defer done()
	data, dtype, err := img.data()
	if err != nil {
		return nil, err
	}
	scores := make([]float32, segmentor.scorePlanes*img.Height*img.Width)
	var message *C.char
	status := C.scores_of(segmentor.handle, data, C.int64_t(img.Stride), C.int32_t(img.Height), C.int32_t(img.Width),
		C.int32_t(img.Channels), img.order(), dtype, unsafe.Pointer(&scores[0]), C.size_t(4*len(scores)), &message)
	if err := check(status, message); err != nil {
		return nil, err
	}
	return scores, nil
}

// Overlay is the mask's colours over its image; opacity 0: the image alone, 1: the colours alone. The result holds bytes
// (height, width, 3), red, green, blue.
func (segmentor *Segmentor) Overlay(img Image, mask *Mask, opacity float64) ([]byte, error) {
	done, err := segmentor.use()
	if err != nil {
		return nil, err
	}
	defer done()
	data, dtype, err := img.data()
	if err != nil {
		return nil, err
	}
	labels, bytes := mask.data()
	rgb := make([]byte, 3*img.Height*img.Width)
	var message *C.char
	status := C.overlay_of(segmentor.handle, data, C.int64_t(img.Stride), C.int32_t(img.Height), C.int32_t(img.Width),
		C.int32_t(img.Channels), img.order(), dtype, labels, bytes, C.double(opacity), unsafe.Pointer(&rgb[0]),
		C.size_t(len(rgb)), &message)
	if err := check(status, message); err != nil {
		return nil, err
	}
	return rgb, nil
}
