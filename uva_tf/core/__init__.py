"""What every room uses: errors, atomic outputs, untrusted inputs, resizing, videos."""
