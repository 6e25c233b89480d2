package uva.attention

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.RectF
import android.view.View

/** A map as colours, over a camera preview that shows the whole frame in its middle. */
class HeatView(context: Context) : View(context) {
  private val paint = Paint(Paint.FILTER_BITMAP_FLAG)
  private var heat: Bitmap? = null
  private var frameWidth = 1
  private var frameHeight = 1

  /** Show a map of `side * side` bytes of an upright frame of this size. In the main thread. */
  fun show(map: ByteArray, side: Int, width: Int, height: Int) {
    val colours = IntArray(side * side) { COLOURS[map[it].toInt() and 255] }
    val drawn = heat ?: Bitmap.createBitmap(side, side, Bitmap.Config.ARGB_8888)
    drawn.setPixels(colours, 0, side, 0, 0, side, side)
    heat = drawn
    frameWidth = width
    frameHeight = height
    invalidate()
  }

  override fun onDraw(canvas: Canvas) {
    super.onDraw(canvas)
    val drawn = heat ?: return
    val scale = minOf(width.toFloat() / frameWidth, height.toFloat() / frameHeight)
    val (drawnWidth, drawnHeight) = Pair(frameWidth * scale, frameHeight * scale)
    val (left, top) = Pair((width - drawnWidth) / 2, (height - drawnHeight) / 2)
    val place = RectF(left, top, left + drawnWidth, top + drawnHeight)
    canvas.drawBitmap(drawn, null, place, paint)
  }

  private companion object {
    /** Red, green and blue at equal distances from 0 to the peak. */
    val STOPS =
      listOf(
        intArrayOf(40, 60, 190),
        intArrayOf(20, 150, 220),
        intArrayOf(60, 200, 120),
        intArrayOf(245, 210, 60),
        intArrayOf(250, 110, 30),
        intArrayOf(190, 10, 20)
      )

    /** ARGB by level: clear where nobody looks, three quarters opaque at the peak. */
    val COLOURS =
      IntArray(256) { level ->
        val place = level / 255f * (STOPS.size - 1)
        val stop = minOf(place.toInt(), STOPS.size - 2)
        val opacity = (191 * minOf(1f, 1.6f * level / 255)).toInt()
        (0..2).fold(opacity) { colour, channel ->
          val (one, other) = Pair(STOPS[stop][channel], STOPS[stop + 1][channel])
          (colour shl 8) or (one + (place - stop) * (other - one)).toInt()
        }
      }
  }
}
