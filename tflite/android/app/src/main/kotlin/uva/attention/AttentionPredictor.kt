package uva.attention

import android.content.res.AssetManager
import androidx.camera.core.ImageProxy
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import java.io.Closeable
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.json.JSONException
import org.json.JSONObject

/**
 * Where people look in a stream of camera frames, by an int8 `.tflite` file of the form `step`.
 *
 * Not safe for use from several threads at once.
 */
class AttentionPredictor
private constructor(
  name: String, open: (String) -> InputStream, compile: (CompiledModel.Options) -> CompiledModel
) : Closeable {
  /** Side of the map in pixels. */
  val side: Int

  private val compiled: CompiledModel
  private val inputs: Map<String, TensorBuffer>
  private val outputs: Map<String, TensorBuffer>
  private val stream: Stream

  /**
   * @param model the file, its manifest beside it: `NAME.tflite` and `NAME.json`.
   * @throws IllegalArgumentException with a line for the user if the model can't be used.
   */
  constructor(model: File) :
    this(model.path, { File(it).inputStream() }, { CompiledModel.create(model.path, it) })

  /** As above, for `NAME.tflite` and `NAME.json` among an app's assets. */
  constructor(assets: AssetManager, name: String) :
    this(name, { assets.open(it) }, { CompiledModel.create(assets, name, it) })

  init {
    val content = read(open, name, MOST_BYTES)
    val json = name.removeSuffix(".tflite") + ".json"
    val manifest = parse(String(read(open, json, MOST_MANIFEST_BYTES)), json)
    manifest.check(content)
    side = manifest.resolution
    compiled = litert(name) { compile(CompiledModel.Options(Accelerator.CPU)) }
    inputs = litert(name) { INPUTS.associateWith { compiled.createInputBuffer(it, STEP) } }
    outputs = litert(name) { OUTPUTS.associateWith { compiled.createOutputBuffer(it, STEP) } }
    val sizes = litert(name) { outputs.mapValues { it.value.readInt8().size } }
    val stateSize = sizes.getValue("state")
    stream = Stream(stateSize, manifest.brighten, manifest.persistence, manifest.gap, ::call)
    if (sizes.getValue("attention") != side * side) {
      close()
      throw IllegalArgumentException("$name: its map is not $side by $side, as $json states")
    }
  }

  /**
   * The map of the stream's next frame: side * side bytes, row by row, 0 to 255 (unsigned) at the
   * most looked-at place, over the whole upright frame. Each frame is paired with one before it,
   * dark frames are brightened, and maps persist, as the manifest says.
   *
   * @param image of ImageAnalysis in its default format, YUV_420_888; the caller closes it.
   */
  fun step(image: ImageProxy): ByteArray = step(upright(image))

  /** The same for a frame from elsewhere. */
  fun step(frame: YuvFrame): ByteArray = stream.next(frame.shrink(side))

  /** Forget the frames and maps seen so far: the next frame begins a stream. */
  fun reset() = stream.reset()

  override fun close() {
    (inputs.values + outputs.values).forEach { it.close() }
    compiled.close()
  }

  private fun call(frame: ByteArray, state: ByteArray): Result {
    inputs.getValue("frame").writeInt8(frame)
    inputs.getValue("state").writeInt8(state)
    compiled.run(inputs, outputs, STEP)
    return Result(outputs.getValue("attention").readInt8(), outputs.getValue("state").readInt8())
  }

  companion object {
    private const val STEP = "step"
    private val INPUTS = listOf("frame", "state")
    private val OUTPUTS = listOf("attention", "state")

    /** A camera's image, turned upright without a copy. It must stay open meanwhile. */
    fun upright(image: ImageProxy): YuvFrame {
      val (luma, blue, red) = image.planes
      val (width, height) = Pair(image.width, image.height)
      val (halfWidth, halfHeight) = Pair((width + 1) / 2, (height + 1) / 2)
      val frame =
        YuvFrame(
          Plane(luma.buffer, width, height, luma.rowStride, luma.pixelStride),
          Plane(blue.buffer, halfWidth, halfHeight, blue.rowStride, blue.pixelStride),
          Plane(red.buffer, halfWidth, halfHeight, red.rowStride, red.pixelStride)
        )
      return frame.turned(image.imageInfo.rotationDegrees)
    }

    private fun read(open: (String) -> InputStream, name: String, most: Int): ByteArray =
      try {
        readAtMost(open(name), most, name)
      } catch (error: IOException) {
        throw IllegalArgumentException("$name can't be read: ${error.message}")
      }

    private fun parse(text: String, name: String): Manifest =
      try {
        val json = JSONObject(text)
        // Older ones have none of these. `getInt` would take 80.5 and "80".
        val brighten = json.opt("brighten") ?: 0
        val persistence = json.opt("persistence") ?: 0
        val gap = json.opt("gap") ?: 1
        require(brighten is Int) { "$name: brighten is $brighten, expected a whole number" }
        require(persistence is Number) { "$name: the persistence is $persistence, expected a number" }
        require(gap is Int) { "$name: gap is $gap, expected a whole number" }
        Manifest(
          json.getString("form"),
          json.getString("pairing"),
          json.getInt("resolution"),
          json.getString("sha256"),
          json.getJSONObject("state").has("scale"),
          brighten,
          persistence.toDouble(),
          gap
        )
      } catch (error: JSONException) {
        throw IllegalArgumentException("$name is not a manifest: ${error.message}")
      }

    private fun <T> litert(name: String, work: () -> T): T =
      try {
        work()
      } catch (error: Exception) { // LiteRT's own kinds differ between its versions
        throw IllegalArgumentException("$name: LiteRT refuses the model: ${error.message}")
      }
  }
}
