//! One golden package, in every form that an image has.

use segship::{ErrorKind, Image, Labels, Mask, Options, Order, Segmentor};
use std::path::{Path, PathBuf};

const HEIGHT: usize = 61;
const WIDTH: usize = 83;

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors").join(name)
}

fn tail(name: &str, count: usize) -> Vec<u8> {
    let data = std::fs::read(vectors(name)).unwrap();
    data[data.len() - count..].to_vec()
}

#[test]
fn one_image_in_every_form_many_at_once() {
    let pixels = tail("images/61x83x3_uint8.ppm", HEIGHT * WIDTH * 3);
    let labels = Labels::U8(tail("packages/whole.mask.pgm", HEIGHT * WIDTH));
    let options = Options { threads: 1, ..Options::default() };
    let segmentor = Segmentor::open_with(vectors("packages/whole"), &options).unwrap();
    assert_eq!(segmentor.classes().len(), 19);
    assert_eq!(segmentor.classes()[3], "class 3");
    assert_eq!(segmentor.colors()[0], [128, 0, 0]);
    let turned: Vec<u8> = pixels.chunks(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    let alpha: Vec<u8> = pixels.chunks(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 0]).collect();
    let forms = [
        Image::rgb(&pixels, HEIGHT, WIDTH).unwrap(),
        Image::new(&turned, HEIGHT, WIDTH, 3, Order::Bgr).unwrap(),
        Image::new(&alpha, HEIGHT, WIDTH, 4, Order::Rgb).unwrap(),
    ];
    // A pointer inside keeps `Image` in its thread; each thread makes its own.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let image = Image::rgb(&pixels, HEIGHT, WIDTH).unwrap();
                assert_eq!(segmentor.mask(&image).unwrap().labels, labels);
            });
        }
    });
    for form in &forms {
        assert_eq!(segmentor.mask(form).unwrap().labels, labels);
    }
    assert_eq!(segmentor.scores(&forms[0]).unwrap().len(), 19 * HEIGHT * WIDTH);
    let mask = Mask { height: HEIGHT, width: WIDTH, labels };
    assert_eq!(segmentor.overlay(&forms[0], &mask, 0.0).unwrap(), pixels);
}

#[test]
fn mistakes_have_a_kind_and_a_message() {
    let error = Segmentor::open("nowhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Package);
    assert!(error.to_string().starts_with("nowhere is not a package"));
    assert_eq!(Image::rgb(&[0; 26], 3, 3).unwrap_err().kind(), ErrorKind::Input);
    let segmentor = Segmentor::open(vectors("packages/whole")).unwrap();
    let image = Image::rgb(&[0; 27], 3, 3).unwrap();
    assert_eq!(segmentor.mask_into(&image, &mut [0; 8]).unwrap_err().kind(), ErrorKind::Input);
    let nothing = Image::rgb(&[], 0, 0).unwrap();
    assert_eq!(segmentor.mask(&nothing).unwrap_err().kind(), ErrorKind::Input);
}
