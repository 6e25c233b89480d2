package uva.attention

import java.io.DataInputStream
import java.io.DataOutputStream
import java.nio.ByteBuffer

// Runs what tflite/android shares with docs/model-file.md, for tests/test_android.py, which is the
// model: it answers each call with a map and a state. All numbers are Java's, the largest byte first.
//
// In: side, state's size, brighten, gap, persistence; then frames: degrees, and for each plane width, height, strides, bytes.
// Out: 1 with the small frame and a state, which asks for a call; or 2 with a map.

private val input = DataInputStream(System.`in`.buffered())
private val output = DataOutputStream(System.out.buffered())

private fun bytes(count: Int) = ByteArray(count).also { input.readFully(it) }

private fun plane(): Plane {
  val (width, height) = Pair(input.readInt(), input.readInt())
  val (rowStride, pixelStride) = Pair(input.readInt(), input.readInt())
  return Plane(ByteBuffer.wrap(bytes(input.readInt())), width, height, rowStride, pixelStride)
}

private fun call(frame: ByteArray, state: ByteArray, mapSize: Int): Result {
  output.write(1)
  output.write(frame)
  output.write(state)
  output.flush()
  return Result(bytes(mapSize), bytes(state.size))
}

private fun maps() {
  val (side, stateSize) = Pair(input.readInt(), input.readInt())
  val (brighten, gap) = Pair(input.readInt(), input.readInt())
  val stream =
    Stream(stateSize, brighten, input.readDouble(), gap) { frame, state ->
      call(frame, state, side * side)
    }
  while (true) {
    val degrees = input.readInt()
    if (degrees < 0) break
    if (degrees == 360) { // another stream
      stream.reset()
      continue
    }
    val map = stream.next(YuvFrame(plane(), plane(), plane()).turned(degrees).shrink(side))
    output.write(2)
    output.write(map)
    output.flush()
  }
}

/** What is refused, one line each. */
private fun refusals() {
  fun plane(width: Int, height: Int, stride: Int = width, bytes: Int = stride * height) =
    Plane(ByteBuffer.allocate(bytes), width, height, stride, 1)
  fun manifest(
    form: String = "step",
    pairing: String = "previous",
    side: Int = 64,
    quantised: Boolean = true,
    brighten: Int = 0,
    persistence: Double = 0.0,
    gap: Int = 1
  ) = Manifest(form, pairing, side, "0", quantised, brighten, persistence, gap).check(ByteArray(3))
  val refused: List<() -> Any> =
    listOf(
      { plane(4, 3, bytes = 11) },
      { plane(4, 0) },
      { plane(1 shl 30, 1 shl 30, 1 shl 30, 16) },
      { plane(4, 4).turned(45) },
      { YuvFrame(plane(100, 128), plane(50, 64), plane(50, 64)) },
      { YuvFrame(plane(128, 128), plane(64, 64), plane(63, 64)) },
      { YuvFrame(plane(128, 128), plane(64, 64), plane(64, 64)).shrink(48) },
      { manifest(form = "pair") },
      { manifest(pairing = "next") },
      { manifest(side = 48) },
      { manifest(quantised = false) },
      { manifest(brighten = 129) },
      { manifest(persistence = 0.96) },
      { manifest(persistence = Double.NaN) },
      { manifest(gap = 0) },
      { manifest(gap = 17) },
      { manifest() },
      { readAtMost(ByteArray(5).inputStream(), 4, "NAME") }
    )
  for (work in refused) {
    try {
      println("accepted: ${work()}")
    } catch (error: IllegalArgumentException) {
      println(error.message)
    }
  }
}

fun main(args: Array<String>) = if (args.isEmpty()) maps() else refusals()
