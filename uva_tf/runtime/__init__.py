"""Run an attention model: numpy, OpenCV and LiteRT, and nothing else of this package.

The folder is the package's lowest layer: everything else may import it.
"""
