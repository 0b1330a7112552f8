"""From scores to likelihood ratios, with the bounds that the calibration population can support."""
