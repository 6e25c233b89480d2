"""Run a model file on frames with NumPy, OpenCV and LiteRT; no TensorFlow is needed."""
