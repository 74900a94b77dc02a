"""From a prepared folder to samples: data sets, transforms, samplers."""
