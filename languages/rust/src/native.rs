//! segship.h, as far as the crate uses it.

use std::os::raw::{c_char, c_void};

pub type Status = i32;

pub const VERSION: u32 = 200;
pub const UINT8: i32 = 0;
pub const UINT16: i32 = 1;
pub const FLOAT32: i32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Image {
    pub data: *const c_void,
    pub row_stride: i64,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
    pub order: i32,
    pub dtype: i32,
}

#[repr(C)]
pub struct Options {
    pub struct_size: u32,
    pub threads: i32,
    pub max_pixels: i64,
    pub runtime: *const c_char,
    pub device: *const c_char,
}

#[repr(C)]
#[derive(Debug)]
pub struct Segmentor {
    _private: [u8; 0],
}

#[repr(C)]
pub struct Spec {
    _private: [u8; 0],
}

#[link(name = "segship")]
extern "C" {
    pub fn segship_require(version: u32, pointer_bytes: u32) -> Status;
    pub fn segship_last_error() -> *const c_char;
    pub fn segship_options_init(options: *mut Options);
    pub fn segship_open(package: *const c_char, options: *const Options, segmentor: *mut *mut Segmentor) -> Status;
    pub fn segship_close(segmentor: *mut Segmentor);
    pub fn segship_segmentor_spec(segmentor: *const Segmentor) -> *const Spec;
    pub fn segship_segmentor_engine(segmentor: *const Segmentor) -> *const c_char;
    pub fn segship_classes(spec: *const Spec) -> i32;
    pub fn segship_class_name(spec: *const Spec, label: i32) -> *const c_char;
    pub fn segship_class_color(spec: *const Spec, label: i32) -> i32;
    pub fn segship_label_bytes(spec: *const Spec) -> i32;
    pub fn segship_score_channels(spec: *const Spec) -> i32;
    pub fn segship_bands(spec: *const Spec) -> i32;
    pub fn segship_mask(segmentor: *const Segmentor, image: *const Image, mask: *mut c_void, bytes: usize) -> Status;
    pub fn segship_scores(segmentor: *const Segmentor, image: *const Image, scores: *mut f32, bytes: usize) -> Status;
    pub fn segship_overlay(
        spec: *const Spec,
        image: *const Image,
        mask: *const c_void,
        mask_bytes: usize,
        opacity: f64,
        rgb: *mut u8,
        bytes: usize,
    ) -> Status;
}
