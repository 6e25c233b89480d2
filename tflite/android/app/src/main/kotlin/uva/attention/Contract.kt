package uva.attention

import java.io.InputStream
import java.nio.ByteBuffer
import java.security.MessageDigest
import java.util.ArrayDeque
import kotlin.math.abs
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow

// What docs/model-file.md says of frames, streams and manifests, without a class of Android's.

/** Bytes of a model file, and of a manifest, at most. */
const val MOST_BYTES = 1 shl 26
const val MOST_MANIFEST_BYTES = 1 shl 20

private const val SAMPLED = 256
private const val CONVERTED = 128
private val SIDES = listOf(32, 64, 128)
private const val MOST_LEVEL = 128 // to which dark frames are brightened
private const val MOST_GAIN = 8
private const val MOST_PERSISTENCE = 0.95
private const val MOST_GAP = 16
private const val WINDOW = 16 // maps that are joined
private const val CUT = 32 // mean change between frames that only a cut brings about

/**
 * One plane of a YUV_420_888 image, `width` by `height` values from 0 to 255, seen upright. Nothing
 * is copied.
 */
class Plane private constructor(
  private val bytes: ByteBuffer,
  val width: Int,
  val height: Int,
  private val start: Int,
  private val right: Int,
  private val down: Int
) {
  /** @throws IllegalArgumentException if the bytes are too few. */
  constructor(
    bytes: ByteBuffer, width: Int, height: Int, rowStride: Int, pixelStride: Int
  ) : this(bytes, width, height, 0, pixelStride, rowStride) {
    require(width > 0 && height > 0 && rowStride > 0 && pixelStride > 0) {
      "a plane of ${width}x$height with strides $rowStride and $pixelStride: expected more than 0"
    }
    val needed = (height - 1L) * rowStride + (width - 1L) * pixelStride + 1
    require(needed <= bytes.limit()) {
      "a plane of ${width}x$height needs $needed bytes, received ${bytes.limit()}"
    }
  }

  operator fun get(x: Int, y: Int): Int = bytes.get(start + x * right + y * down).toInt() and 255

  /** The plane turned clockwise by 0, 90, 180 or 270 degrees. */
  fun turned(degrees: Int): Plane {
    val (lastX, lastY) = Pair((width - 1) * right, (height - 1) * down)
    return when (degrees) {
      0 -> this
      90 -> Plane(bytes, height, width, start + lastY, -down, right)
      180 -> Plane(bytes, width, height, start + lastX + lastY, -right, -down)
      270 -> Plane(bytes, height, width, start + lastX, down, -right)
      else -> throw IllegalArgumentException("$degrees degrees: expected 0, 90, 180 or 270")
    }
  }

  /** The plane at `side` by `side` pixels, sampled bilinearly; twice that is halved. */
  fun sampled(side: Int): IntArray {
    if (width == 2 * side && height == 2 * side) {
      return IntArray(side * side) {
        val (x, y) = Pair(2 * (it % side), 2 * (it / side))
        (this[x, y] + this[x + 1, y] + this[x, y + 1] + this[x + 1, y + 1] + 2) shr 2
      }
    }
    val (columns, rows) = Pair(Taps(width, side), Taps(height, side))
    return IntArray(side * side) {
      val (x, y) = Pair(it % side, it / side)
      val upper = between(columns, x, rows.first[y])
      val lower = between(columns, x, rows.second[y])
      (((upper * rows.near[y]) shr 16) + ((lower * rows.far[y]) shr 16) + 2) shr 2
    }
  }

  private fun between(columns: Taps, x: Int, row: Int): Int {
    val left = this[columns.first[x], row] * columns.near[x]
    return (left + this[columns.second[x], row] * columns.far[x]) shr 4
  }
}

/** For each output pixel along an axis: two input pixels, and their weights out of 2048. */
private class Taps(length: Int, side: Int) {
  val first = IntArray(side)
  val second = IntArray(side)
  val near = IntArray(side)
  val far = IntArray(side)

  init {
    for (i in 0 until side) {
      val place = ((i + 0.5) * (1 / (side.toDouble() / length)) - 0.5).toFloat()
      val pixel = floor(place).toInt()
      val part = place - pixel
      first[i] = pixel.coerceIn(0, length - 1)
      second[i] = (pixel + 1).coerceIn(0, length - 1)
      far[i] = Math.rint((part * 2048).toDouble()).toInt()
      near[i] = Math.rint(((1 - part) * 2048).toDouble()).toInt()
    }
  }
}

/**
 * A camera frame: luma, and chroma of half the size.
 *
 * @throws IllegalArgumentException if the planes do not fit, or are smaller than 128 by 128.
 */
class YuvFrame(private val y: Plane, private val u: Plane, private val v: Plane) {
  val width = y.width
  val height = y.height

  init {
    require(width >= CONVERTED && height >= CONVERTED) {
      "a frame of ${width}x$height: expected at least ${CONVERTED}x$CONVERTED"
    }
    for (chroma in listOf(u, v)) {
      require(chroma.width == (width + 1) / 2 && chroma.height == (height + 1) / 2) {
        "chroma of ${chroma.width}x${chroma.height} in a frame of ${width}x$height: expected half"
      }
    }
  }

  /** The frame turned clockwise by 0, 90, 180 or 270 degrees. */
  fun turned(degrees: Int) = YuvFrame(y.turned(degrees), u.turned(degrees), v.turned(degrees))

  /**
   * The frame as a model sees it, `side * side * 3` bytes of RGB; side: 32, 64 or 128. The colours
   * are taken for BT.601 in the full range, which is Android's DATASPACE_JFIF.
   */
  fun shrink(side: Int): ByteArray {
    require(side in SIDES) { "frames of $side pixels: expected $SIDES" }
    val kept = width == CONVERTED && height == CONVERTED
    val luma = if (kept) y.sampled(CONVERTED) else halved(y.sampled(SAMPLED), SAMPLED, 1)
    val (blue, red) = Pair(u.sampled(CONVERTED), v.sampled(CONVERTED))
    var pixels = IntArray(3 * luma.size)
    for (i in luma.indices) {
      // The inverse of BT.601's matrix times 1024, without what FFmpeg's conversion rounds down.
      val level = 1024 * luma[i]
      pixels[3 * i] = (level + 1436 * red[i] - 184173) shr 10
      pixels[3 * i + 1] = (level - 352 * blue[i] - 731 * red[i] + 137686) shr 10
      pixels[3 * i + 2] = (level + 1815 * blue[i] - 232874) shr 10
    }
    for (i in pixels.indices) pixels[i] = pixels[i].coerceIn(0, 255)
    var length = CONVERTED
    while (length > side) {
      pixels = halved(pixels, length, 3)
      length /= 2
    }
    return ByteArray(pixels.size) { pixels[it].toByte() }
  }
}

/** Means of 2x2 pixels of a square whose side is `length`. */
private fun halved(pixels: IntArray, length: Int, channels: Int): IntArray {
  val (half, row) = Pair(length / 2, length * channels)
  return IntArray(half * half * channels) {
    val (pixel, channel) = Pair(it / channels, it % channels)
    val at = 2 * (pixel / half) * row + 2 * (pixel % half) * channels + channel
    (pixels[at] + pixels[at + channels] + pixels[at + row] + pixels[at + row + channels] + 2) shr 2
  }
}

private fun unsigned(byte: Byte): Int = byte.toInt() and 255

/**
 * A frame whose mean is below `level`, multiplied to it; any other frame as it is.
 *
 * @param small a frame made small.
 * @param level 0 to 128; 0 changes nothing.
 */
fun brightened(small: ByteArray, level: Int): ByteArray {
  val wanted = level.toLong() * small.size
  val sum = small.fold(0L) { before, byte -> before + unsigned(byte) }
  if (sum >= wanted) return small
  val total = max(sum, wanted / MOST_GAIN)
  val brighter = ByteArray(256) { min((2 * it * wanted + total) / (2 * total), 255L).toByte() }
  return ByteArray(small.size) { brighter[unsigned(small[it])] }
}

/**
 * Joins each map of a stream with the 15 before it, back to the last cut. The map `k` frames ago has
 * the weight `persistence` to the power `k`, in steps of 1/256.
 *
 * @param persistence 0 to 0.95; 0 leaves maps as they are.
 */
class Persistence(persistence: Double) {
  private val weights = IntArray(WINDOW) { Math.rint(256 * persistence.pow(it)).toInt() }
  private val maps = ArrayDeque<ByteArray>() // the newest first
  private var last: ByteArray? = null

  /**
   * The next map, joined with those before it.
   *
   * @param map is kept.
   * @param small the frame that it is of, not brightened.
   */
  fun add(map: ByteArray, small: ByteArray): ByteArray {
    if (weights[1] == 0) return map
    if (last?.let { isCut(it, small) } == true) maps.clear()
    last = small.copyOf()
    maps.addFirst(map)
    if (maps.size > WINDOW) maps.removeLast()
    val sums = IntArray(map.size)
    for ((age, one) in maps.withIndex()) {
      for (i in one.indices) sums[i] += weights[age] * unsigned(one[i])
    }
    val most = sums.fold(1) { before, sum -> max(before, sum) }.toFloat() // a map may be black
    // In floats, as in Python: halves depend on it.
    return ByteArray(map.size) { Math.rint((255 * (sums[it] / most)).toDouble()).toInt().toByte() }
  }

  /** Forget all maps: the next one begins a stream. */
  fun reset() {
    maps.clear()
    last = null
  }
}

/** Whether a video is cut between two small frames in a row. */
private fun isCut(one: ByteArray, other: ByteArray): Boolean {
  var change = 0
  for (i in one.indices) change += abs(unsigned(one[i]) - unsigned(other[i]))
  return change > CUT * one.size
}

/** What a call of a model gives. */
class Result(val map: ByteArray, val state: ByteArray)

/**
 * A model of the form `step` on a stream: brightens dark frames, hands back the state of the frame
 * `gap` frames before, and joins maps. The first `gap` frames pair with the first. If a call throws,
 * the stream can continue.
 *
 * @param stateSize bytes of the state, which begins as zeros.
 * @param brighten the mean level to which darker frames are brightened, as in the manifest.
 * @param persistence how much of the maps before is joined with each map, as in the manifest.
 * @param gap how many frames before each the one lies that it is paired with, as in the manifest.
 * @param call runs the model on a small frame and the state.
 */
class Stream(
  private val stateSize: Int,
  private val brighten: Int,
  persistence: Double,
  private val gap: Int,
  private val call: (ByteArray, ByteArray) -> Result
) {
  private val joined = Persistence(persistence)
  private val states = ArrayDeque<ByteArray>() // the oldest first

  /** The map of the stream's next frame, which is `side * side * 3` bytes of RGB. */
  fun next(frame: ByteArray): ByteArray {
    val seen = brightened(frame, brighten)
    val before = states.peekFirst() ?: call(seen, ByteArray(stateSize)).state
    val result = call(seen, before)
    if (states.isEmpty()) states.addLast(before)
    states.addLast(result.state)
    if (states.size > gap) states.removeFirst()
    return joined.add(result.map, frame) // not `seen`: brightened noise looks like cuts
  }

  /** Forget the frames and maps seen so far: the next frame begins a stream. */
  fun reset() {
    states.clear()
    joined.reset()
  }
}

/** What `NAME.json` beside `NAME.tflite` states, as far as a stream needs it. */
class Manifest(
  val form: String,
  val pairing: String,
  val resolution: Int,
  val sha256: String,
  val quantised: Boolean,
  val brighten: Int,
  val persistence: Double,
  val gap: Int
) {
  /** @throws IllegalArgumentException if a stream can't run the model, or its bytes differ. */
  fun check(content: ByteArray) {
    require(form == "step") { "the form is $form, expected step: uva-tf convert --form step" }
    require(pairing == "previous") { "the pairing is $pairing, expected previous" }
    require(quantised) { "the model is not quantised, expected int8: uva-tf convert --recipe int8" }
    require(resolution in SIDES) { "the resolution is $resolution, expected one of $SIDES" }
    require(brighten in 0..MOST_LEVEL) { "brighten is $brighten, expected 0 to $MOST_LEVEL" }
    require(persistence in 0.0..MOST_PERSISTENCE) {
      "the persistence is $persistence, expected 0 to $MOST_PERSISTENCE"
    }
    require(gap in 1..MOST_GAP) { "gap is $gap, expected a whole number from 1 to $MOST_GAP" }
    val digest = MessageDigest.getInstance("SHA-256").digest(content)
    val found = digest.joinToString("") { "%02x".format(it) }
    require(found == sha256) { "sha256 differs from the manifest's: take the two files anew" }
  }
}

/** All bytes of a stream, which is closed. @throws IllegalArgumentException above `most`. */
fun readAtMost(input: InputStream, most: Int, name: String): ByteArray = input.use {
  val bytes = java.io.ByteArrayOutputStream()
  val buffer = ByteArray(1 shl 16)
  while (true) {
    val count = it.read(buffer)
    if (count < 0) break
    require(bytes.size() + count <= most) { "$name: expected at most $most bytes" }
    bytes.write(buffer, 0, count)
  }
  bytes.toByteArray()
}
