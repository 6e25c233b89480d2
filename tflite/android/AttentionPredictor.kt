package uva

import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.io.Closeable
import java.io.File
import java.security.MessageDigest
import org.json.JSONObject

/**
 * Where people look in a stream of camera frames, by an int8 `.tflite` file of the form `step`.
 *
 * Not safe for use from several threads at once.
 *
 * @param model the file, its manifest beside it: `NAME.tflite` and `NAME.json`.
 * @throws IllegalArgumentException if the two do not belong together, or are of another kind.
 */
class AttentionPredictor(model: File) : Closeable {
  /** Side of the map in pixels. */
  val side: Int

  private val compiled: CompiledModel
  private val inputs by lazy { INPUTS.associateWith { compiled.createInputBuffer(it, STEP) } }
  private val outputs by lazy { OUTPUTS.associateWith { compiled.createOutputBuffer(it, STEP) } }
  private var begun = false

  init {
    val manifest = JSONObject(File(model.path.removeSuffix(".tflite") + ".json").readText())
    require(manifest.getString("form") == STEP) { "expected a model of the form step" }
    require(manifest.getString("pairing") == "previous") { "expected previous pairing" }
    require(manifest.getJSONObject("state").has("scale")) { "expected an int8 model" }
    require(sha256(model) == manifest.getString("sha256")) { "sha256 differs from the manifest's" }
    side = manifest.getInt("resolution")
    compiled = CompiledModel.create(model.path, CompiledModel.Options(Accelerator.CPU))
  }

  /**
   * The map of the stream's next frame: side * side bytes, row by row, 0 to 255 (unsigned) at the
   * most looked-at place. The stream's first frame pairs with itself.
   */
  fun step(frame: Bitmap): ByteArray {
    inputs.getValue("frame").writeInt8(shrink(frame, side))
    if (!begun) {
      val state = outputs.getValue("state").readInt8() // for its size
      inputs.getValue("state").writeInt8(ByteArray(state.size))
      run()
      begun = true
    }
    run()
    return outputs.getValue("attention").readInt8()
  }

  /** Forget the frames seen so far: the next one begins a stream. */
  fun reset() {
    begun = false
  }

  override fun close() {
    (inputs.values + outputs.values).forEach { it.close() }
    compiled.close()
  }

  private fun run() {
    compiled.run(inputs, outputs, STEP)
    inputs.getValue("state").writeInt8(outputs.getValue("state").readInt8())
  }

  companion object {
    private const val STEP = "step"
    private val INPUTS = listOf("frame", "state")
    private val OUTPUTS = listOf("attention", "state")
    private const val SAMPLED = 256

    private fun sha256(file: File): String =
      MessageDigest.getInstance("SHA-256").digest(file.readBytes()).joinToString("") {
        "%02x".format(it)
      }

    /**
     * RGB bytes of a frame made small as `uva_tf/core/resize.py` does it: sampled bilinearly at
     * 256 pixels (by Android, whose rounding may differ), from where on sides are halved. A square
     * of 128, 64, ... pixels is on that way already, and is taken as it is.
     */
    private fun shrink(frame: Bitmap, side: Int): ByteArray {
      val kept = frame.width == frame.height && SAMPLED % frame.width == 0
      val first = if (kept) maxOf(frame.width, side) else SAMPLED
      val sampled = Bitmap.createScaledBitmap(frame, first, first, !kept)
      val colours = IntArray(first * first)
      sampled.getPixels(colours, 0, first, 0, 0, first, first)
      var channels =
        listOf(16, 8, 0).map { shift -> IntArray(colours.size) { colours[it] shr shift and 255 } }
      var length = first
      while (length > side) {
        val row = length
        channels = channels.map { halve(it, row) }
        length /= 2
      }
      return ByteArray(3 * side * side) { channels[it % 3][it / 3].toByte() }
    }

    /** Means of 2x2 values, rounded as OpenCV does. */
    private fun halve(values: IntArray, length: Int): IntArray =
      IntArray(values.size / 4) {
        val at = 2 * (it / (length / 2)) * length + 2 * (it % (length / 2))
        (values[at] + values[at + 1] + values[at + length] + values[at + length + 1] + 2) shr 2
      }
  }
}
