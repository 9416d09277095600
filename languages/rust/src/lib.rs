//! Packages of Segship from Rust, on the library `segship` (`libsegship.so`); no crate is needed.
//!
//! ```no_run
//! use segship::{Image, Segmentor};
//!
//! # fn main() -> Result<(), segship::Error> {
//! let (height, width) = (480, 640);
//! let pixels = vec![0u8; height * width * 3];
//! let segmentor = Segmentor::open("package")?;
//! let mask = segmentor.mask(&Image::rgb(&pixels, height, width)?)?;
//! println!("{}", segmentor.classes()[mask.label(0, 0)]);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::raw::c_char;
use std::path::Path;
use std::ptr;

mod native;

/// What kind of error it is; the same kinds as in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An image, buffer or argument cannot be used.
    Input,
    /// The network cannot take what the image becomes.
    Size,
    /// The package is damaged, incomplete, or newer than this library.
    Package,
    /// The engine cannot be opened or run.
    Backend,
    /// The engine's library is not on this machine.
    Missing,
    /// Understood, but not provided.
    Unsupported,
    /// There is not enough memory.
    Memory,
    /// A fault of the library.
    Internal,
}

/// An error a user can mend: it says what was found, what was expected and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

fn check(status: native::Status) -> Result<()> {
    let kind = match status {
        0 => return Ok(()),
        1 => ErrorKind::Input,
        2 => ErrorKind::Size,
        3 => ErrorKind::Package,
        4 => ErrorKind::Backend,
        5 => ErrorKind::Missing,
        6 => ErrorKind::Unsupported,
        7 => ErrorKind::Memory,
        _ => ErrorKind::Internal,
    };
    // SAFETY: the text lives until this thread's next failure.
    Err(Error::new(kind, unsafe { text(native::segship_last_error()) }))
}

/// # Safety
/// `pointer` is null or the start of a text that ends with a zero.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    CStr::from_ptr(pointer).to_string_lossy().into_owned()
}

fn c_text(value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| Error::new(ErrorKind::Input, format!("{value:?} holds a zero byte")))
}

/// The bytes of a name as the system has them, which need not be UTF-8.
#[cfg(unix)]
fn c_path(path: &Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::Input, format!("{path:?} holds a zero byte")))
}

#[cfg(not(unix))]
fn c_path(path: &Path) -> Result<CString> {
    c_text(&path.to_string_lossy())
}

/// The order of the channels of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// An image in memory: rows from the top, the channels of a pixel beside one another. It copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    native: native::Image,
    pixels: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Image<'a> {
    /// Bytes `(height, width, 3)`, red, green, blue.
    pub fn rgb(pixels: &'a [u8], height: usize, width: usize) -> Result<Self> {
        Self::new(pixels, height, width, 3, Order::Rgb)
    }

    /// Bytes `(height, width, channels)`: 1 is grey, of 4 the last is alpha and is dropped.
    pub fn new(pixels: &'a [u8], height: usize, width: usize, channels: usize, order: Order) -> Result<Self> {
        Self::of(pixels, height, width, channels, order, native::UINT8)
    }

    /// Numbers of 16 bits `(height, width, bands)`, for networks that take all bands as they are stored.
    pub fn bands_u16(numbers: &'a [u16], height: usize, width: usize, bands: usize) -> Result<Self> {
        Self::of(numbers, height, width, bands, Order::Rgb, native::UINT16)
    }

    /// Numbers `(height, width, bands)`, for networks that take all bands as they are stored.
    pub fn bands_f32(numbers: &'a [f32], height: usize, width: usize, bands: usize) -> Result<Self> {
        Self::of(numbers, height, width, bands, Order::Rgb, native::FLOAT32)
    }

    fn of<T>(numbers: &'a [T], height: usize, width: usize, channels: usize, order: Order, dtype: i32) -> Result<Self> {
        let needed = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        if needed.map_or(true, |needed| numbers.len() < needed) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "the image's slice has {} numbers, too few for {height}x{width} pixels of {channels} channels",
                    numbers.len()
                ),
            ));
        }
        let side = |length: usize| {
            i32::try_from(length).map_err(|_| Error::new(ErrorKind::Input, format!("an image has no side of {length}")))
        };
        let native = native::Image {
            data: numbers.as_ptr().cast(),
            row_stride: 0,
            height: side(height)?,
            width: side(width)?,
            channels: side(channels)?,
            order: order as i32,
            dtype,
        };
        Ok(Image { native, pixels: std::marker::PhantomData })
    }

    fn pixels(&self) -> usize {
        self.native.height as usize * self.native.width as usize
    }
}

/// Labels, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Up to 256 classes.
    U8(Vec<u8>),
    /// More than 256 classes.
    U16(Vec<u16>),
}

/// The label of each pixel, at the image's own size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// The labels, row by row.
    pub labels: Labels,
}

impl Mask {
    /// The label of a pixel.
    pub fn label(&self, row: usize, column: usize) -> usize {
        assert!(column < self.width, "a mask of {} columns has no column {column}", self.width);
        match &self.labels {
            Labels::U8(labels) => labels[row * self.width + column].into(),
            Labels::U16(labels) => labels[row * self.width + column].into(),
        }
    }
}

/// How a package is opened; what is left alone is chosen by the library.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Threads of the engine; 0: its own choice.
    pub threads: i32,
    /// Images with more pixels are refused; 0: 100 million.
    pub max_pixels: i64,
    /// The engine's library or its folder; `None`: it is searched.
    pub runtime: Option<String>,
    /// What the engine runs on; `None`: cpu.
    pub device: Option<String>,
}

/// An opened package: it makes masks of images. Any number of threads may share one; dropping it frees its memory.
#[derive(Debug)]
pub struct Segmentor {
    handle: ptr::NonNull<native::Segmentor>,
    classes: Vec<String>,
    colors: Vec<[u8; 3]>,
}

// SAFETY: the library takes calls for one handle from any thread, and from many at the same time.
unsafe impl Send for Segmentor {}
unsafe impl Sync for Segmentor {}

impl Segmentor {
    /// Open a package: the folder that `segship export` wrote.
    pub fn open(package: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(package, &Options::default())
    }

    /// Open a package with options.
    pub fn open_with(package: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let folder = c_path(package.as_ref())?;
        let runtime = options.runtime.as_deref().map(c_text).transpose()?;
        let device = options.device.as_deref().map(c_text).transpose()?;
        let pointer = |value: &Option<CString>| value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        let mut handle = ptr::null_mut();
        // SAFETY: the library fills the options; the texts outlive the call.
        unsafe {
            check(native::segship_require(native::VERSION, std::mem::size_of::<usize>() as u32))?;
            let mut given = std::mem::zeroed::<native::Options>();
            native::segship_options_init(&mut given);
            given.threads = options.threads;
            given.max_pixels = options.max_pixels;
            given.runtime = pointer(&runtime);
            given.device = pointer(&device);
            check(native::segship_open(folder.as_ptr(), &given, &mut handle))?;
        }
        let handle = ptr::NonNull::new(handle).ok_or_else(|| Error::new(ErrorKind::Internal, "no handle"))?;
        let mut segmentor = Segmentor { handle, classes: Vec::new(), colors: Vec::new() };
        let spec = segmentor.spec();
        // SAFETY: the spec lives as long as the handle.
        let count = unsafe { native::segship_classes(spec) };
        for label in 0..count {
            let (name, color) =
                unsafe { (text(native::segship_class_name(spec, label)), native::segship_class_color(spec, label)) };
            segmentor.classes.push(name);
            segmentor.colors.push([(color >> 16) as u8, (color >> 8) as u8, color as u8]);
        }
        Ok(segmentor)
    }

    fn spec(&self) -> *const native::Spec {
        // SAFETY: the handle is open.
        unsafe { native::segship_segmentor_spec(self.handle.as_ptr()) }
    }

    /// The name of each label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The colour of each label: red, green, blue.
    pub fn colors(&self) -> &[[u8; 3]] {
        &self.colors
    }

    /// The number of bands where the network takes all of them as they are stored; 0: it takes photographs.
    pub fn bands(&self) -> usize {
        // SAFETY: the spec lives as long as the handle.
        unsafe { native::segship_bands(self.spec()) as usize }
    }

    /// The engine that runs, with its version and where it was loaded from.
    pub fn engine(&self) -> String {
        // SAFETY: the text lives as long as the handle.
        unsafe { text(native::segship_segmentor_engine(self.handle.as_ptr())) }
    }

    /// The label of each pixel of an image, at its own size.
    pub fn mask(&self, image: &Image<'_>) -> Result<Mask> {
        let (height, width) = (image.native.height as usize, image.native.width as usize);
        // SAFETY: the spec lives as long as the handle.
        let labels = if unsafe { native::segship_label_bytes(self.spec()) } == 1 {
            let mut labels = vec![0u8; image.pixels()];
            self.mask_into(image, &mut labels)?;
            Labels::U8(labels)
        } else {
            let mut labels = vec![0u16; image.pixels()];
            self.mask_bytes(image, labels.as_mut_ptr().cast(), labels.len() * 2)?;
            Labels::U16(labels)
        };
        Ok(Mask { height, width, labels })
    }

    /// Write the labels into a slice; for packages of up to 256 classes.
    pub fn mask_into(&self, image: &Image<'_>, labels: &mut [u8]) -> Result<()> {
        self.mask_bytes(image, labels.as_mut_ptr(), labels.len())
    }

    fn mask_bytes(&self, image: &Image<'_>, labels: *mut u8, bytes: usize) -> Result<()> {
        // SAFETY: the image's slice is as large as it says, and nothing is written beyond `bytes`.
        check(unsafe { native::segship_mask(self.handle.as_ptr(), &image.native, labels.cast(), bytes) })
    }

    /// The probability of each class at each pixel, 0-1: `(classes, height, width)`, row by row; one plane for a
    /// binary network with one output.
    pub fn scores(&self, image: &Image<'_>) -> Result<Vec<f32>> {
        // SAFETY: the spec lives as long as the handle.
        let planes = unsafe { native::segship_score_channels(self.spec()) } as usize;
        let mut scores = vec![0f32; image.pixels() * planes];
        let bytes = std::mem::size_of_val(&scores[..]);
        // SAFETY: as for the mask.
        check(unsafe { native::segship_scores(self.handle.as_ptr(), &image.native, scores.as_mut_ptr(), bytes) })?;
        Ok(scores)
    }

    /// The mask's colours over its image: bytes `(height, width, 3)`, red, green, blue.
    ///
    /// `opacity` 0: the image alone; 1: the colours alone.
    pub fn overlay(&self, image: &Image<'_>, mask: &Mask, opacity: f64) -> Result<Vec<u8>> {
        let mut rgb = vec![0u8; image.pixels() * 3];
        let (labels, bytes) = match &mask.labels {
            Labels::U8(labels) => (labels.as_ptr().cast(), labels.len()),
            Labels::U16(labels) => (labels.as_ptr().cast(), labels.len() * 2),
        };
        // SAFETY: as for the mask.
        check(unsafe {
            native::segship_overlay(self.spec(), &image.native, labels, bytes, opacity, rgb.as_mut_ptr(), rgb.len())
        })?;
        Ok(rgb)
    }
}

impl Drop for Segmentor {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nobody borrows it any more.
        unsafe { native::segship_close(self.handle.as_ptr()) }
    }
}
