"""Arrays only: decoding, preprocessing, exact masks, tiling, colours. No torch."""
