"""What everyone shares: errors, whole outputs, untrusted inputs, sizes of pictures, videos."""
