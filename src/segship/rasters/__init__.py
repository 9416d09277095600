"""Rasters of any size, read and written by windows: GeoTIFF, COG, VRT and what else GDAL reads so (extra ``geo``)."""
