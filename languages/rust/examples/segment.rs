//! segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too.

use segship::{Image, Labels, Mask, Segmentor};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const MAX_PIXELS: u64 = 100_000_000;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if arguments.len() != 3 && arguments.len() != 4 {
        eprintln!("usage: rust PACKAGE IMAGE.ppm MASK.pgm [SCORES]");
        return ExitCode::from(2);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[PathBuf]) -> Result<(), String> {
    let (pixels, height, width) = read_ppm(&arguments[1])?;
    let told = |error: segship::Error| error.to_string();
    let segmentor = Segmentor::open(&arguments[0]).map_err(told)?;
    let image = Image::rgb(&pixels, height, width).map_err(told)?;
    write(&arguments[2], &pgm(&segmentor.mask(&image).map_err(told)?))?;
    if let Some(path) = arguments.get(3) {
        let scores = segmentor.scores(&image).map_err(told)?;
        write(path, &scores.iter().flat_map(|score| score.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

fn read_ppm(path: &Path) -> Result<(Vec<u8>, usize, usize), String> {
    let name = path.display();
    let unreadable = |error: io::Error| format!("cannot read {name}: {}", reason(&error));
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic).map_err(unreadable)?;
    if magic.is_empty() {
        return Err(format!("{name} is empty: expected a binary PPM (P6) of 8 bits"));
    }
    let mut header = || if magic == b"P6" { number(&mut file) } else { None };
    let (width, height) = match (header(), header(), header()) {
        (Some(width), Some(height), Some(255)) if width > 0 && height > 0 => (width, height),
        _ => return Err(format!("{name} is not an image of a known format: expected a binary PPM (P6) of 8 bits")),
    };
    if width > MAX_PIXELS / height {
        return Err(huge(path, width, height));
    }
    let mut pixels = Vec::new();
    file.take(width * height * 3).read_to_end(&mut pixels).map_err(unreadable)?;
    if (pixels.len() as u64) < width * height * 3 {
        return Err(format!("{name} cannot be decoded: the PPM file is cut off or damaged; save or copy it again"));
    }
    Ok((pixels, height as usize, width as usize))
}

/// In millions, where these tell the image from the limit.
fn huge(path: &Path, width: u64, height: u64) -> String {
    let pixels = width as f64 * height as f64;
    let (found, limit) = if pixels > 100.5e6 {
        (format!("{:.0} million", pixels / 1e6), "100 million")
    } else {
        let count = pixels as u64;
        (format!("{},{:03},{:03}", count / 1_000_000, count / 1000 % 1000, count % 1000), "100,000,000")
    };
    let told = format!("{width}x{height} pixels are {found}, the limit is {limit}; shrink it or raise the limit");
    format!("{} is too large: {told}", path.display())
}

/// The next number of a header, and the byte behind it.
fn number(file: &mut impl Read) -> Option<u64> {
    let mut bytes = file.bytes().map_while(Result::ok);
    let mut next = bytes.next()?;
    while is_space(next) || next == b'#' {
        if next == b'#' {
            bytes.by_ref().find(|byte| *byte == b'\n')?;
        }
        next = bytes.next()?;
    }
    let mut number = None;
    while next.is_ascii_digit() && number.unwrap_or(0) < 1_000_000_000 {
        number = Some(number.unwrap_or(0) * 10 + u64::from(next - b'0'));
        next = bytes.next()?;
    }
    number.filter(|_| is_space(next))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn pgm(mask: &Mask) -> Vec<u8> {
    let (most, labels) = match &mask.labels {
        Labels::U8(labels) => (255, labels.clone()),
        Labels::U16(labels) => (65535, labels.iter().flat_map(|label| label.to_be_bytes()).collect()),
    };
    let mut file = format!("P5\n{} {}\n{most}\n", mask.width, mask.height).into_bytes();
    file.extend(labels);
    file
}

fn write(path: &Path, data: &[u8]) -> Result<(), String> {
    std::fs::write(path, data).map_err(|error| format!("cannot write {}: {}", path.display(), reason(&error)))
}

fn reason(error: &io::Error) -> String {
    let told = error.to_string();
    told.split(" (os error").next().unwrap_or_default().to_owned()
}
